"""DPM-Solver++ 2S: second order by one look half way, with or without new noise."""

from __future__ import annotations

import torch

from audio_diffusion_pytorch.diffusion.exponential import (
    add_noise,
    ancestral_split,
    check_eta,
    finish,
    first_order_step,
    step_levels,
    time_within,
)
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State


class DPMpp2S:
    """Step half way in the log-SNR, and take the whole step with the clean signal guessed there.

    Two net calls a step, one where the step starts from pure noise or ends at clean: 2 n - 1 for n
    steps down to clean. Order 2; none is defined with new noise. The result is the first-order step
    plus `alpha' (1 - e^(-h)) (x0_mid - x0)`, never more than the guess itself, so wide steps are
    safe.

    Args:
        eta: Share of new noise: 0 is deterministic, 1 the ancestral variant of k-diffusion.

    Raises:
        ValueError: If `eta` is below 0 or not finite.

    Source: Lu et al. 2022, "DPM-Solver++", arXiv 2211.01095, algorithm 1 (2S, r = 1/2).
    """

    order: int | None = 2
    net_calls = 2

    def __init__(self, eta: float = 0.0) -> None:
        self.eta = check_eta(eta)
        self.order = None if eta else 2

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; a deterministic step asks for no noise."""
        down, up = ancestral_split(step_levels(schedule, state), self.eta)
        clean = denoiser(state.x, state.time)
        x = first_order_step(state.x, clean, down)
        if bool(down.inner.any()):
            time = time_within(schedule, state, down, 0.5)
            middle = first_order_step(state.x, clean, step_levels(schedule, state, time))
            change = denoiser(middle, time) - clean
            weight = down.next_alpha * -torch.expm1(-down.safe_width)
            x = torch.where(down.inner, x + weight * change, x)
        return finish(state, add_noise(x, up, state, noise), clean)
