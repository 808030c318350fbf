"""One sampler for every training method, solver and grid."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from audio_diffusion_pytorch.diffusion.checks import check_part
from audio_diffusion_pytorch.diffusion.denoiser import levels_at
from audio_diffusion_pytorch.diffusion.grids import EvenLevels
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion
from audio_diffusion_pytorch.diffusion.sampler import Callback
from audio_diffusion_pytorch.diffusion.solvers import DPMpp2M
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import (
    Constraint,
    Denoiser,
    Grid,
    Guidance,
    NoiseSchedule,
    NoiseSource,
    Solver,
)

from .base import Sampler
from .walk import check_method, times_of, walk


class Method(Protocol):
    """What a `DiffusionSampler` needs of a training method; any `GaussianDiffusion` has it."""

    schedule: NoiseSchedule

    def denoiser(self, **cond: Any) -> Denoiser:
        """Return the denoiser `(x, time) -> x0` with this conditioning bound."""


class DiffusionSampler(Sampler):
    """Samples what any training method has learnt, by any solver on any grid.

    The level at which a method starts differs (1 on a half circle, 80 for EDM), and so does what
    its net says; the sampler takes both from the method itself, so that unit-variance noise goes
    in and clean signals come out whatever it is, even where a schedule of your own scales the
    clean signal itself (`alpha` at time 0 is not 1).

    Args:
        diffusion: The method, such as `VDiffusion(net)` or `FlowDiffusion(net)`: an object with a
            `schedule` and `denoiser(**cond)`.
        solver: Makes the steps; default `DPMpp2M()`, one net call a step.
        grid: The times to visit; default `EvenLevels(diffusion.schedule)`, the same noise levels
            for every method, from the noisiest to clean.

    Raises:
        ValueError: If a part is not of its kind, such as a class given for an object.
    """

    diffusion_types = [GaussianDiffusion]  # noqa: RUF012

    def __init__(
        self, diffusion: Method, *, solver: Solver | None = None, grid: Grid | None = None
    ) -> None:
        super().__init__()
        check_part("diffusion", diffusion, "denoiser", "VDiffusion(net)")
        if not hasattr(diffusion, "schedule"):
            raise ValueError(
                f"diffusion must have a schedule, got {type(diffusion).__name__} without: pass a "
                "GaussianDiffusion or give the object one, such as HalfCircle()"
            )
        self.diffusion = diffusion
        self.solver: Solver = DPMpp2M() if solver is None else solver
        self.grid: Grid = EvenLevels(diffusion.schedule) if grid is None else grid
        check_method(self.solver, self.grid)

    @torch.no_grad()
    def forward(
        self,
        x_noisy: Tensor,
        num_steps: int | None = None,
        show_progress: bool = False,
        *,
        solver: Solver | None = None,
        grid: Grid | None = None,
        init: Tensor | None = None,
        guidance: Guidance | None = None,
        null_cond: dict[str, Any] | None = None,
        noise: NoiseSource | None = None,
        constraint: Constraint | None = None,
        callback: Callback | None = None,
        times: Tensor | None = None,
        **cond: Any,
    ) -> Tensor:
        """Return signals of the shape of `x_noisy`, clean if the last time is 0 (the default is).

        Args:
            x_noisy: Unit-variance noise `(b, c, *t)`; scaled here by the noise gain of the first
                time, whatever the method.
            num_steps: Steps; each costs `solver.net_calls` calls of the net. Left out only
                where `times` are given.
            show_progress: Show a progress bar.
            solver: Makes the steps of this call, in place of the sampler's own.
            grid: The times of this call, in place of the sampler's own.
            init: Clean signal `(b, c, *t)` to start from, mixed with the noise at the first time:
                with a grid that starts below 1, such as `EvenLevels(schedule, start=0.6)`, the
                result keeps its outlines.
            guidance: Follows the condition more closely, such as `ClassifierFreeGuidance(3.0)`.
            null_cond: What stands for "no condition" under guidance.
            noise: Gives stochastic solvers their noise; default torch's global generator.
            constraint: Keeps to something known, such as `Inpainting(known, mask)`.
            callback: Called with the `State` after each step.
            times: Falling times `(n + 1,)` or `(n + 1, b, 1, *t)` to walk instead of the grid's.
            **cond: Handed to the net.

        Raises:
            ValueError: If there are no steps, the times do not fall or leave 0..1, `init` does not
                have the shape of the noise, or an option is not of its kind.
        """
        solver = self.solver if solver is None else solver
        walked = times_of(self.grid if grid is None else grid, num_steps, times, x_noisy)
        schedule = self.diffusion.schedule
        alpha, sigma = levels_at(schedule, walked[0], x_noisy)
        x = sigma * x_noisy
        if init is not None:
            if init.shape != x.shape:
                raise ValueError(
                    f"init must have the shape of the noise, {tuple(x.shape)}, got "
                    f"{tuple(init.shape)}"
                )
            x = alpha * init + x
        x = walk(
            self._denoise,
            schedule,
            solver,
            x,
            walked,
            cond,
            net=_asked_plainly(self.diffusion),
            guidance=guidance,
            null_cond=null_cond,
            noise=noise,
            constraint=constraint,
            callback=callback,
            show_progress=show_progress,
        )
        return _unscale(x, walked[-1], schedule)

    def _denoise(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        return self.diffusion.denoiser(**cond)(x, time)


def _asked_plainly(diffusion: Method) -> object:
    """Return the net, where it is certain that it gets all conditions and just as they are."""
    if not isinstance(diffusion, GaussianDiffusion):
        return None
    return diffusion.net if type(diffusion).predict is GaussianDiffusion.predict else None


def _unscale(x: Tensor, time: Tensor, schedule: NoiseSchedule) -> Tensor:
    """Undo what a schedule does to the clean signal, where `x` got there: divide by `alpha(0)`."""
    alpha = levels_at(schedule, time, x)[0]
    return x / torch.where(lift(time, x) == 0, alpha, torch.ones_like(alpha))
