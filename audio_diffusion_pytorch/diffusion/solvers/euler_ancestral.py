"""Euler's method with part of the noise replaced at every step."""

from __future__ import annotations

from audio_diffusion_pytorch.diffusion.exponential import check_eta, euler_step
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State


class EulerAncestral:
    """An Euler step to less noise than wanted, then new noise up to the level: "Euler a".

    One net call a step. In any schedule this is DDIM with the same `eta`, so `eta=1` also is the
    posterior of DDPM (`Ancestral("small")`) and the first-order SDE DPM-Solver++; it has a name of
    its own because users ask for it by name. Its noise keeps the result from settling: more steps
    give another sound, unless a `BrownianNoise` gives every step count the same path.

    Args:
        eta: Share of new noise: 0 is the deterministic Euler step, 1 as much as the forward process
            has between the levels, more is cut where all noise is new.

    Raises:
        ValueError: If `eta` is below 0 or not finite.

    Source: Song et al. 2020, "DDIM", arXiv 2010.02502, eqs. 12 and 16; known by this name from
    k-diffusion, which works it out beside an unscaled signal (`alpha = 1`).
    """

    order: int | None = None
    net_calls = 1

    def __init__(self, eta: float = 1.0) -> None:
        self.eta = check_eta(eta)

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; without new noise none is asked for."""
        return euler_step(denoiser, state, schedule, noise, self.eta)
