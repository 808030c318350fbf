"""What the benchmarks share: a table on the terminal, and the same figures as JSON."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from audio_diffusion_pytorch.training import git_revision, versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "outputs" / "benchmarks"  # ignored by git


def import_recipes() -> None:
    """Let `import recipe` and the recipes find `examples/`: benchmarks time their very models."""
    sys.path.insert(0, str(ROOT / "examples"))


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the code."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "cpu": processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),  # such as AVX512
        "amx": amx(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "git": git_revision(ROOT),
        **versions(),
    }


def processor() -> str:
    """Return the name of the CPU, as far as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def amx() -> bool:
    """Return whether this CPU has units for products of bf16 matrices."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def seconds(function: Callable[[], object]) -> float:
    """Return the time one call takes, in seconds."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def median(values: Sequence[float]) -> float:
    """Return the median; one slow call (another program woke up) does not move it."""
    return statistics.median(values)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, columns padded so that it reads as plain text too."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def report(name: str, head: Sequence[str], rows: Sequence[Sequence[str]], figures: object) -> None:
    """Print the table and what it was measured on, and keep both as `NAME.json`."""
    about = machine()
    print(table(head, rows))
    print(
        f"{about['date']}: {about['cores']} cores, {about['threads']} threads, "
        f"{about['cpu']} ({about['vectors']}{', AMX' * about['amx']}), "
        + (f"{about['cuda']}, " if about["cuda"] else "")
        + f"Python {about['python']}, torch {about['torch']}"
    )
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**about, "results": figures}, indent=1) + "\n", "utf-8")
    print(f"results: {path.relative_to(ROOT)}")
