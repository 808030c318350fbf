"""Noise schedules side by side: where they end, and what a loss on them is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from audio_diffusion_pytorch.diagnostics.finding import Severity
from audio_diffusion_pytorch.diffusion.floors import mean_absolute, target_shares, wiener_loss
from audio_diffusion_pytorch.diffusion.noise_schedules import DiscreteBetas
from audio_diffusion_pytorch.diffusion.parameterizations import EpsilonPrediction
from audio_diffusion_pytorch.protocols import NoiseSchedule

from .levels import snr_db
from .terminal import judge_start

EVEN_LEVELS = 1000
"""Times at which a schedule without steps of its own is looked at."""


@dataclass(frozen=True)
class ScheduleRow:
    """What is to be known of a noise schedule before training on it.

    Attributes:
        name: Of the schedule.
        terminal_alpha: Gain of the signal at the noisiest level, the root of DDPM's last
            cumulative alpha.
        terminal_snr_db: Signal over noise there, at the data's level, dB.
        verdict: On that level as a place to start sampling from.
        floor_l1: The L1 loss of predicting the noise of white data, knowing only its level: a
            network at this loss has learnt nothing.
        floor_mse: The same under the mean square.
    """

    name: str
    terminal_alpha: float
    terminal_snr_db: float
    verdict: Severity
    floor_l1: float
    floor_mse: float

    @property
    def words(self) -> tuple[str, ...]:
        """The cells of the row."""
        snr = f"{self.terminal_snr_db:+.1f} dB"
        floors = f"{self.floor_l1:.3f}", f"{self.floor_mse:.3f}"
        return self.name, f"{self.terminal_alpha:.3f}", snr, self.verdict, *floors


def known_schedules() -> dict[str, NoiseSchedule]:
    """Return schedules that users of latent diffusion took up, by steps and betas."""
    linear = {
        "50, 1e-4..0.05": (50, 1e-4, 0.05),
        "50, 0.0015..0.0195": (50, 0.0015, 0.0195),
        "50, 1e-5..0.0085": (50, 1e-5, 0.0085),
        "200, 1e-4..0.02": (200, 1e-4, 0.02),
        "200, 1e-4..0.05": (200, 1e-4, 0.05),
        "1000, 1e-5..0.0085": (1000, 1e-5, 0.0085),
        "1000, 1e-4..0.02": (1000, 1e-4, 0.02),
        "1000, 0.0015..0.0195": (1000, 0.0015, 0.0195),
    }
    rows: dict[str, NoiseSchedule] = {
        name: DiscreteBetas.linear(*betas) for name, betas in linear.items()
    }
    rows["1000, 0.0015..0.0195 scaled"] = DiscreteBetas.scaled_linear(1000, 0.0015, 0.0195)
    return rows


def schedule_table(
    schedules: Mapping[str, NoiseSchedule] | None = None, std: float = 1.0, first_step: int = 1
) -> list[ScheduleRow]:
    """Return a row for each schedule.

    Args:
        schedules: By name; None takes `known_schedules`.
        std: Root mean square of the data.
        first_step: First step of a chain that is trained, from 1; 2 where the times are drawn from
            `1..T - 1` of `0..T - 1`.
    """
    rows = []
    for name, schedule in (known_schedules() if schedules is None else schedules).items():
        steps = len(schedule.betas) if isinstance(schedule, DiscreteBetas) else EVEN_LEVELS
        times = torch.arange(first_step, steps + 1, dtype=torch.float64) / steps
        alpha, sigma = schedule.alpha_sigma(times)
        white = torch.tensor([std**2], dtype=torch.float64)
        errors = wiener_loss(target_shares(EpsilonPrediction(), alpha, sigma), alpha, sigma, white)
        level = float(snr_db(schedule, times[-1:], std))
        rows.append(
            ScheduleRow(
                name,
                float(alpha[-1]),
                level,
                judge_start(level),
                float(mean_absolute(errors).mean()),
                float(errors.mean()),
            )
        )
    return rows


def schedule_table_text(rows: Sequence[ScheduleRow]) -> str:
    """Return the rows as a table for a terminal."""
    heads = ("schedule", "alpha at the end", "terminal SNR", "verdict", "L1 of nothing", "MSE")
    cells = [heads, *(row.words for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    ]
    return "\n".join(line.rstrip() for line in lines)
