"""Euler's method on the probability-flow ODE: DDIM, with or without new noise."""

from __future__ import annotations

from audio_diffusion_pytorch.diffusion.exponential import check_eta, euler_step
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State


class Euler:
    """Guess the clean signal, keep the noise it implies, mix both anew with less noise.

    One net call a step. `x' = alpha' x0 + sigma' eps` with `eps = (x - alpha x0) / sigma`: the
    same points on every schedule, and Euler's method in `sigma / alpha`. Order 1; none is defined
    with new noise.

    Args:
        eta: Share of new noise: 0 is deterministic DDIM, 1 the posterior of DDPM.

    Raises:
        ValueError: If `eta` is below 0 or not finite.

    Source: Song et al. 2020, "DDIM", arXiv 2010.02502, eqs. 12 and 16; first order (Lu et al. 2022,
    arXiv 2206.00927, section 3.3: DDIM is DPM-Solver-1).
    """

    order: int | None = 1
    net_calls = 1

    def __init__(self, eta: float = 0.0) -> None:
        self.eta = check_eta(eta)
        self.order = None if eta else 1

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; a deterministic step asks for no noise."""
        return euler_step(denoiser, state, schedule, noise, self.eta)
