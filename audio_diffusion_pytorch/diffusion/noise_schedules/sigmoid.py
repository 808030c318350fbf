"""A sigmoid from signal to noise: many times spent where learning happens."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, log1p

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .paths import OnCircle


@dataclass(frozen=True)
class Sigmoid(OnCircle):
    """The power of the signal falls as a piece of a sigmoid, stretched to 1..0.

    With `v(t) = sigmoid((start + (end - start) t) / temperature)`:
    `alpha^2 = (v(1) - v(t)) / (v(1) - v(0))`, `sigma^2 = 1 - alpha^2`.

    Args:
        start: Where the piece begins.
        end: Where it ends, above `start`.
        temperature: Above 0; lower makes the middle steeper.

    Raises:
        ValueError: If the piece is empty, or so long that float64 cannot hold its steepness.

    Source: Jabri et al. 2022, arXiv 2212.11972; Chen 2023, arXiv 2301.10972,
    algorithm 1. Both cut it at 1e-9; here both ends are exact.
    """

    start: float = -3.0
    end: float = 3.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and 0 < self._half_width < 300):
            raise ValueError(
                "Sigmoid needs start < end, temperature > 0 and (end - start) / temperature below "
                f"600, got start={self.start}, end={self.end}, temperature={self.temperature}"
            )

    # The differences of sigmoids cancel near both ends. With hyperbolic sines they are products:
    # SNR = sinh(w (1 - t)) / sinh(w t) * cosh(start / 2T) / cosh(end / 2T).

    @property
    def _half_width(self) -> float:
        return (self.end - self.start) / (2 * self.temperature)

    @property
    def _offset(self) -> float:
        ends = (self.start / (2 * self.temperature), self.end / (2 * self.temperature))
        return _log_cosh(ends[0]) - _log_cosh(ends[1])

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        return self.gains(self.log_snr(time))

    def log_snr(self, time: Tensor) -> Tensor:
        """Return the log-SNR in nats; infinite at times 0 and 1."""
        width = self._half_width
        signal = torch.log(-torch.expm1(-2 * width * (1 - time)))
        noise = torch.log(-torch.expm1(-2 * width * time))
        return signal - noise + (width * (1 - 2 * time) + self._offset)

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the time with this log-SNR."""
        # exp(2 w t) = (snr + exp(w)) / (snr + exp(-w)), written for loud and for faint signals.
        width, level = self._half_width, log_snr - self._offset
        loud = logsigmoid(level + width) - logsigmoid(level - width)
        faint = 2 * width - logsigmoid(width - level) + logsigmoid(-level - width)
        return (torch.where(level > 0, loud, faint) / (2 * width)).clamp(0.0, 1.0)


def _log_cosh(value: float) -> float:
    return abs(value) + log1p(exp(-2 * abs(value))) - log(2)
