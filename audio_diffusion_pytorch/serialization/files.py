"""A folder with config.json and model.safetensors, that is whole whenever it is read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT = "audio_diffusion_pytorch model"
FORMAT_VERSION = 1
_MARK = "audio_diffusion_pytorch"


def save_folder(folder: Path, content: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Write config.json and model.safetensors, each aside and then renamed.

    Two files cannot be renamed at once, so the weights also hold the config they go with: the
    moment they are renamed is when the folder changes, and a config.json that does not belong to
    them (the process was killed between the two) is seen by its fingerprint and passed over.

    Raises:
        OSError: If the folder cannot be written, in one line; what was saved in it is unharmed.
    """
    config = _dated(content)
    tensors, aliases = _own_memory(state)
    metadata = {**_words(config), "aliases": json.dumps(aliases)}
    text = json_text(config) + "\n"
    asides = [folder / f".{name}.{os.getpid()}.partial" for name in (WEIGHTS, CONFIG)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, asides[0], metadata)
        asides[1].write_text(text, "utf-8")
        for aside in asides:
            _sync(aside)
        os.replace(asides[0], folder / WEIGHTS)
        os.replace(asides[1], folder / CONFIG)
        with suppress(OSError):  # not every system lets a folder be synced
            _sync(folder)
    except (OSError, SafetensorError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else str(error)
        raise OSError(
            f"cannot save the model in {folder}: {reason.lower()}; free space or choose a folder "
            "that can be written, what was saved there before is unharmed"
        ) from error
    finally:
        for aside in asides:
            with suppress(OSError):
                aside.unlink(missing_ok=True)


def load_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the config and the state dict that `save_folder` wrote.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, or is not of this format.
    """
    state, metadata = load_tensors(folder / WEIGHTS)
    within = json.loads(metadata["config"]) if "config" in metadata else None
    config = _read_config(folder / CONFIG, within)
    return config, state


def load_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the config and the state dict of a weights file that holds both.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or holds no config.
    """
    state, metadata = load_tensors(path)
    if "config" not in metadata:
        raise ValueError(
            f"{path} does not say what model its weights are of: build the model and load them "
            "with load_upstream_weights"
        )
    return _checked(json.loads(metadata["config"]), path), state


def words_about(content: Mapping[str, Any]) -> dict[str, str]:
    """Return a model's description as the words of a safetensors file, for `load_file`."""
    return _words(_dated(content))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a safetensors file, on the CPU, and its words.

    What `save_folder` wrote once for several names is there under each of them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path.name} in {path.parent}: give a folder that save_pretrained wrote"
        )
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            words = file.metadata() or {}
        # Another maker's word of this name may be anything.
        aliases = json.loads(words.get("aliases", "{}")) if _MARK in words else {}
        return state | {alias: state[key] for alias, key in aliases.items()}, words
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}): copy or download it once more, or save the model again"
        ) from error


def json_text(value: Any, indent: str = "") -> str:
    """Return JSON with what holds no dicts on one line, so that people can read it."""
    if not isinstance(value, dict | list) or _on_one_line(value):
        return json.dumps(value, allow_nan=False)
    deeper = indent + "  "
    if isinstance(value, list):
        lines = [deeper + json_text(item, deeper) for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    lines = [f"{deeper}{json.dumps(key)}: {json_text(item, deeper)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def package_version() -> str:
    """Return this package's version."""
    try:
        return version("audio-diffusion-pytorch")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "0+unknown"


def _dated(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with its format, the package's version, and a fingerprint of it all."""
    head = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": package_version(),
    }
    return {**head, "fingerprint": _fingerprint({**head, **content}), **content}


def _words(config: Mapping[str, Any]) -> dict[str, str]:
    return {
        "format": "pt",
        _MARK: package_version(),
        "config": json.dumps(config, allow_nan=False),
    }


def _on_one_line(value: Any) -> bool:
    """Return whether it is empty, a list of no dicts, or such a word as `{"$class": ...}`."""
    if isinstance(value, dict):
        is_word = len(value) == 1 and next(iter(value)).startswith("$")
        return not value or (is_word and _on_one_line(next(iter(value.values()))))
    return not isinstance(value, list) or not any(isinstance(item, dict) for item in _leaves(value))


def _leaves(value: list[Any]) -> Iterator[Any]:
    for item in value:
        yield from _leaves(item) if isinstance(item, list) else (item,)


def _fingerprint(config: Mapping[str, Any]) -> str:
    return sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def _read_config(path: Path, within: dict[str, Any] | None) -> dict[str, Any]:
    """Return config.json, or what the weights hold where it is missing or of another save."""
    if not path.is_file():
        if within is None:
            raise FileNotFoundError(
                f"there is no {path.name} in {path.parent}: give a folder that save_pretrained "
                "wrote, or build the model and load the weights with load_upstream_weights"
            )
        return _checked(within, path)
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}): mend it, or save the model again"
        ) from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(
            f"{path} was not written by save_pretrained: build the model and load the weights with "
            "load_upstream_weights, or with load_archisound if it is one of those"
        )
    if within is not None and within.get("fingerprint") != config.get("fingerprint"):
        return _checked(within, path)
    return _checked(config, path)


def _checked(config: dict[str, Any], path: Path) -> dict[str, Any]:
    found = config.get("format_version")
    if found != FORMAT_VERSION:
        raise ValueError(
            f"{path} is of format {found}, this version reads {FORMAT_VERSION}: the model was "
            f"saved by audio-diffusion-pytorch {config.get('package_version')}, upgrade to that"
        )
    return config


def _own_memory(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors to write, each with memory of its own, and which names mean another's.

    Layers that share a weight save it once and share nothing they should not when it is loaded:
    each alias is filled from the one that was kept.
    """
    kept: dict[tuple[Any, ...], str] = {}
    memories: set[int] = set()
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    for key, value in state.items():
        value = value.detach()
        memory = value.untyped_storage().data_ptr() if value.numel() else 0
        place = (memory, value.storage_offset(), value.shape, value.stride(), value.dtype)
        if memory and place in kept:
            aliases[key] = kept[place]
            continue
        kept[place] = key
        tensors[key] = value.clone() if memory in memories else value.contiguous()
        memories.add(memory)
    return tensors, aliases


def _sync(path: Path) -> None:
    """Return when a file, or the names in a folder, have reached the disk."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
