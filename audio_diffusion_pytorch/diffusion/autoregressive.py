"""Autoregressive diffusion: one signal, a noise level for each part of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from tqdm.auto import tqdm

from audio_diffusion_pytorch.ops.random import check_generator, randn
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import Denoiser, Guidance, LossWeight, Solver

from .checks import check_part, check_whole
from .denoiser import NetDenoise, denoise, levels_at
from .noise import GaussianNoise
from .objectives import GaussianDiffusion
from .objectives.gaussian import LossFunction
from .parameterizations import VPrediction
from .sampler import sample
from .samplers import Sampler
from .solvers import Euler
from .upstream_levels import HalfCircleLevels


def append_level(net: Callable[..., Tensor], x: Tensor, time: Tensor, **cond: Any) -> Tensor:
    """Ask a net that takes the noise level as one more channel: `(b, c + 1, t) -> (b, c, t)`."""
    level = lift(time, x).to(x.dtype).expand(len(x), 1, *x.shape[2:])
    return net(torch.cat([x, level], dim=1), **cond)


class _NoisyVelocity(VPrediction):
    """The velocity where there is noise: of what is clean nothing is to be said."""

    def target(self, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the velocity, 0 where `sigma` is."""
        return super().target(clean, noise, alpha, sigma).masked_fill(sigma == 0, 0.0)


