"""Guiding a net by a worse version of itself."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from audio_diffusion_pytorch.diffusion.checks import check_part
from audio_diffusion_pytorch.protocols import Denoise

from .base import BaseGuidance, Rule
from .classifier_free import as_guidance, check_inside
from .guesses import Guesses


@dataclass(frozen=True)
class Autoguidance(BaseGuidance):
    """Move away from the guess of a smaller or less trained net with the same condition.

    Where both err, the worse net errs more in the same direction. Sounds get better at no cost in
    variety, and it works without any condition: none needs to be dropped in training. A call asks
    each net once.

    Args:
        worse: `(x, time, **cond) -> x0` of the worse net, such as `other.diffusion.denoise`; it is
            given the condition, on the same schedule. Moved to the device by its owner.
        guidance: How the two guesses are mixed, the worse in place of the unconditional one; a
            number stands for `ClassifierFreeGuidance` of that scale.

    Raises:
        ValueError: If `CFGPlusPlus` is inside, or a part is not of its kind.

    Source: Karras et al. 2024, arXiv 2406.02507.
    """

    worse: Denoise
    guidance: BaseGuidance | float

    def __post_init__(self) -> None:
        """Refuse what cannot be inside, and a net that is none."""
        check_inside(self, self.guidance)
        check_part("worse", self.worse, "__call__", "other.diffusion.denoise")

    @property
    def needs_null(self) -> bool:
        """False: the worse net stands in for the null condition."""
        return False

    def start(self) -> Rule:
        """Return the inner rule, on the guesses of the two nets."""
        inner = as_guidance(self.guidance).start()
        return lambda guesses: inner(
            Guesses(guesses.x, guesses.time, _ByNet(guesses, self.worse), guesses.step)
        )


class _ByNet:
    """The guesses of a good net and a worse one."""

    def __init__(self, good: Guesses, worse: Denoise) -> None:
        self.good, self.worse, self.cond = good, worse, good.source.cond

    def wanted(self, x: Tensor, time: Tensor) -> Tensor:
        del x, time
        return self.good.conditional

    def unwanted(self, x: Tensor, time: Tensor) -> Tensor:
        return self.worse(x, time, **self.cond)

    def both(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        return self.good.conditional, self.unwanted(x, time)
