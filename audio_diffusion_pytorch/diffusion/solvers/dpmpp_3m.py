"""DPM-Solver++ 3M, of third order in truth."""

from __future__ import annotations

from typing import Literal

from audio_diffusion_pytorch.diffusion.exponential import finish, first_order_step, step_levels
from audio_diffusion_pytorch.diffusion.multistep import (
    Past,
    moments,
    newton_weights,
    past_nodes,
    weigh,
)
from audio_diffusion_pytorch.diffusion.single_step import Start, start_order, started
from audio_diffusion_pytorch.protocols import Denoiser, NoiseSchedule, NoiseSource, State


class DPMpp3M:
    """Extend the last three guesses of the clean signal by a parabola in the log-SNR.

    One net call a step, and what the start takes. With the guesses `f0, f1, f2` (newest first), the
    steps `h, h1, h2`, `r0 = h1 / h`, `r1 = h2 / h`, `a = (f0 - f1) / r0` and `b = (f1 - f2) / r1`:

        h f' = a + (a - b) r0 / (r0 + r1),    h^2 f'' = 2 (a - b) / (r0 + r1),

    and the result is the first-order step plus `alpha' (p2 h f' + p3 h^2 f'')` with
    `p2 = 1 - (1 - e^(-h)) / h` and `p3 = 1/2 - p2 / h`, whatever the spacing.

    Two things keep the solver of this name in k-diffusion and diffusers at order 2: they take half
    of `h^2 f''`, and they start with steps of order 1 and 2.

    Args:
        start: How the first two steps are made. "heun", the default: the first by Heun, n + 1 net
            calls in all; order 3. "exact3": both by Runge-Kutta, three net calls more for each,
            n + 6 in all; order 3 and no more accurate. "euler": n calls; order 2. The same again
            where the walk starts afresh: after pure noise, after going back up, and position by
            position. On a mixture, from sigma / alpha 80 to 0, "euler" is the best use of up to 24
            net calls and no worse than "heun" after; "exact3" is far behind below 24.
        as_published: Half of `h^2 f''` and the Euler start, whatever `start`: the same figures as
            k-diffusion's `sample_dpmpp_3m_sde` at eta 0; order 2.

    Raises:
        ValueError: If the start is unknown.

    Source: Lu et al. 2022, "DPM-Solver++", arXiv 2211.01095, eq. 8 with the parabola through three
    points (Newton's form) integrated exactly; Hochbruck and Ostermann 2010, section 2.5.
    """

    order: int | None = 3
    net_calls = 1

    def __init__(
        self, start: Literal["exact3", "heun", "euler"] = "heun", as_published: bool = False
    ) -> None:
        starts: dict[str, Start] = {"exact3": "rk4", "heun": "heun", "euler": "euler"}
        if start not in starts:
            raise ValueError(f"start must be one of {', '.join(starts)}, got {start!r}")
        self.as_published = as_published
        self.start: Start = "euler" if as_published else starts[start]
        self.order = start_order(3, self.start)

    def step(
        self, denoiser: Denoiser, state: State, schedule: NoiseSchedule, noise: NoiseSource
    ) -> State:
        """Return the state at `state.next_time`; no noise is asked for."""
        del noise
        levels = step_levels(schedule, state)
        clean = denoiser(state.x, state.time)
        past: tuple[Past, ...] = state.memory
        line, parabola = moments(2, levels.safe_width)
        nodes = past_nodes(levels, past)
        weights = newton_weights([line, parabola / 2 if self.as_published else parabola], nodes)
        change = weigh(weights, [point.value for point in past], clean)
        x = first_order_step(state.x, clean, levels) + levels.next_alpha * change
        x = started(x, clean, nodes, levels, self.start, 2, (denoiser, state, schedule))
        here = Past(clean, levels.alpha, levels.sigma)
        return finish(state, x, clean, (here, *past)[:2])
