"""DPM-Solver++ for the reverse SDE: second- and third-order multistep."""

from __future__ import annotations

from math import inf
from typing import Literal, get_args

import torch
from torch import Tensor

from audio_diffusion_pytorch.diffusion.exponential import (
    Levels,
    add_noise,
    check_eta,
    finish,
    step_levels,
)
from audio_diffusion_pytorch.diffusion.multistep import (
    Past,
    moments,
    newton_weights,
    past_nodes,
    weigh,
)
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State
from audio_diffusion_pytorch.serialization import Recorded

Form = Literal["midpoint", "heun"]


class DPMppSDE(Recorded):
    """The 2M and 3M SDE solvers: the guess extended over the step by earlier ones, and new noise.

    One net call a step. The step is exact for a guess that is a polynomial in lambda through the
    points in reach, with h the rise of `lambda = log(alpha / sigma)`:

        x' = alpha' / alpha e^(-(1 + eta) h) x + alpha' int k(s) x0(lambda + s) ds
             + sigma' sqrt(1 - e^(-2 eta h)) noise,    k(s) = (1 + eta) e^(-(1 + eta) (h - s)).

    The first step uses one point, the second two. No order is defined: `eta=0` is deterministic and
    has the order of the multistep solver (2, as the first step is Euler's), with noise the path is
    only as smooth as noise is. With `BrownianNoise` and `eta=1` all step counts follow one path.

    Args:
        order: Points used: 2 ("2M SDE") or 3 ("3M SDE").
        eta: Share of new noise: 0 none, 1 the reverse SDE.
        noise_scale: Factor on the new noise; below 1 for a smoother, less varied result. Any other
            value than 1 leaves the noise level that the net expects.
        form: How `order=2` takes its slope: "midpoint" as if all of it stood at the middle of the
            step, "heun" by the exact integral.
        as_published: Give `order=3` half of its second difference, as k-diffusion and diffusers
            do: for the same figures as theirs. Without noise it costs that solver an order.

    Raises:
        ValueError: If a setting is out of range.

    Source: Lu et al. 2022, "DPM-Solver++", arXiv 2211.01095, section 5 (SDE-DPM-Solver++, second
    order); eta and the third order follow from the integral above, as in k-diffusion.
    """

    order: int | None = None
    net_calls = 1

    def __init__(
        self,
        order: Literal[2, 3] = 2,
        eta: float = 1.0,
        noise_scale: float = 1.0,
        form: Form = "midpoint",
        as_published: bool = False,
    ) -> None:
        if order not in (2, 3):
            raise ValueError(f"the order must be 2 or 3, got {order}")
        if not 0 <= noise_scale < inf:
            raise ValueError(f"noise_scale must be at least 0 and finite, got {noise_scale:g}")
        if form not in get_args(Form):
            raise ValueError(f'form must be "midpoint" or "heun", got {form!r}')
        self.points = order
        self.eta = check_eta(eta)
        self.noise_scale = noise_scale
        self.form = form
        self.as_published = as_published

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; where no noise is added none is asked for."""
        levels = step_levels(schedule, state)
        clean = denoiser(state.x, state.time)
        past: tuple[Past, ...] = state.memory
        weights = newton_weights(self._integrals(levels), past_nodes(levels, past))
        slope = weigh(weights, [point.value for point in past], clean)
        turned = self.eta * levels.width if self.eta else torch.zeros_like(levels.width)
        ratio = levels.ratio * torch.exp(-turned)
        x = ratio * state.x + (levels.next_alpha - ratio * levels.alpha) * clean
        x = x + levels.next_alpha * slope
        up = self.noise_scale * levels.next_sigma * (-torch.expm1(-2 * turned)).sqrt()
        here = Past(clean, levels.alpha, levels.sigma)
        return finish(
            state, add_noise(x, up, state, noise), clean, (here, *past)[: self.points - 1]
        )

    def _integrals(self, levels: Levels) -> list[Tensor]:
        """Return `int k u` and `int k u^2` over the step, as this solver takes them."""
        width = (1 + self.eta) * levels.safe_width
        if self.points == 2 and self.form == "midpoint":
            return [-torch.expm1(-width) / 2]
        first, second = moments(2, width)
        return [first, second / 2 if self.as_published else second]
