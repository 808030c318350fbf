"""Inpainting by replacement: after each step the known part is put back, noised to the level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from audio_diffusion_pytorch.diffusion.denoiser import levels_at
from audio_diffusion_pytorch.protocols import NoiseSchedule, NoiseSource, State

from .masks import check_fit, check_mask, kept_at


class Inpainting:
    """Keep part of a signal and make the rest, without further net calls.

    At each level the kept part becomes `alpha known + sigma noise`; at time 0 it is the known
    signal, bit for bit. The rest is sampled as if that noisy part were its own, and so follows it
    only loosely: for two numbers with correlation 0.9, of which the first is known to be 1.5, the
    second comes out with mean 0.66 where 1.35 is right, at any number of steps. `RePaint` and
    `ReconstructionGuidance` are closer.

    With `GaussianNoise` the kept part gets fresh noise at each level, with `BrownianNoise` that
    of one path. The remembered guesses of a multistep solver stay as they are.

    Args:
        known: The signal to keep, `(b or 1, c or 1, *t)`; anything where the mask is 0.
        mask: `(b or 1, c or 1, *t)`, True (or 1) keeps; floats in between keep for part of the
            walk: `m` down to the level `1 - m` (a time).

    Raises:
        ValueError: If the mask does not broadcast or leaves 0..1; when applied, if the known
            signal or the mask does not fit what is sampled.

    Source: Song et al. 2021, arXiv 2011.13456, appendix I.2; its bias: Trippe et al. 2023,
    arXiv 2206.04119, section 4.
    """

    def __init__(self, known: Tensor, mask: Tensor) -> None:
        check_mask(known, mask)
        self.known, self.mask = known, mask

    def plan(self, grid: Tensor) -> Iterable[tuple[int, int]]:
        """Return each pair of neighbouring levels once."""
        return [(index, index + 1) for index in range(len(grid) - 1)]

    def apply(self, state: State, schedule: NoiseSchedule, noise: NoiseSource) -> State:
        """Return the state with the kept part at its level."""
        x = state.x
        check_fit(self.known, self.mask, x)
        known = self.known.to(x)
        alpha, sigma = levels_at(schedule, state.time, x)
        noisy = alpha * known
        if bool(sigma.any()):
            # From the top level down to this one: a path of noise is then that of the known part.
            noisy = noisy + sigma * noise(x, torch.ones_like(state.time), state.time)
        return replace(state, x=torch.where(kept_at(self.mask, state.time, x), noisy, x))
