"""Upstream's inpainter, called as upstream calls it, over the one loop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.ops.random import randn_like
from audio_diffusion_pytorch.protocols import Grid, Guidance, Solver

from .checks import check_part
from .constraints import RePaint
from .denoiser import denoise
from .grids import LinearSchedule
from .noise import GaussianNoise
from .objectives import VDiffusion
from .parameterizations import VPrediction
from .samplers.walk import times_of, walk
from .solvers import Euler
from .upstream_levels import HalfCircleLevels


class Inpainter(nn.Module):
    """Base of the inpainters: subclass it and give `forward(source, mask, ...)`."""


class VInpainter(HalfCircleLevels, Inpainter):
    """Keeps part of a signal and makes the rest, with a net trained by `VDiffusion`.

    In releases 0.1.x the resampling mixed the guess and the noise anew at the level where they
    already stood, which changes nothing: any `num_resamples` gave what one gives. Now it is
    `RePaint`: each level is visited `num_resamples` times by way of the exact forward kernel. One
    visit is what it was. Masks may also be floats and may broadcast, and a generator makes the
    result repeatable.

    Args:
        net: The trained net.
        schedule: The grid of times; default linear from 1 to 0.
        solver: Makes the steps; default `Euler()`, deterministic DDIM.

    Raises:
        ValueError: If the grid or the solver is not an object of its kind.
    """

    diffusion_types = [VDiffusion]  # noqa: RUF012  upstream's attribute, kept for its users

    def __init__(
        self, net: nn.Module, schedule: Grid | None = None, *, solver: Solver | None = None
    ) -> None:
        super().__init__()
        self.net = net
        self.schedule: Grid = LinearSchedule() if schedule is None else schedule
        self.solver: Solver = Euler() if solver is None else solver
        check_part("schedule", self.schedule, "__call__", "LinearSchedule()")
        check_part("solver", self.solver, "step", "Euler()")

    @torch.no_grad()
    def forward(
        self,
        source: Tensor,
        mask: Tensor,
        num_steps: int,
        num_resamples: int,
        show_progress: bool = False,
        x_noisy: Tensor | None = None,
        *,
        jump: int = 1,
        generator: Generator | None = None,
        guidance: Guidance | None = None,
        null_cond: dict[str, Any] | None = None,
        **cond: Any,
    ) -> Tensor:
        """Return a signal of the shape of `source`, equal to it wherever the mask is True.

        Args:
            source: The signal `(b, c, *t)`; anything where the mask is False.
            mask: `(b or 1, c or 1, *t)`, True (or 1) keeps; a float in between keeps for part of
                the walk, see `Inpainting`.
            num_steps: Levels to visit.
            num_resamples: Visits of each level, 1 or more; 10 to 20 make the rest fit what is
                kept.
            show_progress: Show a progress bar.
            x_noisy: Start noise of the shape of `source` instead of drawn noise.
            jump: Steps that are walked again at a time, see `RePaint`.
            generator: For all noise, on the device of `source`.
            guidance: Follows a condition, or the kept part (`ReconstructionGuidance`), closer.
            null_cond: What stands for "no condition" under guidance.
            **cond: Handed to the net.

        Raises:
            ValueError: If there are no steps or no visits, or the mask, the noise or the
                generator's device does not fit.
        """
        if num_resamples < 1:
            raise ValueError(f"num_resamples must be at least 1 visit, got {num_resamples}")
        if x_noisy is None:
            x_noisy = randn_like(source, generator)
        elif x_noisy.shape != source.shape:
            raise ValueError(
                f"x_noisy must have the shape of the source, {tuple(source.shape)}, got "
                f"{tuple(x_noisy.shape)}"
            )
        return walk(
            self._denoise,
            self._levels(),
            self.solver,
            x_noisy,
            times_of(self.schedule, num_steps, None, x_noisy),
            cond,
            net=self.net,
            guidance=guidance,
            null_cond=null_cond,
            noise=GaussianNoise(generator),
            constraint=RePaint(source, mask, num_resamples, jump),
            show_progress=show_progress,
        )

    def _denoise(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        return denoise(self.net, self._levels(), VPrediction(), x, time, **cond)
