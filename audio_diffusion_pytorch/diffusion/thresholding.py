"""Keeping the guess of the clean signal within the range that clean signals have.

High guidance pushes the guess out of range, and out-of-range guesses drive the next ones further.
The bound belongs on the guess `x0`, where it costs nothing if the guess is right. It must never be
put on the noisy state: that is noise of unit variance where sampling starts, so clamping it to
-1..1 cuts a third of its values at every step, and with it the very noise the sound is made from;
one step may survive that, fifty do not.

Both classes are guidance (`diffusion.guidance`) without a scale of their own, and nest with it in
any order; called on a bound denoiser alone they wrap just that: `StaticThreshold()(denoiser)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import lift

from .guidance.base import BaseGuidance, Rule
from .guidance.classifier_free import as_guidance, check_inside
from .guidance.guesses import Guesses


class _Threshold(BaseGuidance):
    """Bounds what an inner guidance gives, or the plain conditional guess."""

    guidance: BaseGuidance | float | None

    @property
    def inner(self) -> BaseGuidance:
        """What makes the guess: of scale 1, the plain conditional one, where there is none."""
        return as_guidance(1.0 if self.guidance is None else self.guidance)

    @property
    def needs_null(self) -> bool:
        """As the guidance inside; False without one."""
        return self.inner.needs_null

    def bound(self, x: Tensor) -> Tensor:
        """Return the guess within its range."""
        del x
        raise TypeError(f"{type(self).__name__} must define bound(x)")

    def start(self) -> Rule:
        """Return the rule that bounds what the inner rule gives."""
        inner = self.inner.start()

        def threshold(guesses: Guesses) -> Tensor:
            return self.bound(inner(guesses))

        return threshold


@dataclass(frozen=True)
class StaticThreshold(_Threshold):
    """Clip the guess of the clean signal to `-limit..limit`.

    Args:
        guidance: What makes the guess; a number stands for `ClassifierFreeGuidance` of that scale,
            None is the net alone.
        limit: Largest magnitude: 1 for raw audio. A latent scaled to unit variance has a far wider
            range, such as the largest magnitude seen in training.

    Raises:
        ValueError: If the limit is not above 0, or `CFGPlusPlus` is inside.

    Source: Saharia et al. 2022, "Imagen", arXiv 2205.11487, section 2.3.
    """

    guidance: BaseGuidance | float | None = None
    limit: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a limit that leaves nothing."""
        check_inside(self, self.inner)
        _check_limit(self.limit)

    def bound(self, x: Tensor) -> Tensor:
        """Return `x` clipped to `-limit..limit`."""
        return x.clamp(-self.limit, self.limit)


@dataclass(frozen=True)
class DynamicThreshold(_Threshold):
    """Clip the loudest values of each item, then scale the item back to `-limit..limit`.

    With `s` the magnitude that a share `percentile` of the item's values does not exceed: where
    `s` is above the limit, the guess is clipped to `-s..s` and multiplied by `limit / s`; other
    items stay as they are, up to a clip at the limit. Unlike a static limit this keeps the shape of
    a sound that is too loud as a whole.

    Args:
        guidance: What makes the guess; a number stands for `ClassifierFreeGuidance` of that scale,
            None is the net alone.
        percentile: Share of values kept from clipping, 0..1; the paper uses 0.995.
        limit: Largest magnitude afterwards, as in `StaticThreshold`.

    Raises:
        ValueError: If the percentile is outside 0..1 or the limit not above 0; if
            `CFGPlusPlus` is inside.

    Source: Saharia et al. 2022, "Imagen", arXiv 2205.11487, section 2.3.
    """

    guidance: BaseGuidance | float | None = None
    percentile: float = 0.995
    limit: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what leaves nothing."""
        check_inside(self, self.inner)
        _check_limit(self.limit)
        if not 0.0 < self.percentile <= 1.0:
            raise ValueError(f"percentile must be above 0 and at most 1, got {self.percentile}")

    def bound(self, x: Tensor) -> Tensor:
        """Return `x` with each item clipped at its percentile and scaled to the limit."""
        size = x.to(torch.promote_types(x.dtype, torch.float32)).abs().flatten(1)
        top = lift(_quantile(size, self.percentile).clamp_min(self.limit), x).to(x.dtype)
        return torch.maximum(torch.minimum(x, top), -top) * (self.limit / top)


def _quantile(x: Tensor, share: float) -> Tensor:
    """Return the quantile of each row, between neighbouring ranks; `torch.quantile` stops at 2^24.

    With `n` values the share 0 is the smallest, 1 the largest, and ranks between lie evenly.
    """
    position = share * (x.shape[1] - 1)
    low, high = (x.kthvalue(1 + rank(position), dim=1).values for rank in (floor, ceil))
    return low + (position - floor(position)) * (high - low)


def _check_limit(limit: float) -> None:
    if not limit > 0.0:
        raise ValueError(f"the limit of the clean signal must be above 0, got {limit}: 1 for audio")
