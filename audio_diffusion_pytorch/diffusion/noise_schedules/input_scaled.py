"""A schedule for a signal that was made fainter before the noise came."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

from torch import Tensor

from audio_diffusion_pytorch.ops.classes import refuse_class
from audio_diffusion_pytorch.protocols import NoiseSchedule

from .shifted import Shifted


@dataclass(frozen=True)
class InputScaled:
    """Another schedule, its clean signal scaled by `scale` under the same noise.

    The paper diffuses `scale x0` and divides the noisy signal by its deviation before the network
    sees it. Here that division is part of the schedule: the state is
    `(scale alpha x0 + sigma noise) / sqrt(scale^2 alpha^2 + sigma^2)` on a base of unit variance.
    So at time 0 it is `x0` itself: data and samples need no scaling by whoever trains and samples.

    What is left of the idea is noise that is louder by `1 / scale`: this is
    `Shifted(base, 2 log(scale))`, on any base. Scaling the input and shifting the log-SNR are one
    thing.

    Args:
        base: The schedule of the unscaled signal.
        scale: Above 0; below 1 gives more noise at every time. The paper uses 0.1 to 1, less for
            larger images.

    Raises:
        ValueError: If the scale is not above 0, or a class is given for a schedule.

    Source: Chen 2023, "On the Importance of Noise Scheduling for Diffusion Models",
    arXiv 2301.10972, section 2 ("input scaling").
    """

    base: NoiseSchedule
    scale: float

    def __post_init__(self) -> None:
        refuse_class("base", self.base)
        if not 0 < self.scale < inf:
            raise ValueError(f"InputScaled needs a scale above 0, got {self.scale}")

    @property
    def shifted(self) -> Shifted:
        """The same schedule as a shift of the log-SNR."""
        return Shifted(self.base, 2 * log(self.scale))

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        return self.shifted.alpha_sigma(time)

    def log_snr(self, time: Tensor) -> Tensor:
        """Return the log-SNR of the base plus `2 log(scale)`, nats."""
        return self.shifted.log_snr(time)

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the time with this log-SNR."""
        return self.shifted.time_at(log_snr)

    def gains(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` with this log-SNR on the curve of the base."""
        return self.shifted.gains(log_snr)
