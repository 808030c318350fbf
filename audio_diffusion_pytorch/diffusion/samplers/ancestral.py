"""The ancestral samplers of the 0.0.x releases: a step down too far, then fresh noise."""

from __future__ import annotations

from dataclasses import replace

from audio_diffusion_pytorch.diffusion.objectives import KDiffusion, VKDiffusion
from audio_diffusion_pytorch.diffusion.solvers import EulerAncestral
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, Solver, State

from .sigma_sampler import SigmaSampler


class AEulerSampler(SigmaSampler):
    """Euler ancestral: a step below the next level, then fresh noise up to it; one call a step.

    Called as in the 0.0.x releases, which stopped one step before the last sigma and so left the
    noise of `sigma_min` in the result; here it goes all the way.

    Source: Ho et al. 2020, arXiv 2006.11239 (ancestral sampling), with sigmas for time.
    """

    diffusion_types = [KDiffusion, VKDiffusion]  # noqa: RUF012

    def make_solver(self, num_steps: int) -> Solver:
        """Return the ancestral Euler step."""
        del num_steps
        return EulerAncestral(eta=1.0)


class ADPM2Sampler(SigmaSampler):
    """Ancestral DPM-2: the slope is taken halfway down; two net calls a step, one to the clean end.

    Called as in the 0.0.x releases, which stopped one step before the last sigma and so left the
    noise of `sigma_min` in the result; here it goes all the way, the last step by the guess alone.

    Args:
        rho: Where halfway is: the middle of `sigma^(1 / rho)`; 1 is the plain middle.

    Raises:
        ValueError: If `rho` is not above 0.

    Source: Karras et al. 2022, arXiv 2206.00364, section 3 and appendix D.2 (second-order steps
    with a middle point); the noise as in `AEulerSampler`.
    """

    diffusion_types = [KDiffusion, VKDiffusion]  # noqa: RUF012

    def __init__(self, rho: float = 1.0) -> None:
        super().__init__()
        if not rho > 0:
            raise ValueError(f"rho must be above 0 (1 is the plain middle), got {rho}")
        self.rho = rho

    def make_solver(self, num_steps: int) -> Solver:
        """Return the ancestral midpoint step."""
        del num_steps
        return AncestralMidpoint(self.rho)


class AncestralMidpoint:
    """A midpoint step in sigma below the next level, then fresh noise up to it."""

    order: int | None = None
    net_calls = 2

    def __init__(self, rho: float) -> None:
        self.rho = rho

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; signals stand at `x0 + sigma noise`."""
        x = state.x
        sigma, upper = (schedule.alpha_sigma(v)[1] for v in (state.time, state.next_time))
        clean = denoiser(x, state.time)
        arrived = replace(state, time=state.next_time, index=state.index + 1, clean=clean)
        if not bool((upper > 0).any()):
            return replace(arrived, x=clean)
        # Of the variance at the next level, this much is drawn anew; the rest is walked to.
        fresh = (upper / sigma) ** 2 * (sigma**2 - upper**2)
        lower = (upper**2 - fresh).clamp_min(0).sqrt()
        middle = ((sigma ** (1 / self.rho) + lower ** (1 / self.rho)) / 2) ** self.rho
        level, lower, between = (lift(v, x).to(x.dtype) for v in (sigma, lower, middle))
        halfway = x + (x - clean) / level * (between - level)
        time = schedule.time_at(-2 * middle.log())
        clean = denoiser(halfway, time)
        x = x + (halfway - clean) / between * (lower - level)
        x = x + lift(fresh.sqrt(), x).to(x.dtype) * noise(x, state.time, state.next_time)
        return replace(arrived, x=x, clean=clean)
