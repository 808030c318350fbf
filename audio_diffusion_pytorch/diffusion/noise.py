"""Noise for stochastic solvers: fresh at every step, or one Brownian path for every step count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import pi
from operator import index
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from audio_diffusion_pytorch.ops.random import randn, randn_like
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import NoiseSchedule

_REACH = 16.0  # nats: half of the tree's range lies within this log-SNR on either side of 0
_DEPTH = 22  # bisections: a leaf is 8e-6 nats wide at log-SNR 0 and 3e-5 at +-16
_FAR = 600.0  # nats: levels further out, infinite ones too, stand here
_GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio and two odd factors, as signed 64-bit numbers
_FACTORS = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)


class GaussianNoise:
    """Fresh noise at every call, whatever the levels.

    What a walk that visits levels more than once needs (RePaint). The noise is drawn on the device
    of `x`, so a CPU and a GPU give different streams; for one that agrees see `BrownianNoise`.

    Args:
        generator: Source of randomness for the whole batch; default torch's global one.
        seeds: One seed per item instead: item i then gets the same noise in any batch. Each call
            goes on where the last one ended, so make a new object for each walk to be repeated.

    Raises:
        ValueError: If both are given, or the seeds are no row of whole numbers; when called, if the
            generator lives on another device than
            `x` or there is not one seed per item.
    """

    def __init__(
        self, generator: Generator | None = None, seeds: Sequence[int] | Tensor | None = None
    ) -> None:
        if generator is not None and seeds is not None:
            raise ValueError(
                "noise comes from one generator or from one seed per item, got both: drop one"
            )
        numbers = None if seeds is None else _whole_numbers(seeds)
        if isinstance(numbers, int):
            raise ValueError(
                f"GaussianNoise takes one seed per item, got the single seed {numbers}: pass a "
                f"list such as seeds=[{numbers}], or torch.Generator().manual_seed({numbers}) for "
                "the whole batch"
            )
        self.generator, self.seeds = generator, numbers
        self._streams: list[Generator] = []

    def __call__(self, x: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        """Return noise of the shape, device and dtype of `x (b, c, *t)`; the times do not matter.

        Raises:
            ValueError: If the generator lives on another device, or there is not one seed per item.
        """
        del time, next_time
        if self.seeds is None:
            return randn_like(x, self.generator)
        _check_count(self.seeds, x)
        if not self._streams:
            self._streams = [Generator(x.device).manual_seed(seed) for seed in self.seeds]
        return torch.stack([
            randn(item.shape, generator=stream, device=x.device, dtype=x.dtype)
            for item, stream in zip(x, self._streams, strict=True)
        ])  # fmt: skip


class BrownianNoise:
    """One Brownian path per seed: the same seed is the same path at any number of steps.

    The clock of the path is the SNR, `tau = exp(log_snr)`: between two levels the noise is
    `(W(tau') - W(tau)) / sqrt(tau' - tau)`, which for the SDE solvers with `eta=1` is the exact
    noise of the reverse SDE (there `tau x / alpha` grows by `x0 dtau + dW`). So N and 2N steps, or
    another grid, sample the same sound and differ only by their discretization error. The noise
    depends on the seed, the two levels and the shape of an item alone: not on the batch, the order
    of the calls, the dtype, nor (but for rounding) the device. Levels may differ per item or per
    position; positions at the same level share it as if they were alone.

    Both directions give the same noise, so a walk that visits levels again and again (RePaint)
    would meet its old noise there: it needs `GaussianNoise`, and `sample` insists on it.

    Levels nearer than 1e-5 nats of log-SNR share a leaf of the tree: their increments then have
    less than unit variance (10,000 even steps on the half circle are 60 times further apart).
    Costs 23 draws of the shape of `x` a step: only the level that is new is computed.

    Args:
        schedule: What the times mean.
        seeds: One seed per item, or a single one: item i then takes the i-th path of that seed
            (the first is the one of `[seed]`).

    Attributes:
        repeats: True: the same levels give the same noise again.

    Raises:
        ValueError: If the seeds are no whole numbers; when called, if there is not one per item.

    Source: the path is bisected as a virtual Brownian tree (Li et al. 2020, arXiv 2001.01328,
    section 4) in its stationary form `W(tau) / sqrt(tau)`, an Ornstein-Uhlenbeck process in the
    log-SNR; draws by counter, no state (Salmon et al. 2011, "Parallel random numbers: as easy as
    1, 2, 3"), with the mixer of Steele et al. 2014, "Fast splittable pseudorandom number
    generators".
    """

    repeats = True

    def __init__(self, schedule: NoiseSchedule, seeds: int | Sequence[int] | Tensor) -> None:
        self.schedule, self.seeds = schedule, _whole_numbers(seeds)
        self._last: list[tuple[Tensor, Tensor]] = []  # (level, path there) of the last call

    def __getstate__(self) -> dict[str, object]:
        """Leave the kept path out of copies and pickles: it can be had again."""
        return {**self.__dict__, "_last": []}

    def __call__(self, x: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        """Return unit-variance noise of the shape, device and dtype of `x (b, c, *t)`.

        Args:
            x: Gives shape, device and dtype only.
            time: Where the step starts, `(b,)` or `(b, 1, *t)`.
            next_time: Where it ends, of the same shape; the clean end is allowed.

        Raises:
            ValueError: If there is not one seed per item.
        """
        here, there = self._level(time), self._level(next_time)
        paths = self._path(here, x), self._path(there, x)
        self._last = [(here, paths[0]), (there, paths[1])]
        gap = (there - here).abs()
        keep, scale = torch.exp(-gap / 2), torch.rsqrt(-torch.expm1(-gap))
        falls = there > here  # noise falls: the usual direction
        still = gap == 0  # a position that does not move; its noise is not used
        scale, keep = scale.masked_fill(still, 1.0), keep.masked_fill(still, 0.0)
        of_there = torch.where(falls | still, scale, -keep * scale)
        of_here = torch.where(falls | still, -keep * scale, scale)
        noise = _lifted(of_here, paths[0]) * paths[0] + _lifted(of_there, paths[1]) * paths[1]
        return noise.to(x.dtype)

    def _level(self, time: Tensor) -> Tensor:
        """Return the log-SNR of `time`, finite, as exactly as the device can."""
        exact = torch.float32 if time.device.type == "mps" else torch.float64
        return self.schedule.log_snr(time.to(exact)).clamp(-_FAR, _FAR)

    def _path(self, level: Tensor, x: Tensor) -> Tensor:
        """Return `W(tau) / sqrt(tau)` at `level`, of the shape of `x`: kept, or from the tree."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        for known, path in self._last:
            same = (path.shape, path.device, path.dtype) == (x.shape, x.device, dtype)
            if same and known.shape == level.shape and torch.equal(known, level):
                return path
        return _bisect(level, _element_keys(self.seeds, x), dtype)


def _whole_numbers(seeds: int | Sequence[int] | Tensor) -> int | tuple[int, ...]:
    """Return one seed or a row of seeds as Python integers; arrays and tensors are welcome.

    Raises:
        ValueError: If they are anything else, such as floats or a word.
    """
    plain: Any = seeds.tolist() if hasattr(seeds, "tolist") else seeds
    try:
        if isinstance(plain, Iterable) and not isinstance(plain, str | bytes):
            return tuple(index(seed) for seed in plain)
        return index(plain)
    except TypeError:
        raise ValueError(
            f"seeds must be whole numbers, one per item, got {plain!r}: pass such as [1, 2]"
        ) from None


def _check_count(seeds: Sequence[int], x: Tensor) -> None:
    if len(seeds) != len(x):
        raise ValueError(
            f"noise needs one seed per item of the batch, got {len(seeds)} for {len(x)} items: "
            "pass as many seeds as items"
        )


def _lifted(values: Tensor, like: Tensor) -> Tensor:
    return lift(values, like).to(like.dtype)


class _Branches(NamedTuple):
    """The way down the tree to each of `k` levels: one row per depth, the leaf last, `(d, k)`.

    Attributes:
        node: A number for each node, mixed.
        of_low: Share in the drawn value of the one at the lower end.
        of_high: Share of the one at the upper end.
        spread: Share of the node's own draw.
        above: Whether the level lies above what was drawn.
    """

    node: Tensor
    of_low: Tensor
    of_high: Tensor
    spread: Tensor
    above: Tensor


def _bisect(level: Tensor, keys: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the stationary path at `level` by halving the range around it, a draw per node.

    The range is all log-SNRs, squeezed into -1..1 evenly about 0. Its ends are infinitely far, so
    nothing need be known there; each middle is drawn given the two ends around it. The draw of the
    leaf places the level itself: levels in different leaves have their exact joint law.
    """
    distinct, which = torch.unique(level, return_inverse=True)
    branches = _branches(distinct)
    at_low = at_high = torch.zeros(keys.shape, dtype=dtype, device=keys.device)
    for row in zip(*branches, strict=True):
        node, of_low, of_high, spread, above = (lift(values[which], keys) for values in row)
        value = _normal(keys + node).to(dtype).mul_(spread.to(dtype))
        value.add_(of_low.to(dtype) * at_low).add_(of_high.to(dtype) * at_high)
        at_low, at_high = torch.where(above, value, at_low), torch.where(above, at_high, value)
    return value


def _branches(level: Tensor) -> _Branches:
    """Return the way to each of the levels `(k,)`.

    A value between two known ones has the mean and spread of a stationary path with covariance
    `exp(-|distance| / 2)`.
    """
    place = level / (_REACH + level.abs())
    cells = 2.0 ** torch.arange(_DEPTH + 1, device=level.device).to(place.dtype)[:, None]
    cell = ((place + 1) / 2 * cells).floor().minimum(cells - 1)
    low, high = 2 * cell / cells - 1, 2 * (cell + 1) / cells - 1
    middle = torch.cat([(low + high)[:-1] / 2, place.clamp(low[-1], high[-1])[None]])
    left, right = _distance(low, middle), _distance(middle, high)
    new_left, new_right = -torch.expm1(-left), -torch.expm1(-right)
    new = -torch.expm1(-left - right)
    return _Branches(
        node=_mix((cells + cell).long()),
        of_low=torch.exp(-left / 2) * new_right / new,
        of_high=torch.exp(-right / 2) * new_left / new,
        spread=(new_left * new_right / new).sqrt(),
        above=torch.cat([cell[1:] % 2 == 1, torch.ones_like(cell[:1], dtype=torch.bool)]),
    )


def _distance(low: Tensor, high: Tensor) -> Tensor:
    """Return the nats between two places on the same side of 0; infinite to an end."""
    return _REACH * (high - low) / ((1 - low.abs()) * (1 - high.abs()))


def _element_keys(seed: int | tuple[int, ...], x: Tensor) -> Tensor:
    """Return a key for each element of `x`: of its item's seed and its place in the item.

    Raises:
        ValueError: If there is not one seed per item.
    """
    if isinstance(seed, int):
        seeds, items = [seed] * len(x), list(range(len(x)))
    else:
        _check_count(seed, x)
        seeds, items = list(seed), [0] * len(x)
    wrapped = [(one + 2**63) % 2**64 - 2**63 for one in seeds]  # any Python integer
    stems = _mix(torch.tensor(wrapped, dtype=torch.int64, device=x.device))
    stems = _mix(stems + torch.tensor(items, dtype=torch.int64, device=x.device))
    places = torch.arange(x[0].numel(), device=x.device).reshape(x.shape[1:])
    return _mix(lift(stems, x) + places * _GOLDEN)


def _mix(keys: Tensor) -> Tensor:
    """Return 64 bits each of which depends on all bits of the key; products wrap around."""
    bits = keys + _GOLDEN
    for shift, factor in ((30, _FACTORS[0]), (27, _FACTORS[1]), (31, 1)):
        bits ^= (bits >> shift).bitwise_and_(2 ** (64 - shift) - 1)  # a shift that brings in zeros
        bits *= factor
    return bits


def _normal(keys: Tensor) -> Tensor:
    """Return a standard normal draw (float32) for each key, by Box and Muller."""
    bits = _mix(keys)
    radius = (bits >> 32).bitwise_and_(2**32 - 1).float().add_(0.5).mul_(2.0**-32)
    angle = bits.bitwise_and_(2**32 - 1).float().mul_(2 * pi * 2.0**-32)
    return radius.log_().mul_(-2).sqrt_().mul_(angle.cos_())
