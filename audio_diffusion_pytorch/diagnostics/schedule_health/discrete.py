"""Chains of numbered steps: what is lost where a short list of levels is laid over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diffusion.noise_schedules import DiscreteBetas

from .levels import DB_A_NAT

Betas = Sequence[float] | Tensor


class AlignedLevels(NamedTuple):
    """Levels of a list of betas found among those of training.

    Attributes:
        steps: Where each level that was found lies among the training steps `(k,)`, numbered from
            0, in fractions of a step.
        kept: Which levels of the list were found.
        dropped: Which levels lie outside of all that training knew.
        dropped_db: Their signal over noise, dB.
    """

    steps: Tensor
    kept: list[int]
    dropped: list[int]
    dropped_db: list[float]


def align_levels(training: Betas, sampling: Betas) -> AlignedLevels:
    """Find the level after each beta of a sampling list among the levels of training.

    Between two training steps the place is linear in the gain of the signal, as DiffWave's fast
    sampling has it. What lies outside has no place: code that appends only what it finds makes
    fewer steps than it was asked for.

    Args:
        training: Betas of the training steps.
        sampling: Betas of the sampling steps, from clean to noisy.

    Source: Kong et al. 2020, "DiffWave", arXiv 2009.09761, appendix B (aligned steps).
    """
    known, wanted = (DiscreteBetas(betas).alphas_cumprod.sqrt() for betas in (training, sampling))
    slack = 1e-9  # the same beta in another precision is the same
    inside = (wanted <= known[0] + slack) & (wanted >= known[-1] - slack)
    found = wanted[inside]
    above = (torch.searchsorted(-known, -found, right=True) - 1).clamp(0, max(len(known) - 2, 0))
    below = (above + 1).clamp(max=len(known) - 1)
    share = (known[above] - found).clamp_min(0) / (known[above] - known[below]).clamp_min(1e-300)
    power = wanted.square()
    levels = DB_A_NAT * (power.log() - torch.log1p(-power))
    dropped = (~inside).nonzero().flatten().tolist()
    return AlignedLevels(
        above + share,
        inside.nonzero().flatten().tolist(),
        dropped,
        [float(levels[place]) for place in dropped],
    )


def check_levels_kept(training: Betas, sampling: Betas) -> Finding:
    """Look at whether each level of a sampling list has a place among those of training.

    Args:
        training: Betas of the training steps.
        sampling: Betas of the sampling steps, from clean to noisy.
    """
    aligned = align_levels(training, sampling)
    asked, kept = len(sampling), len(aligned.kept)
    figures: dict[str, float | str] = {
        "steps_asked": float(asked),
        "steps_kept": float(kept),
        "dropped": ", ".join(map(str, aligned.dropped)) or "none",
        "aligned_steps": ", ".join(f"{step:.3f}" for step in aligned.steps.tolist()),
    }
    if kept == asked:
        return Finding(
            "levels kept", "ok", f"all {asked} levels of the sampling list lie among the training "
            "levels", "", figures,
        )  # fmt: skip
    shown = [
        f"{place + 1} ({level:.1f} dB)"
        for place, level in list(zip(aligned.dropped, aligned.dropped_db, strict=True))[:4]
    ]
    more = ", ..." if len(aligned.dropped) > 4 else ""
    return Finding(
        "levels kept",
        "wrong",
        f"asked for {asked} steps, {kept} are left, right is {asked}: levels of the list lie "
        f"outside of training and are dropped, number {', '.join(shown)}{more}",
        "take the times from the training schedule itself, such as EvenLevels(schedule), or leave "
        "these levels out of the list",
        figures,
    )
