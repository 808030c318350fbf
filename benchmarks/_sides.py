"""Ours and audio-diffusion-pytorch 0.1.3, each in a process of its own, and the ways they run."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _results import ROOT

WORKER = Path(__file__).with_name("_worker.py")
UPSTREAM = ["audio-diffusion-pytorch==0.1.3", "a-unet==0.0.16", "audio-encoders-pytorch==0.0.22"]
# A waiting thread must sleep: spinning, it would slow down the other side.
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


class Variant(NamedTuple):
    """A way to run the network of one side: a row of a table."""

    name: str
    side: str = "ours"
    precision: str = "fp32"  # "autocast": fp32 weights, bf16 products; "bf16": weights too
    compiled: bool = False
    checkpointing: bool = False


REFERENCE = Variant("0.1.3 eager", "upstream")
SAMPLING = (
    REFERENCE,
    Variant("0.1.3 compiled", "upstream", compiled=True),
    Variant("0.1.3 autocast bf16", "upstream", "autocast"),
    Variant("eager"),
    Variant("compiled", compiled=True),
    Variant("autocast bf16", precision="autocast"),
    Variant("bf16 weights", precision="bf16"),
    Variant("compiled, autocast bf16", precision="autocast", compiled=True),
    Variant("compiled, bf16 weights", precision="bf16", compiled=True),
)
TRAINING = (
    REFERENCE,
    Variant("0.1.3 compiled", "upstream", compiled=True),
    Variant("0.1.3 autocast bf16", "upstream", "autocast"),
    Variant("eager"),
    Variant("compiled", compiled=True),
    Variant("autocast bf16", precision="autocast"),
    Variant("compiled, autocast bf16", precision="autocast", compiled=True),
    Variant("checkpointing", checkpointing=True),
)
MEMORY = (
    REFERENCE,
    Variant("0.1.3 autocast bf16", "upstream", "autocast"),
    Variant("eager"),
    Variant("compiled", compiled=True),
    Variant("autocast bf16", precision="autocast"),
    Variant("checkpointing", checkpointing=True),
    Variant("checkpointing, autocast bf16", precision="autocast", checkpointing=True),
)


class SideError(RuntimeError):
    """A side could not do what it was asked to; the text is the reason in a line."""


class Side:
    """A process with a model in it."""

    def __init__(self, name: str, python: str, path: str | None, **environment: str) -> None:
        variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | QUIET | environment
        if path is not None:
            variables["PYTHONPATH"] = path
        self.name = name
        self.process = subprocess.Popen(
            [python, str(WORKER), name],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            SideError: If the answer is an error, or the process has ended.
        """
        if self.process.stdin is None or self.process.stdout is None:
            raise SideError("the process has no pipes")
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except (BrokenPipeError, ValueError):  # ended, or closed by us
            line = ""
        if not line:
            status = self.process.wait()
            raise SideError(f"the process of {self.name} ended with status {status}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideError(
                f"{answer['error']}: {answer['reason']}".removeprefix("InductorError: ")
            )
        return answer

    def close(self) -> None:
        """Let the process end."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


class Launcher:
    """Starts processes of both sides; knows where 0.1.3 is, or that it is not to be had."""

    def __init__(self, upstream_python: str | None, alone: bool = False) -> None:
        self.upstream: tuple[str, str | None] | None = None
        if upstream_python is not None:
            self.upstream = (upstream_python, None)
        elif not alone and (folder := installed_upstream()) is not None:
            self.upstream = (sys.executable, str(folder))
        self.names = [*(["upstream"] if self.upstream else []), "ours"]

    def start(self, name: str, **environment: str) -> Side:
        """Start one side, "ours" or "upstream"."""
        if name == "upstream":
            if self.upstream is None:
                raise SideError("0.1.3 is not to be had")
            return Side(name, *self.upstream, **environment)
        return Side(name, sys.executable, str(ROOT), **environment)


def installed_upstream() -> Path | None:
    """Return a folder that holds 0.1.3, put there by pip if need be; None if that fails."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "audio-diffusion-pytorch" / "upstream-0.1.3"
    if (folder / "audio_diffusion_pytorch").is_dir():
        return folder
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    done = subprocess.run([*pip, "--target", str(folder), *UPSTREAM], check=False)
    if done.returncode != 0:
        print("audio-diffusion-pytorch 0.1.3 is not to be had: ours is measured alone")
        return None
    return folder


def options_of(description: str, rounds: int) -> argparse.Namespace:
    """Read the command line that the comparisons share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--small", action="store_true", help="small networks, a quick look")
    parser.add_argument("--upstream-python", metavar="PATH", help="a Python that has 0.1.3")
    parser.add_argument("--alone", action="store_true", help="measure ours alone")
    parser.add_argument("--rounds", type=int, default=rounds, help="measurements of each kind")
    parser.add_argument("--networks", nargs="+", metavar="WORD", help="only titles with a WORD")
    parser.add_argument("--variants", nargs="+", metavar="NAME", help="only these rows")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], nargs="+", help="default: all there are"
    )
    options = parser.parse_args()
    if options.device is None:
        options.device = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return options


def chosen(
    variants: Sequence[Variant], sides: Sequence[str], names: Sequence[str] | None
) -> list[Variant]:
    """Return the variants of the sides there are, all or those named."""
    known = {variant.name for variant in variants}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise SystemExit(f"no variant {unknown[0]!r}: choose from {', '.join(sorted(known))}")
    return [v for v in variants if v.side in sides and (names is None or v.name in names)]
