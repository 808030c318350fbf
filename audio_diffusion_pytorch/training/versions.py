"""What a run was made with: versions of the parts, and the git revision of the code."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

import torch


def versions() -> dict[str, str]:
    """Versions of Python, torch, this package and the system, by name."""
    try:
        package = importlib.metadata.version("audio-diffusion-pytorch")
    except importlib.metadata.PackageNotFoundError:
        package = "not installed"  # run from a source tree
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "audio_diffusion_pytorch": package,
        "platform": platform.platform(),
    }


def git_revision(folder: str | Path | None = None) -> str | None:
    """The commit that `folder` stands at, with `+changes` behind it if tracked files differ.

    Args:
        folder: a folder in the work tree; by default that of the running script.

    Returns:
        The commit, or None without git, outside a work tree or before its first commit.
    """
    if folder is None:
        script = getattr(sys.modules.get("__main__"), "__file__", None)
        folder = Path(script).absolute().parent if script else Path.cwd()
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if changed else commit


def _git(folder: str | Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
