"""The call of the 0.0.x samplers, `sampler(noise, fn, sigmas, num_steps)`, over the one loop."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from audio_diffusion_pytorch.diffusion.checks import check_whole
from audio_diffusion_pytorch.diffusion.constraints import RePaint
from audio_diffusion_pytorch.diffusion.noise_schedules import VarianceExploding
from audio_diffusion_pytorch.diffusion.sampler import Callback, sample
from audio_diffusion_pytorch.ops.random import randn_like
from audio_diffusion_pytorch.protocols import Constraint, Denoiser, NoiseSource, Solver

from .base import Sampler

HEADROOM = 1.5  # a step of churn raises the noise to at most sqrt(2) times the first sigma


class SigmaSampler(Sampler):
    """Base of the 0.0.x samplers: they take any `fn(x, sigma=...) -> x0` and a row of sigmas.

    Signals stand at `x0 + sigma noise` (variance exploding), and `fn` is a method's `denoise_fn`,
    such as `KDiffusion(net, ...).denoise_fn`. A subclass gives `make_solver`.
    """

    def make_solver(self, num_steps: int) -> Solver:
        """Return what makes the steps of a walk of `num_steps`."""
        del num_steps
        raise TypeError(f"{type(self).__name__} must define make_solver(num_steps)")

    @torch.no_grad()
    def forward(
        self,
        noise: Tensor,
        fn: Callable[..., Tensor],
        sigmas: Tensor,
        num_steps: int,
        *,
        step_noise: NoiseSource | None = None,
        constraint: Constraint | None = None,
        callback: Callback | None = None,
        show_progress: bool = False,
    ) -> Tensor:
        """Return the signal `(b, c, *t)` at the last sigma: clean where that is 0.

        Args:
            noise: Unit-variance start noise `(b, c, *t)`; multiplied by `sigmas[0]` here.
            fn: `fn(x, sigma=sigma) -> x0`, `sigma` a tensor without axes.
            sigmas: `num_steps + 1` falling noise levels, as `KarrasSchedule` returns them.
            num_steps: Steps.
            step_noise: Gives each step its noise; default torch's global generator.
            constraint: Keeps to something known.
            callback: Called with the `State` after each step.
            show_progress: Show a progress bar.

        Raises:
            ValueError: If there are no steps, or the sigmas are not `num_steps + 1` falling values.
        """
        check_sigmas(sigmas, num_steps)
        # Equal steps of time are equal steps of sigma (rho = 1), so no digit is lost between them.
        schedule = VarianceExploding(sigma_max=HEADROOM * float(sigmas[0]), rho=1.0)
        dtype = torch.promote_types(noise.dtype, torch.float32)
        levels = sigmas.to(noise.device, dtype)
        return sample(
            _as_denoiser(fn, schedule),
            levels[0].to(noise.dtype) * noise,
            levels / schedule.sigma_max,
            self.make_solver(num_steps),
            schedule,
            noise=step_noise,
            constraint=constraint,
            callback=callback,
            show_progress=show_progress,
        )

    def inpaint(
        self,
        source: Tensor,
        mask: Tensor,
        fn: Callable[..., Tensor],
        sigmas: Tensor,
        num_steps: int,
        num_resamples: int,
        *,
        noise: Tensor | None = None,
        step_noise: NoiseSource | None = None,
        callback: Callback | None = None,
        show_progress: bool = False,
    ) -> Tensor:
        """Return `source` where the mask is True, and what fits it elsewhere.

        By `RePaint`: every step is made `num_resamples` times, each but the last followed by fresh
        noise back up. (In 0.0.x only `ADPM2Sampler` had this, and it kept one noise on the source
        for all visits of a level.)

        Args:
            source: The signal to keep part of, `(b, c, *t)`; anything where the mask is False.
            mask: True (or 1) keeps; broadcasts over the source.
            fn: As in `forward`.
            sigmas: As in `forward`.
            num_steps: As in `forward`.
            num_resamples: Visits of each level, 1 or more.
            noise: Start noise of the shape of the source; drawn by default.
            step_noise: As in `forward`; must be fresh at each visit, as `GaussianNoise` is.
            callback: As in `forward`.
            show_progress: As in `forward`.

        Raises:
            ValueError: As `forward`; if there is no visit or the mask does not fit.
        """
        made: Tensor = self(
            randn_like(source) if noise is None else noise,
            fn,
            sigmas,
            num_steps,
            step_noise=step_noise,
            constraint=RePaint(source, mask, visits=num_resamples),
            callback=callback,
            show_progress=show_progress,
        )
        return made


def _as_denoiser(fn: Callable[..., Tensor], schedule: VarianceExploding) -> Denoiser:
    def denoiser(x: Tensor, time: Tensor) -> Tensor:
        return fn(x, sigma=schedule.alpha_sigma(time)[1][0])

    return denoiser


def check_sigmas(sigmas: Tensor, num_steps: int) -> None:
    """Refuse noise levels that cannot be walked in `num_steps`.

    Raises:
        ValueError: If there are no steps, or the sigmas are not `num_steps + 1` falling values.
    """
    check_whole("num_steps", num_steps)
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}")
    if sigmas.ndim != 1 or len(sigmas) != num_steps + 1:
        raise ValueError(
            f"sigmas must be {num_steps + 1} noise levels for {num_steps} steps (the last is 0 for "
            f"a clean result), got shape {tuple(sigmas.shape)}"
        )
    if not bool((sigmas.diff() < 0).all()) or float(sigmas[-1]) < 0:
        raise ValueError(
            "sigmas must fall from noise to clean (0) at every step, got a row that starts at "
            f"{float(sigmas[0]):.4g} and ends at {float(sigmas[-1]):.4g}"
        )
