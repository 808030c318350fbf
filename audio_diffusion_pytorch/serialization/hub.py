"""Where a model is: a folder on this machine, or a name on the hub."""

from __future__ import annotations

import re
from pathlib import Path

from .files import CONFIG, WEIGHTS

_HUB_NAME = re.compile(r"[a-z0-9][\w.-]*/[a-z0-9][\w.-]*", re.ASCII | re.IGNORECASE)
_FILES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".json")


def find_folder(name: str | Path, revision: str | None = None) -> Path:
    """Return the folder of a model: a local one first, else one fetched from the hub.

    Args:
        name: A folder, or `owner/name` of one on the Hugging Face hub, such as
            `someone/piano`.
        revision: Branch, tag or commit on the hub.

    Raises:
        FileNotFoundError: If there is neither such a folder nor such a name on the hub.
        ImportError: If the hub is meant and its client is not installed.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if isinstance(name, Path) or not _is_hub_name(name):
        kind = "file" if folder.suffix.lower() in _FILES else "folder"
        raise FileNotFoundError(
            f"there is no {kind} {name}: give a folder that save_pretrained wrote, or owner/name "
            "of a model on the hub"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ImportError(
            f"there is no folder {name}, and to look for it on the hub the client is missing: "
            'pip install "audio-diffusion-pytorch[text]"'
        ) from error
    try:
        fetched = snapshot_download(name, revision=revision, allow_patterns=[CONFIG, WEIGHTS])
    except Exception as error:  # the client's errors are many: offline, no such name, no access
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise FileNotFoundError(
            f"there is no folder {name}, and the hub does not give it either ({reason}): check the "
            "name and the connection"
        ) from error
    return Path(fetched)


def _is_hub_name(name: str) -> bool:
    """Return whether it is `owner/name`, and not a file of weights in a folder."""
    return not name.lower().endswith(_FILES) and _HUB_NAME.fullmatch(name) is not None
