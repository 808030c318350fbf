"""The numbered steps of DDPM, as a schedule over continuous time."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi

import torch
from torch import Tensor

from .paths import OnCircle


class DiscreteBetas(OnCircle):
    """A chain of `T` steps, step i letting in noise of variance `beta_i`; variance stays one.

    `alpha^2 = (1 - beta_1) ... (1 - beta_i)` at time `i / T`; time 0 is clean. Between the steps
    the angle `atan2(sigma, alpha)` is linear in time, which also works where no signal is left.

    Args:
        betas: `T` values above 0 and below 1; the last may be 1 (no signal left).

    Raises:
        ValueError: If there is none, one is out of range or too small to change the level.

    Source: Ho et al. 2020, "DDPM", arXiv 2006.11239, eq. 2 and 4.
    """

    def __init__(self, betas: Sequence[float] | Tensor) -> None:
        if isinstance(betas, Tensor):
            betas = betas.detach().cpu().tolist()
        self.betas = torch.tensor(betas, dtype=torch.float64)
        if self.betas.ndim != 1 or not len(self.betas):
            raise ValueError(
                "DiscreteBetas needs a list of at least one beta, got a tensor of shape "
                f"{tuple(self.betas.shape)}"
            )
        inside = (self.betas > 0) & (self.betas < 1)
        if not bool(inside[:-1].all() and 0 < self.betas[-1] <= 1):
            low, high = float(self.betas.min()), float(self.betas.max())
            raise ValueError(
                "betas must lie above 0 and below 1 (the last may be 1), got values in "
                f"{low:.4g}..{high:.4g}"
            )
        log_power = torch.log1p(-self.betas).cumsum(0)
        alpha, sigma = torch.exp(log_power / 2), torch.sqrt(-torch.expm1(log_power))
        # Angles in quarter turns, from the clean end and from the noise end: each of the two is
        # exact where it is small, in float32 too.
        quarter = 2 / pi
        start = torch.zeros(1, dtype=torch.float64)
        self._turn = torch.cat([start, torch.atan2(sigma, alpha) * quarter])
        self._rest = torch.cat([1 - start, torch.atan2(alpha, sigma) * quarter])
        steps = torch.where(self._turn[1:] < 0.5, self._turn.diff(), -self._rest.diff())
        if not bool((steps > 0).all()):
            where = int((steps <= 0).nonzero()[0])
            raise ValueError(
                f"beta {where + 1} of {len(self.betas)} does not change the level "
                f"({float(self.betas[where]):.4g}): leave it out or make it larger"
            )
        self._levels = _log_snr(self._turn, self._rest)

    def __repr__(self) -> str:
        ends = f"{float(self.betas[0]):.4g}..{float(self.betas[-1]):.4g}"
        return f"DiscreteBetas({len(self.betas)} steps, {ends})"

    @classmethod
    def linear(cls, steps: int = 1000, start: float = 1e-4, end: float = 0.02) -> DiscreteBetas:
        """Return betas in equal steps from `start` to `end` (Ho et al. 2020, section 4).

        Raises:
            ValueError: If there is no step, or an end is out of range.
        """
        _check_steps(steps)
        return cls(torch.linspace(start, end, steps, dtype=torch.float64))

    @classmethod
    def scaled_linear(
        cls, steps: int = 1000, start: float = 0.00085, end: float = 0.012
    ) -> DiscreteBetas:
        """Return betas whose roots rise in equal steps (Rombach et al. 2021, latent diffusion).

        AudioLDM uses 0.0015 to 0.0195.

        Raises:
            ValueError: If there is no step, or an end is out of range.
        """
        _check_steps(steps)
        if min(start, end) <= 0:
            raise ValueError(f"betas must lie above 0, got start={start} and end={end}")
        return cls(torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2)

    @classmethod
    def cosine(
        cls, steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999
    ) -> DiscreteBetas:
        """Return betas that give `alpha` a quarter of a cosine.

        Source: Nichol and Dhariwal 2021, arXiv 2102.09672, eq. 17.

        Args:
            steps: How many.
            offset: Keeps the first betas from being tiny, at least 0.
            max_beta: No beta is larger, in 0..1.

        Raises:
            ValueError: If there is no step, or the offset or the largest beta is out of range.
        """
        _check_steps(steps)
        if offset < 0 or not 0 < max_beta <= 1:
            raise ValueError(
                "the cosine betas need offset >= 0 and max_beta above 0 and at most 1, got "
                f"offset={offset} and max_beta={max_beta}"
            )
        power = [cos((i / steps + offset) / (1 + offset) * pi / 2) ** 2 for i in range(steps + 1)]
        return cls([min(1 - power[i + 1] / power[i], max_beta) for i in range(steps)])

    def with_zero_terminal_snr(self) -> DiscreteBetas:
        """Return the chain with `alpha` stretched so that the last step leaves no signal.

        Without it a network never sees pure noise in training, but is started from it.

        Raises:
            ValueError: If there is only one step, which cannot both stay and move.

        Source: Lin et al. 2023, arXiv 2305.08891, algorithm 1.
        """
        if len(self.betas) < 2:
            raise ValueError("a zero terminal SNR needs at least 2 steps, got 1")
        alpha = self.alphas_cumprod.sqrt()
        alpha = (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
        betas = 1 - (alpha[1:] / alpha[:-1]) ** 2
        return DiscreteBetas(torch.cat([self.betas[:1], betas]))

    @property
    def alphas_cumprod(self) -> Tensor:
        """The power of the signal, `alpha^2`, after each step: `(T,)`, float64 on the CPU."""
        return torch.exp(torch.log1p(-self.betas).cumsum(0))

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(alpha, sigma)` of the shape of `time`."""
        turn, rest = self._angles(time)
        return torch.sin(rest * (pi / 2)), torch.sin(turn * (pi / 2))

    def log_snr(self, time: Tensor) -> Tensor:
        """Return the log-SNR in nats; infinite at time 0."""
        return _log_snr(*self._angles(time))

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the time with this log-SNR; 1 for levels below that of time 1."""
        turn, rest, levels = (v.to(log_snr) for v in (self._turn, self._rest, self._levels))
        steps = len(self.betas)
        index = (torch.searchsorted(-levels, -log_snr.contiguous()) - 1).clamp(0, steps - 1)
        gone = torch.atan(torch.exp(-log_snr / 2)) * (2 / pi) - turn[index]
        left = rest[index] - torch.atan(torch.exp(log_snr / 2)) * (2 / pi)
        share = torch.where(
            turn[index] < 0.5,
            gone / (turn[index + 1] - turn[index]),
            left / (rest[index] - rest[index + 1]),
        )
        return (index + share.clamp(0.0, 1.0)) / steps

    def _angles(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return the angle and what it lacks to pure noise, in quarter turns."""
        turn, rest = self._turn.to(time), self._rest.to(time)
        steps = len(self.betas)
        place = time * steps
        index = place.detach().floor().clamp(0, steps - 1).long()
        share = place - index
        return (
            torch.lerp(turn[index], turn[index + 1], share),
            torch.lerp(rest[index], rest[index + 1], share),
        )


def _log_snr(turn: Tensor, rest: Tensor) -> Tensor:
    early = -2 * torch.log(torch.tan(turn * (pi / 2)))
    late = 2 * torch.log(torch.tan(rest * (pi / 2)))
    return torch.where(turn < 0.5, early, late)


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a chain of betas needs at least 1 step, got {steps}")
