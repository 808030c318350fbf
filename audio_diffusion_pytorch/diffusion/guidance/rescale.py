"""Taking back the loudness that guidance adds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import lift

from .base import BaseGuidance, Rule
from .classifier_free import as_guidance, check_inside
from .guesses import Guesses


@dataclass(frozen=True)
class Rescale(BaseGuidance):
    """Give the guided guess the standard deviation that the conditional guess has.

    High scales make sounds too loud, and then clipped. Per item, over channels and time:
    `x0 (phi std(conditional) / std(x0) + 1 - phi)`.

    Args:
        guidance: What guides; a number stands for `ClassifierFreeGuidance` of that scale.
        phi: How much of the way, 0 (nothing) to 1 (all of it); the paper uses 0.7.

    Raises:
        ValueError: If `phi` is outside 0..1, or `CFGPlusPlus` is inside.

    Source: Lin et al. 2023, arXiv 2305.08891, eq. 15 and 16, applied to the clean signal.
    """

    guidance: BaseGuidance | float
    phi: float = 0.7

    def __post_init__(self) -> None:
        """Refuse an amount outside 0..1, and what cannot be inside."""
        check_inside(self, self.guidance)
        if not 0.0 <= self.phi <= 1.0:
            raise ValueError(f"phi must be in 0..1 (0 rescales nothing), got {self.phi}")

    @property
    def needs_null(self) -> bool:
        """As the guidance inside."""
        return as_guidance(self.guidance).needs_null

    def start(self) -> Rule:
        """Return the rule that rescales what the inner rule gives."""
        inner = as_guidance(self.guidance).start()

        def rescale(guesses: Guesses) -> Tensor:
            guided = inner(guesses)
            wanted, found = spread(guesses.conditional), spread(guided)
            ratio = torch.where(found > 0, wanted / found, 1.0)  # silence has nothing to rescale
            factor = 1 + self.phi * (ratio - 1)
            return lift(factor, guided).to(guided.dtype) * guided

        return rescale


def spread(x: Tensor) -> Tensor:
    """Return the standard deviation of each item `(b,)`, over all else, in float32 at least."""
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    return exact.flatten(1).std(1, correction=0)
