"""A schedule made noisier or cleaner at every time."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log

from torch import Tensor

from audio_diffusion_pytorch.ops.classes import refuse_class
from audio_diffusion_pytorch.protocols import NoiseSchedule

from .paths import gains_at


@dataclass(frozen=True)
class Shifted:
    """Another schedule with a constant added to its log-SNR; it stays on the same curve.

    A shift below 0 gives more noise at every time. It is what a long or high-rate signal needs:
    its neighbouring samples repeat one another, so the same noise hides less of it. Times 0 and
    (where the base ends in pure noise) 1 stay what they were.

    On `StraightPath` a shift of `-2 log s` is the time shift `t' = s t / (1 + (s - 1) t)` of
    Stable Diffusion 3; on `HalfCircle` it is the shifted cosine schedule of simple diffusion.

    Args:
        base: The schedule to shift.
        shift: Added to the log-SNR, nats; finite.

    Raises:
        ValueError: If the shift is not finite, or a class is given for a schedule.

    Source: Hoogeboom et al. 2023, "simple diffusion", arXiv 2301.11093, section 3.1; Esser et al.
    2024, arXiv 2403.03206, eq. 23.
    """

    base: NoiseSchedule
    shift: float

    def __post_init__(self) -> None:
        refuse_class("base", self.base)
        if not isfinite(self.shift):
            raise ValueError(f"Shifted needs a finite shift of the log-SNR, got {self.shift}")

    @classmethod
    def for_length(cls, base: NoiseSchedule, length: int, base_length: int) -> Shifted:
        """Return a schedule that hides `length` values as well as `base` hides `base_length`.

        The mean over k neighbours that say the same has k times the SNR of one, so the shift is
        `-log(length / base_length)`: a factor `s = sqrt(length / base_length)` in Stable
        Diffusion 3, and simple diffusion's `2 log(64 / d)` for images of `d x d` pixels.

        Args:
            base: The schedule that suits `base_length`.
            length: Values a channel of the signal to train on.
            base_length: Values a channel of the signal that `base` suits.

        Raises:
            ValueError: If a length is not above 0.
        """
        if min(length, base_length) <= 0:
            raise ValueError(
                f"Shifted.for_length needs lengths above 0, got {length} and {base_length}"
            )
        return cls(base, log(base_length / length))

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        return self.gains(self.log_snr(time))

    def log_snr(self, time: Tensor) -> Tensor:
        """Return the log-SNR of the base plus the shift, nats."""
        return self.base.log_snr(time) + self.shift

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the time with this log-SNR."""
        return self.base.time_at(log_snr - self.shift)

    def gains(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` with this log-SNR on the curve of the base."""
        return gains_at(self.base, log_snr)
