"""Guidance of the sound alone: the noise that is put back stays the unconditional one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import lift

from .base import BaseGuidance, Rule
from .classifier_free import as_guidance, check_inside
from .guesses import GuessedStep, Guesses


@dataclass(frozen=True)
class CFGPlusPlus(BaseGuidance):
    """Renoise the guided guess with the noise that the unconditional guess implies.

    A deterministic (DDIM) step becomes `x' = alpha' guided + sigma' (x - alpha null) / sigma`.
    Scales lie between 0 and 1, and the path is smoother than that of a high scale.

    An Euler step takes one guess for both parts. It makes the very same step if handed

        `null + (guided - null) / (1 - exp(-h))`,  h = log(alpha' / sigma') - log(alpha / sigma),

    that is: CFG++ of scale w is classifier-free guidance whose scale `w / (1 - exp(-h))` grows as
    steps get shorter (and is w in the step to the clean end). This is what the denoiser returns,
    and what `State.clean` then holds. Where a step goes, the sampling loop tells it.

    Exact for `Euler` with `eta=0`. Other solvers with one net call a step (`DPMpp2M`, `UniPC`, ...)
    run, with the same scale at each step, but are no longer the paper's method, and do not gain
    from their order: more steps change the scale. Solvers of several calls a step are refused.
    What changes the guided guess goes inside, `CFGPlusPlus(Rescale(ClassifierFreeGuidance(0.6)))`,
    thresholds too; only `Interval` (and `ReconstructionGuidance`) may go outside.

    Args:
        guidance: What makes the guided guess; a number in 0 (the unconditional guess) .. 1 (the
            conditional one) stands for `ClassifierFreeGuidance` of that scale.

    Raises:
        ValueError: If a number is outside 0..1, or another `CFGPlusPlus` is inside; when called
            outside `diffusion.sample` or by a solver of several calls a step.

    Source: Chung et al. 2024, arXiv 2406.08070, algorithm 2.
    """

    guidance: BaseGuidance | float

    def __post_init__(self) -> None:
        """Refuse a scale of the usual kind, and what cannot be inside."""
        check_inside(self, self.guidance)
        if not isinstance(self.guidance, BaseGuidance) and not 0 <= self.guidance <= 1:
            raise ValueError(
                "a scale of CFGPlusPlus lies in 0 (the unconditional guess) .. 1 (the conditional "
                f"one), got {self.guidance}: take such as 0.6, or ClassifierFreeGuidance without it"
            )

    @property
    def goes_outside(self) -> bool:
        """True: what it returns is stretched, and no guess of the clean signal to be changed."""
        return True

    @property
    def needs_null(self) -> bool:
        """True: the noise is always the unconditional one."""
        return True

    def start(self) -> Rule:
        """Return the rule that stretches what the inner rule moved."""
        inner = as_guidance(self.guidance).start()

        def stretch(guesses: Guesses) -> Tensor:
            factor = 1 / shrinkage(_only_call(guesses))
            unconditional = guesses.unconditional  # the one call, before the inner rule asks
            moved = inner(guesses) - unconditional
            return unconditional + lift(factor, moved).to(moved.dtype) * moved

        return stretch


def shrinkage(step: GuessedStep) -> Tensor:
    """Return `1 - exp(-h)` of a step, of the shape of its time; 1 where it does not move."""
    exact = [time.to(torch.promote_types(time.dtype, torch.float32)) for time in step[:2]]
    (alpha, sigma), (next_alpha, next_sigma) = (step.schedule.alpha_sigma(t) for t in exact)
    kept = (alpha * next_sigma) / (next_alpha * sigma)  # exp(-h), 0 from pure noise and to clean
    return torch.where(exact[0] > exact[1], 1 - kept, 1.0)


def _only_call(guesses: Guesses) -> GuessedStep:
    step = guesses.step
    if step is None:
        raise ValueError(
            "CFG++ must know where each step goes, got a call without a step: sample with "
            "diffusion.sample, handing it the guided denoiser itself"
        )
    if guesses.time is not step.time and not torch.equal(guesses.time, step.time):
        raise ValueError(
            "CFG++ needs a solver with one net call a step, such as Euler, got a call at a time "
            "inside the step: choose Euler, or ClassifierFreeGuidance for this solver"
        )
    return step
