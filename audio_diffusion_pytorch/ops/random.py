"""Noise and other draws from an explicit generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def check_generator(generator: Generator | None, device: torch.device) -> None:
    """Refuse a generator that lives on another device than the draw.

    Raises:
        ValueError: If `generator.device` and `device` are of different types.
    """
    if generator is not None and generator.device.type != device.type:
        raise ValueError(
            f"the generator must be on the device of the draw, {device.type}, got one on "
            f"{generator.device.type}: make it with torch.Generator('{device.type}')"
        )


def randn(
    shape: Sequence[int],
    *,
    generator: Generator | None = None,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return standard normal noise of `shape`, drawn on `device` from `generator`.

    Raises:
        ValueError: If the generator lives on another device.
    """
    check_generator(generator, device)
    return torch.randn(tuple(shape), generator=generator, device=device, dtype=dtype)


def randn_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Return standard normal noise of the shape, device and dtype of `x`.

    Raises:
        ValueError: If the generator lives on another device.
    """
    return randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
