"""Weights in files of other makers: audio-diffusion-pytorch 0.1's, its trainer's, or yours."""

from __future__ import annotations

import copy
import pickle
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .files import load_tensors
from .loading import in_words

State = dict[str, Tensor]
_SIZES = re.compile(r"size mismatch for (\S+): .*?torch\.Size\((.*?)\).*?torch\.Size\((.*?)\)")


class LoadedWeights(NamedTuple):
    """What `load_upstream_weights` found.

    Attributes:
        prefix: What the names of the model's weights began with, such as `model.`.
        missing: Weights of the model that were not there.
        unknown: Weights there, under the prefix, that the model does not have.
        shapes: Weights of another shape, each with both shapes in words.
    """

    prefix: str
    missing: list[str]
    unknown: list[str]
    shapes: list[str]

    @property
    def misfits(self) -> int:
        """How many weights did not fit."""
        return len(self.missing) + len(self.unknown) + len(self.shapes)


def load_upstream_weights(
    model: nn.Module,
    source: str | Path | Mapping[str, Any],
    *,
    prefix: str | None = None,
    strict: bool = True,
) -> LoadedWeights:
    """Load weights of a raw checkpoint into a model, wherever in it they are.

    The names may have anything before them: `state_dict` of a Lightning checkpoint, `model.` of a
    training module, `module.` of a parallel one, `model_ema.ema_model.` of averaged weights. All
    such places are tried, without loading, and the one that fits best is taken; where averaged
    weights fit as well as others, they are. Upstream's own names (`net.blocks...`, three times
    over) are known to the models.

    Args:
        model: What to load into, with the arguments that the weights were trained with.
        source: A `.pt`, `.ckpt`, `.bin` or `.safetensors` file, or what such a file holds. Files
            are read without running code from them.
        prefix: Where the weights are, if it shall not be found.
        strict: Refuse weights that do not fit exactly; else load those that do.

    Returns:
        Where the weights were, and what did not fit.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read safely, or the weights do not fit; nothing has
            been loaded then.
    """
    where = "the checkpoint" if isinstance(source, Mapping) else str(source)
    tensors = dict(_flat(source if isinstance(source, Mapping) else read_checkpoint(source)))
    places = [prefix] if prefix is not None else _prefixes(tensors, len(model.state_dict()))
    if not any(key.startswith(place) for place in places for key in tensors):
        raise ValueError(
            f"{where} holds {len(tensors)} tensors and none that could be those of the "
            f"{type(model).__name__}: give a state dict, or the prefix of its names"
        )
    shell = _without_memory(model)
    tried: list[LoadedWeights] = []
    for place in places:
        tried.append(_try(shell, _below(tensors, place), place))
        if not tried[-1].misfits:
            break
    best = min(tried, key=_badness)
    if strict and best.misfits:
        under = f" under {best.prefix!r}" if best.prefix else ""
        raise ValueError(
            f"the weights of {where}{under} do not fit the {type(model).__name__}: "
            f"{in_words(best.missing, best.unknown, best.shapes)}; build it with the arguments it "
            "was trained with, or pass strict=False"
        )
    try:
        model.load_state_dict(_below(tensors, best.prefix), strict=False)
    except RuntimeError:  # raised at the end, for shapes that differ: the rest has been loaded
        if not best.shapes:
            raise
    return best


def read_checkpoint(path: str | Path) -> Mapping[str, Any]:
    """Return what a checkpoint file holds, on the CPU; runs no code from it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or holds more than tensors and plain values.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: give a .pt, .ckpt or .safetensors file")
    if path.suffix == ".safetensors":
        return load_tensors(path)[0]
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise ValueError(
            f"{path} is damaged or holds objects besides tensors, which are not loaded: where you "
            'trust it, save torch.load(path, weights_only=False)["state_dict"] by torch.save and '
            "give that file"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}: give a file with a state dict")
    return content


def _flat(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested mappings by their names joined with dots."""
    for key, value in content.items():
        if not isinstance(key, str):
            continue
        if isinstance(value, Tensor):
            yield prefix + key, value
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")


def _prefixes(tensors: State, size: int) -> list[str]:
    """Return the beginnings that a good share of a model's `size` weights have.

    Their order is that in which equally good ones are preferred: of averaged weights, then short.
    """
    counts: Counter[str] = Counter()
    for key in tensors:
        steps = [f"{step}." for step in key.split(".")[:-1]]
        counts.update(["", *accumulate(steps)])
    shared = [place for place, count in counts.items() if 4 * count >= size]
    # Whole words: "semantic." and "schema." are no averages.
    return sorted(shared, key=lambda place: ("ema" not in re.split(r"[._]", place), len(place)))


def _below(tensors: State, prefix: str) -> State:
    return {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}


def _without_memory(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose weights have shapes only."""
    memo: dict[int, Any] = {}
    for value in chain(model.parameters(), model.buffers()):
        meta: Tensor = torch.empty_like(value, device="meta")
        is_weight = isinstance(value, nn.Parameter)
        memo[id(value)] = nn.Parameter(meta, value.requires_grad) if is_weight else meta
    return copy.deepcopy(model, memo)


def _badness(found: LoadedWeights) -> tuple[int, int]:
    """Return what to compare places by: what the model lacks there, then what is too much."""
    return len(found.missing) + len(found.shapes), len(found.unknown)


def _try(shell: nn.Module, tensors: State, prefix: str) -> LoadedWeights:
    """Return how well tensors would load."""
    found = LoadedWeights(prefix, [], [], [])

    def note(_: nn.Module, keys: Any) -> None:
        found.missing[:] = keys.missing_keys
        # What a model copied to other names of its one network counts once.
        given = [key for key in keys.unexpected_keys if key in tensors]
        found.unknown[:] = given or keys.unexpected_keys

    handle = shell.register_load_state_dict_post_hook(note)
    try:
        shapes = {key: torch.empty_like(value, device="meta") for key, value in tensors.items()}
        shell.load_state_dict(shapes, strict=False)
    except RuntimeError as error:
        own = shell.state_dict()  # a network that is held under several names counts once
        sizes = [sizes for sizes in _SIZES.findall(str(error)) if sizes[0] in own]
        found.shapes[:] = [f"{key} is {there} there and {here} here" for key, there, here in sizes]
        if not sizes:
            raise
    finally:
        handle.remove()
    return found