class ARVDiffusion(HalfCircleLevels, GaussianDiffusion):
    """Velocity prediction on the half circle, each of `num_splits` parts at a level of its own.

    The net gets the level of every sample as an additional last channel, and no time. It so
    learns to make any part from the others, whichever of them are clean.

    Args:
        net: Takes `(b, c + 1, length)`, gives `(b, c, length)`; called without a time.
        length: Samples of a training signal, a multiple of `num_splits`.
        num_splits: Parts of equal length.
        loss_fn: `(prediction, target) -> scalar`; default the mean squared error.
        weight: Weighs the loss of each item by its mean level.
        start_share: Share of the windows, 0..1, with a clean beginning of any length (none too)
            before a rest at one level, as in the sampler's first window, which levels that are all
            drawn apart hardly ever come near. There it counts only what is made of the rest.

    Raises:
        ValueError: If the parts are not of equal length, or the share leaves 0..1; when called, if
            the signal has another length; as `GaussianDiffusion`.

    Source: audio-diffusion-pytorch 0.1; the same idea: Chen et al. 2024, "Diffusion Forcing",
    arXiv 2407.01392, section 3.
    """

    def __init__(
        self,
        net: nn.Module,
        length: int,
        num_splits: int,
        loss_fn: LossFunction | None = F.mse_loss,
        *,
        weight: LossWeight | None = None,
        start_share: float = 0.0,
    ) -> None:
        super().__init__(net, self._levels(), _NoisyVelocity(), weight=weight, loss_fn=loss_fn)
        if not 0.0 <= start_share <= 1.0:
            raise ValueError(f"start_share must be in 0..1, got {start_share}")
        self.length, self.num_splits = length, num_splits
        self.split_length = check_splits(length, num_splits)
        self.start_share = start_share

    def predict(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        """Return what the net says of a signal whose levels are one more channel of it."""
        said = append_level(self.net, x, time, **cond)
        return said.masked_fill(lift(time, x) == 0, 0.0)

    def draw_times(
        self, num_samples: int, device: torch.device, generator: Generator | None
    ) -> Tensor:
        """Draw training times `(num_samples, 1, length)`, uniform for each part but for starts."""
        check_generator(generator, device)
        draws = torch.rand((num_samples, 1, self.num_splits), device=device, generator=generator)
        if self.start_share > 0:
            share, known = torch.rand(2, num_samples, 1, 1, device=device, generator=generator)
            place = torch.arange(self.length, device=device)
            start = torch.where(place < (known * self.length).floor(), 0, draws[..., -1:])
        draws = draws.repeat_interleave(self.split_length, dim=-1)
        return torch.where(share < self.start_share, start, draws) if self.start_share else draws

    def _check_batch(self, x: Tensor, mask: Tensor | None, reduction: str) -> None:
        if x.ndim != 3 or x.shape[-1] != self.length:
            raise ValueError(
                f"this ARVDiffusion trains on signals (b, c, {self.length}), got "
                f"{tuple(x.shape)}: crop them, or set length when it is made"
            )
        super()._check_batch(x, mask, reduction)


class ARVSampler(HalfCircleLevels, Sampler):
    """Makes signals of any number of parts with a net trained by `ARVDiffusion`.

    A window of `num_splits` parts moves over the signal. Its first half is clean and only looked
    at; in the second the levels rise from part to part like a ladder. A shift brings each part
    down to the level of the one before it, the first of them to 0; then the window moves on by
    one part, and fresh noise comes in at its end.

    What changed since 0.1.x, where `start` was overwritten, odd `num_splits` failed and noise came
    from the global generator only: a `start` is kept bit for bit and continued; with an odd
    number of parts the smaller half is noisy; with one part there is nothing to look at, so the
    parts are independent; `num_steps` is rounded up to a multiple of the parts, not down; shifts
    whose parts would be cut off are left out; any number of parts can be asked for. For what was
    possible the levels are the same, and so is the result from the same noise.

    Args:
        net: The trained net: `(b, in_channels + 1, length)` to `(b, in_channels, length)`.
        in_channels: Channels of the signal, without that of the levels.
        length: Samples of the window, the length it was trained on.
        num_splits: Parts of the window.
        solver: Makes the steps; default `Euler()`, deterministic DDIM. The levels stand still
            where the signal is clean, which every solver honours.

    Raises:
        ValueError: If the parts are not of equal length, or the solver is none.
    """

    diffusion_types = [ARVDiffusion]  # noqa: RUF012

    def __init__(
        self,
        net: nn.Module,
        in_channels: int,
        length: int,
        num_splits: int,
        *,
        solver: Solver | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.in_channels, self.length, self.num_splits = in_channels, length, num_splits
        self.split_length = check_splits(length, num_splits)
        self.num_noisy = max(1, num_splits // 2)
        self.solver: Solver = Euler() if solver is None else solver
        check_part("solver", self.solver, "step", "Euler()")

    @torch.no_grad()
    def forward(
        self,
        num_items: int,
        num_chunks: int,
        num_steps: int,
        start: Tensor | None = None,
        show_progress: bool = False,
        *,
        generator: Generator | None = None,
        guidance: Guidance | None = None,
        null_cond: dict[str, Any] | None = None,
        **cond: Any,
    ) -> Tensor:
        """Return signals `(num_items, in_channels, num_chunks * length / num_splits)`.

        Args:
            num_items: How many.
            num_chunks: Parts of the result, those of `start` included.
            num_steps: Steps of the first window; a shift takes `ceil(num_steps / num_splits)`, so
                a later part takes about half of `num_steps` from noise to clean.
            start: Signal to continue, `(num_items or 1, in_channels, t)`, of the dtype and on the
                device of the net: returned untouched at the beginning. Best a multiple of
                `length / num_splits` long; else one part is known only in part, which a net has
                met if it was trained with `start_share`.
            show_progress: Show a progress bar over the shifts.
            generator: For all noise, on the device of the net.
            guidance: Follows a condition more closely.
            null_cond: What stands for "no condition" under guidance.
            **cond: Handed to the net.

        Raises:
            ValueError: If a count is below 1, `start` does not fit or leaves nothing to make.
        """
        start = self._check(num_items, num_chunks, num_steps, start)
        asked = NetDenoise(self._denoise, self.net)
        if guidance is None:
            denoiser: Denoiser = partial(asked, **asked.prepare(cond))
        else:
            denoiser = guidance(asked, cond, null_cond or {})
        walk = partial(self._walk, denoiser, generator)
        split, noisy = self.split_length, self.num_noisy
        seen = self._seen(start.shape[-1])
        context = start[..., start.shape[-1] - seen :]
        window = walk(*self._first_window(context, num_steps, generator))
        done = torch.cat([start, window[..., seen:]], dim=-1)
        if done.shape[-1] >= num_chunks * split:
            return done[..., : num_chunks * split]
        # The last parts were made clean only to be lifted onto the ladder.
        window, done = done[..., -self.length :], done[..., : -noisy * split]
        ladder = self.ladder(-(-num_steps // self.num_splits)).to(done.device)
        alpha, sigma = levels_at(self._levels(), ladder[0], window)
        window = alpha * window + sigma * _noise_like(window, self.length, generator)
        parts = [done]
        left = num_chunks - done.shape[-1] // split
        for shift in tqdm(range(left), disable=not show_progress, desc="shifts"):
            if shift > 0:
                fresh = _noise_like(window, split, generator)
                window = torch.cat([window[..., split:], fresh], dim=-1)
            window = walk(window, ladder)
            finished = self.length - noisy * split
            parts.append(window[..., finished : finished + split])
        return torch.cat(parts, dim=-1)[..., : num_chunks * split]

    def ladder(self, steps: int) -> Tensor:
        """Return the levels of a shift `(steps + 1, 1, 1, length)` in float32, first to last.

        The last is the first, moved by one part.
        """
        noisy = self.num_noisy
        rungs = torch.linspace(1, 0, steps * noisy).reshape(noisy, steps).flip(0)
        after = torch.cat([torch.zeros(1), rungs[:-1, 0]])
        levels = torch.cat([rungs, after[:, None]], dim=1).T  # (steps + 1, noisy)
        levels = levels.repeat_interleave(self.split_length, dim=-1)
        clean = torch.zeros(steps + 1, self.length - levels.shape[-1])
        return torch.cat([clean, levels], dim=-1)[:, None, None]

    def _seen(self, known: int) -> int:
        """Return how many of the last known samples the first window shows.

        The window then ends with a part; so it holds part of a part, if that many are known.
        """
        most = self.length - self.num_noisy * self.split_length
        if known <= most:
            return known
        return max(0, most - (most - known) % self.split_length)

    def _walk(
        self, denoiser: Denoiser, generator: Generator | None, x: Tensor, times: Tensor
    ) -> Tensor:
        times = times.expand(-1, len(x), -1, -1)
        noise = GaussianNoise(generator)
        return sample(denoiser, x, times, self.solver, self._levels(), noise=noise)

    def _first_window(
        self, context: Tensor, num_steps: int, generator: Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Return a window of `context` and noise, and the times that make the noise a signal."""
        seen = context.shape[-1]
        exact = torch.promote_types(context.dtype, torch.float32)
        times = torch.linspace(1, 0, num_steps + 1, device=context.device, dtype=exact)
        times = times[:, None, None, None].repeat(1, 1, 1, self.length)
        times[..., :seen] = 0
        fresh = _noise_like(context, self.length - seen, generator)
        return torch.cat([context, fresh], dim=-1), times

    def _check(
        self, num_items: int, num_chunks: int, num_steps: int, start: Tensor | None
    ) -> Tensor:
        """Return the start `(num_items, in_channels, t)`, empty where there is none."""
        counts = {"num_items": num_items, "num_chunks": num_chunks, "num_steps": num_steps}
        for name, count in counts.items():
            check_whole(name, count)
        if min(num_items, num_chunks, num_steps) < 1:
            raise ValueError(
                "ARVSampler needs at least 1 item, chunk and step, got "
                f"num_items={num_items}, num_chunks={num_chunks} and num_steps={num_steps}"
            )
        weights = next(self.net.parameters(), torch.empty(0) if start is None else start)
        if start is None:
            return weights.new_empty(num_items, self.in_channels, 0).detach()
        fits = (1, self.in_channels), (num_items, self.in_channels)
        if start.ndim != 3 or tuple(start.shape[:2]) not in fits:
            raise ValueError(
                f"start must be ({num_items} or 1, {self.in_channels}, t), got {tuple(start.shape)}"
            )
        if (start.dtype, start.device) != (weights.dtype, weights.device):
            raise ValueError(
                f"start must be {weights.dtype} on {weights.device} as the net is, got "
                f"{start.dtype} on {start.device}: use start.to({weights.dtype}), or move it"
            )
        if start.shape[-1] == 0:
            raise ValueError("start must have a sample at least, got none: leave it out")
        if start.shape[-1] >= num_chunks * self.split_length:
            raise ValueError(
                f"num_chunks counts those of start too, {start.shape[-1] / self.split_length:g} "
                f"here, so it must be above that, got {num_chunks}"
            )
        return start.expand(num_items, -1, -1)

    def _denoise(self, x: Tensor, time: Tensor, **cond: Any) -> Tensor:
        net = partial(append_level, self.net)
        return denoise(net, self._levels(), VPrediction(), x, time, **cond)


def _noise_like(x: Tensor, length: int, generator: Generator | None) -> Tensor:
    """Return noise `(b, c, length)` for a signal of another length."""
    shape = (*x.shape[:-1], length)
    return randn(shape, generator=generator, device=x.device, dtype=x.dtype)


def check_splits(length: int, num_splits: int) -> int:
    """Return the samples of a part.

    Raises:
        ValueError: If the parts are not of equal length.
    """
    if num_splits < 1 or length < 1 or length % num_splits:
        raise ValueError(
            f"length must be a multiple of num_splits, got {length} samples in {num_splits} parts"
        )
    return length // num_splits
