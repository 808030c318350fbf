"""Weights into modules: exactly, or with a sentence about what did not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Load a state dict strictly, and give each weight the dtype that it was saved in.

    Raises:
        ValueError: If names are missing or unknown or shapes differ; names the first ones.
    """
    own = module.state_dict(keep_vars=True)
    for key, value in own.items():
        saved = state.get(key)
        if saved is not None and value.is_floating_point() and saved.is_floating_point():
            value.data = value.data.to(saved.dtype)
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        raise ValueError(
            f"the weights of {source} do not fit the model: {difference(own, state)}; build it "
            "with the arguments that it was trained with"
        ) from error


def difference(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Return in words which names are missing or unknown, and which shapes differ."""
    missing = [key for key in own if key not in state]
    unknown = [key for key in state if key not in own]
    shapes = [
        f"{key} is {tuple(state[key].shape)} there and {tuple(own[key].shape)} here"
        for key in own
        if key in state and own[key].shape != state[key].shape
    ]
    return in_words(missing, unknown, shapes)


def in_words(missing: Iterable[str], unknown: Iterable[str], shapes: Iterable[str]) -> str:
    """Return how many of each there are and the first few."""
    parts = []
    for what, items in (("missing", missing), ("unknown", unknown), ("of another shape", shapes)):
        names = list(items)
        if names:
            more = ", ..." if len(names) > 3 else ""
            parts.append(f"{len(names)} {what} ({', '.join(names[:3])}{more})")
    return ", ".join(parts) or "its values do not fit"
