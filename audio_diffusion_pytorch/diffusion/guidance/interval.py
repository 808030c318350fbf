"""Guiding only at the noise levels where it helps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import NoiseSchedule

from .base import BaseGuidance, Rule
from .classifier_free import as_guidance
from .guesses import Guesses


@dataclass(frozen=True)
class Interval(BaseGuidance):
    """Guide from `low` to `high` only, and follow the plain conditional guess elsewhere.

    At high noise guidance costs variety, near the end it does nothing: left out there, a higher
    scale can be used in between, and a call costs half outside. Decided per item, or per position
    where times are. In a batch that is partly inside, everything is asked in the one doubled call.
    At its ends the guess jumps, which solvers that look back over several steps answer by an
    overshoot: with few steps and a high scale add a threshold, or take Euler.

    Args:
        guidance: What guides inside; a number stands for `ClassifierFreeGuidance` of that scale.
        low: Lowest time that is guided, 0 (clean) or above.
        high: Highest time that is guided, 1 (noise) or below; both ends are inside.

    Raises:
        ValueError: If not `0 <= low <= high <= 1`.

    Source: Kynkaanniemi et al. 2024, arXiv 2404.07724 (there an interval of `sigma`).
    """

    guidance: BaseGuidance | float
    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse an interval outside 0..1, and what is no guidance."""
        as_guidance(self.guidance)
        if not 0.0 <= self.low <= self.high <= 1.0:
            raise ValueError(
                "the interval of guidance must obey 0 <= low <= high <= 1 (times: 1 is noise), got "
                f"low={self.low} and high={self.high}; for log-SNRs use Interval.of_log_snr"
            )

    @classmethod
    def of_log_snr(
        cls, guidance: BaseGuidance | float, low: float, high: float, schedule: NoiseSchedule
    ) -> Interval:
        """Return the interval between two log-SNRs in nats, which mean the same on any schedule.

        Args:
            guidance: As for the class.
            low: Lowest log-SNR (the noisy end); `-inf` reaches up to pure noise.
            high: Highest log-SNR (the clean end); `inf` reaches down to clean.
            schedule: That of the sampling. A level `sigma` of a variance-exploding paper is the
                log-SNR `-2 log(sigma)`.

        Raises:
            ValueError: If `low` is above `high`.
        """
        if not low <= high:
            raise ValueError(
                f"the interval of log-SNRs must obey low <= high, got low={low} and high={high}"
            )
        levels = torch.tensor([high, low], dtype=torch.float64)
        first, last = schedule.time_at(levels).clamp(0, 1).tolist()
        return cls(guidance, first, last)

    @property
    def needs_null(self) -> bool:
        """As the guidance inside."""
        return as_guidance(self.guidance).needs_null

    @property
    def goes_outside(self) -> bool:
        """As the guidance inside."""
        return as_guidance(self.guidance).goes_outside

    def start(self) -> Rule:
        """Return the rule that follows the inner rule inside the interval only."""
        inner = as_guidance(self.guidance).start()

        def choose(guesses: Guesses) -> Tensor:
            inside = (guesses.time >= self.low) & (guesses.time <= self.high)
            if not bool(inside.any()):
                return guesses.conditional
            guided = inner(guesses)
            if bool(inside.all()):
                return guided
            return torch.where(lift(inside, guided), guided, guesses.conditional)

        return choose
