"""Following the condition more closely than the data alone would ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from audio_diffusion_pytorch.protocols import Denoise, Denoiser


class ClassifierFreeGuidance:
    """Move the guess away from the unconditional one: `null + scale (conditional - null)`.

    Both guesses are made in one call on a batch of twice the size. Scale 1 changes nothing and
    makes a single call; the net must have been trained with its condition dropped now and then.

    Args:
        scale: 0 ignores the condition, 1 follows it as the data do, above 1 more closely, with
            less variety.

    Source: Ho and Salimans 2022, arXiv 2207.12598, eq. 6 (there `scale = 1 + w`).
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(
        self, denoise: Denoise, cond: Mapping[str, Any], null_cond: Mapping[str, Any]
    ) -> Denoiser:
        """Return the guided denoiser.

        Args:
            denoise: `(x, time, **cond) -> x0`.
            cond: The condition; tensors have the batch as first axis.
            null_cond: Replaces the same names for the unconditional guess.

        Raises:
            ValueError: If there is no null condition to move away from.
        """
        if self.scale == 1.0:
            return lambda x, time: denoise(x, time, **cond)
        if not null_cond:
            raise ValueError(
                f"guidance with scale {self.scale:g} needs a null condition to move away from, "
                "got none: pass null_cond (labels: -1 for each), or use scale 1"
            )
        null = {**cond, **null_cond}
        both = {name: _stack(value, null[name]) for name, value in cond.items()}

        def guided(x: Tensor, time: Tensor) -> Tensor:
            stacked = denoise(torch.cat([x, x]), torch.cat([time, time]), **both)
            conditional, unconditional = stacked.chunk(2)
            return unconditional + self.scale * (conditional - unconditional)

        return guided


def _stack(value: Any, null: Any) -> Any:
    return torch.cat([value, null]) if isinstance(value, Tensor) else value
