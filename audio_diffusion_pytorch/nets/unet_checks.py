"""What `UNetV0` refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .unet_level import LevelShape


def require(condition: bool, message: str) -> None:
    """Raise a ValueError with this message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def check_input(x: Tensor, dim: int, in_channels: int) -> None:
    """Refuse an input that is not `(b, in_channels, *t)` with `dim` axes of at least length 1."""
    axes = ", ".join(["b", str(in_channels), "t", "u", "v"][: 2 + dim])
    require(
        x.ndim == 2 + dim and x.shape[1] == in_channels and x.numel() > 0,
        f"the input must have shape ({axes}) and not be empty, got {tuple(x.shape)}: build the "
        "network with other in_channels or dim, or reshape the input",
    )


def level_shapes(groups: int, **lists: Sequence[int] | None) -> list[LevelShape]:
    """Zip the lists that describe the levels; None stands for zeros.

    Raises:
        ValueError: if their lengths differ, a value is too small or channels do not fit `groups`.
    """
    channels = lists["channels"] or []
    require(len(channels) > 0, "channels must name at least one level, got none: pass a list")
    full = {name: [0] * len(channels) if x is None else list(x) for name, x in lists.items()}
    for name, values in full.items():
        require(
            len(values) == len(channels),
            f"{name} must have one entry for each of the {len(channels)} levels of channels, got "
            f"{len(values)}: make the lists equally long",
        )
        least = 1 if name in ("channels", "factors") else 0
        require(
            min(values) >= least,
            f"{name} must be at least {least} at every level, got {values}: raise the smallest",
        )
    require(
        all(count % groups == 0 for count in channels),
        f"channels must be multiples of resnet_groups={groups}, got {list(channels)}: change the "
        "channels or pass resnet_groups",
    )
    order = ("channels", "factors", "items", "attentions", "cross_attentions", "context_channels")
    return [LevelShape(*level) for level in zip(*(full[name] for name in order), strict=True)]
