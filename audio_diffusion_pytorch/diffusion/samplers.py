"""Samplers called as upstream calls them: `sampler(x_noisy, num_steps=...)`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.protocols import Grid, Guidance

from .denoiser import bind_denoiser, denoise
from .grids import LinearSchedule
from .noise_schedules import HalfCircle
from .objectives import VDiffusion
from .parameterizations import VPrediction
from .sampler import sample
from .solvers import Euler


class Sampler(nn.Module):
    """Base of the samplers: subclass it and give `forward(x_noisy, num_steps, **cond)`."""


class VSampler(Sampler):
    """Deterministic DDIM for a net trained with `VDiffusion`; one net call a step.

    Args:
        net: The trained net.
        schedule: The grid of times; default linear from 1 to 0.

    Source: Song et al. 2020, arXiv 2010.02502, eq. 12 with sigma = 0.
    """

    diffusion_types = [VDiffusion]  # noqa: RUF012  upstream's attribute, kept for its users

    def __init__(self, net: nn.Module, schedule: Grid | None = None) -> None:
        super().__init__()
        self.net = net
        self.schedule: Grid = LinearSchedule() if schedule is None else schedule

    @torch.no_grad()
    def forward(
        self,
        x_noisy: Tensor,
        num_steps: int,
        show_progress: bool = False,
        *,
        guidance: Guidance | None = None,
        null_cond: dict[str, Any] | None = None,
        **cond: Any,
    ) -> Tensor:
        """Return the clean signal of the shape of `x_noisy (b, c, *t)`.

        Args:
            x_noisy: Unit-variance noise, or a signal at the level the schedule starts from.
            num_steps: Steps, one net call each; 30 is a good start, 10 a quick listen.
            show_progress: Show a progress bar.
            guidance: Follows the condition more closely, such as `ClassifierFreeGuidance(3.0)`.
            null_cond: What stands for "no condition" under guidance.
            **cond: Handed to the net.

        Raises:
            ValueError: If `num_steps` is below 1.
        """
        if num_steps < 1:
            raise ValueError(f"num_steps must be at least 1, got {num_steps}")
        times = self.schedule(num_steps + 1, x_noisy.device)
        schedule, parameterization = HalfCircle(), VPrediction()
        if guidance is None:
            denoiser = bind_denoiser(self.net, schedule, parameterization, **cond)
        else:

            def free(x: Tensor, time: Tensor, **cond: Any) -> Tensor:
                return denoise(self.net, schedule, parameterization, x, time, **cond)

            denoiser = guidance(free, cond, null_cond or {})
        return sample(denoiser, x_noisy, times, Euler(), schedule, show_progress=show_progress)
