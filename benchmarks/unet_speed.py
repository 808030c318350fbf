"""Time UNetV0 against that of audio-diffusion-pytorch 0.1.3: same weights, same inputs, in turns.

python benchmarks/unet_speed.py
python benchmarks/unet_speed.py --upstream-python PATH

The old release runs in a process of its own: by PATH, the Python of a virtual environment that has
it, or else by this Python on a copy that pip puts into a cache folder. Without either, only ours
is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from _results import ROOT, import_recipes, median, report

import_recipes()

from recipe import Config, build_model  # noqa: E402
from train_class_conditional import LabelledConfig  # noqa: E402

from audio_diffusion_pytorch.training import load_config  # noqa: E402

WORKER = Path(__file__).with_name("_unet_worker.py")
UPSTREAM = ["audio-diffusion-pytorch==0.1.3", "a-unet==0.0.16", "audio-encoders-pytorch==0.0.22"]
TASKS = {"forward": "forward", "train": "training step"}


class Side:
    """A process with a `UNetV0` in it."""

    def __init__(self, name: str, python: str, path: str | None) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        # A waiting thread must sleep: spinning, it would slow down the other side.
        environment |= {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
        if path is not None:
            environment["PYTHONPATH"] = path
        self.name = name
        self.process = subprocess.Popen(
            [python, str(WORKER)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self.ask("about")

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process has no pipes")
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"the process of {self.name} ended: see its message above")
        return json.loads(line)

    def close(self) -> None:
        """Let the process end."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def upstream(python: str | None) -> Side | None:
    """Start the old release, from `python` or from a copy in a cache folder; None without one."""
    if python is not None:
        return Side("upstream", python, None)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "audio-diffusion-pytorch" / "upstream-0.1.3"
    if not (folder / "audio_diffusion_pytorch").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        done = subprocess.run([*pip, "--target", str(folder), *UPSTREAM], check=False)
        if done.returncode != 0:
            print("audio-diffusion-pytorch 0.1.3 is not to be had: ours is timed alone")
            return None
    return Side("upstream", sys.executable, str(folder))


def sizes() -> dict[str, tuple[Config, str, int]]:
    """Return settings, what they are, and the batch size of both networks."""
    waveform = load_config(Config, ROOT / "examples" / "configs" / "small_test.ini")
    spectrum = LabelledConfig()
    return {
        "waveform": (waveform, "waveform net of small_test.ini", waveform.train.batch_size),
        "spectrum": (spectrum, "MDCT net of the conditional recipe", spectrum.train.batch_size),
    }


def arguments_of(config: Config) -> tuple[dict[str, Any], list[int]]:
    """Return the arguments of a recipe's network and the shape of its input, without the batch.

    Labels and the gated skip are left out: 0.1.3 has neither.
    """
    _, channels, frames = build_model(config).latent_shape(1, config.data.length)
    model = config.model
    return {
        "in_channels": channels,
        "channels": model.channels,
        "factors": model.factors,
        "items": model.items,
        "attentions": model.attentions,
        "attention_heads": model.attention_heads,
        "attention_features": model.attention_features,
        "modulation_features": model.modulation_features,
    }, [channels, frames]


def measure(sides: list[Side], rounds: int, arguments: Any, shape: list[int]) -> dict[str, Any]:
    """Time all sides in turns on one network; the first side makes the weights."""
    figures: dict[str, Any] = {"shape": shape}
    with tempfile.TemporaryDirectory() as folder:
        weights, outputs = f"{folder}/weights.pt", []
        for side in sides:
            built = side.ask(
                "build", arguments=arguments, shape=shape, weights=weights, make=side is sides[0]
            )
            side.ask("output", path=f"{folder}/{side.name}.pt")
            outputs.append(torch.load(f"{folder}/{side.name}.pt"))
            figures["parameters"] = built["parameters"]
        figures["difference"] = float((outputs[0] - outputs[-1]).abs().max())
    for task in TASKS:
        for _ in range(3):  # warm-up
            for side in sides:
                side.ask(task)
        times: dict[str, list[float]] = {side.name: [] for side in sides}
        for number in range(rounds):
            for side in sides if number % 2 else sides[::-1]:
                times[side.name].append(side.ask(task)["seconds"])
        figures[task] = {name: median(values) for name, values in times.items()}
        figures[task]["fastest"] = {name: min(values) for name, values in times.items()}
        figures[task]["rounds"] = rounds
    return figures


def main() -> None:
    """Measure both networks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--upstream-python", metavar="PATH", help="a Python that has 0.1.3")
    parser.add_argument("--rounds", type=int, default=21, help="timed calls of each kind")
    options = parser.parse_args()
    other = upstream(options.upstream_python)
    sides = [*([other] if other else []), Side("ours", sys.executable, str(ROOT))]
    figures: dict[str, Any] = {"sides": {side.name: side.about for side in sides}}
    rows = []
    for name, (config, title, batch) in sizes().items():
        arguments, shape = arguments_of(config)
        found = figures[name] = measure(sides, options.rounds, arguments, [batch, *shape])
        print(
            f"{title}: {found['parameters']:,} parameters, input {tuple(found['shape'])}"
            + (f", outputs differ by at most {found['difference']:.1e}" if other else "")
        )
        for task, words in TASKS.items():
            ours, theirs = found[task]["ours"], found[task].get("upstream")
            rows.append([
                title,
                words,
                f"{1e3 * ours:.1f} ms",
                f"{1e3 * theirs:.1f} ms" if theirs else "-",
                f"{theirs / ours:.2f} x" if theirs else "-",
            ])  # fmt: skip
    for side in sides:
        side.close()
    report("unet_speed", ["network", "what", "ours", "0.1.3", "faster"], rows, figures)


if __name__ == "__main__":
    main()
