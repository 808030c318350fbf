"""Upstream's sampler, called as upstream calls it: `VSampler(net)(x_noisy, num_steps)`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.diffusion.denoiser import denoise
from audio_diffusion_pytorch.diffusion.grids import LinearSchedule
from audio_diffusion_pytorch.diffusion.objectives import VDiffusion
from audio_diffusion_pytorch.diffusion.parameterizations import VPrediction
from audio_diffusion_pytorch.diffusion.sampler import Callback
from audio_diffusion_pytorch.diffusion.solvers import Euler
from audio_diffusion_pytorch.diffusion.upstream_levels import HalfCircleLevels
from audio_diffusion_pytorch.protocols import Constraint, Grid, Guidance, NoiseSource, Solver

from .base import Sampler
from .walk import check_method, times_of, walk


class VSampler(HalfCircleLevels, Sampler):
    """Samples a net trained with `VDiffusion`; by default deterministic DDIM, a net call a step.

    Args:
        net: The trained net.
        schedule: The grid of times; default linear from 1 to 0.
        solver: Makes the steps; default `Euler()`, which is DDIM.

    Raises:
        ValueError: If the grid or the solver is not an object of its kind.

    Source: Song et al. 2020, arXiv 2010.02502, eq. 12 with sigma = 0.
    """

    diffusion_types = [VDiffusion]  # noqa: RUF012

    def __init__(
        self, net: nn.Module, schedule: Grid | None = None, *, solver: Solver | None = None
    ) -> None:
        super().__init__()
        self.net = net
        self.schedule: Grid = LinearSchedule() if schedule is None else schedule
        self.solver: Solver = Euler() if solver is None else solver
        check_method(self.solver, self.schedule, grid_name="schedule")

    @torch.no_grad()
    def forward(
        self,
        x_noisy: Tensor,
        num_steps: int | None = None,
        show_progress: bool = False,
        *,
        solver: Solver | None = None,
        grid: Grid | None = None,
        guidance: Guidance | None = None,
        null_cond: dict[str, Any] | None = None,
        noise: NoiseSource | None = None,
        constraint: Constraint | None = None,
        callback: Callback | None = None,
        times: Tensor | None = None,
        **cond: Any,
    ) -> Tensor:
        """Return the signal of the shape of `x_noisy`, clean if the last time is 0.

        Args:
            x_noisy: Unit-variance noise `(b, c, *t)`, or a signal at the level of the first time
                (a schedule that starts below 1): taken as it is.
            num_steps: Steps; each costs `solver.net_calls` calls of the net. 30 is a good start,
                10 a quick listen. Left out only where `times` are given.
            show_progress: Show a progress bar.
            solver: Makes the steps of this call, in place of the sampler's own.
            grid: The times of this call, in place of the sampler's own.
            guidance: Follows the condition more closely, such as `ClassifierFreeGuidance(3.0)`.
            null_cond: What stands for "no condition" under guidance.
            noise: Gives stochastic solvers their noise; default torch's global generator.
            constraint: Keeps to something known, such as `Inpainting(known, mask)`.
            callback: Called with the `State` after each step.
            times: Falling times `(n + 1,)` or `(n + 1, b, 1, *t)` to walk instead of the grid's.
            **cond: Handed to the net.

        Raises:
            ValueError: If there are no steps, the times do not fall or leave 0..1, or an option is
                not of its kind.
        """
        return walk(
            self._denoise,
            self._levels(),
            self.solver if solver is None else solver,
            x_noisy,
            times_of(self.schedule if grid is None else grid, num_steps, times, x_noisy),
            cond,
            net=self.net,
            guidance=guidance,
            null_cond=null_cond,
            noise=noise,
            constraint=constraint,
            callback=callback,
            show_progress=show_progress,
        )

    def _denoise(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        return denoise(self.net, self._levels(), VPrediction(), x, time, **cond)
