"""What the items of a batch are told: where it differs, and how it is exchanged between them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.clips import take
from audio_diffusion_pytorch.diagnostics.observation import (
    Observation,
    gaussian_diffusion,
    observe,
    permuted,
    time_at_decibels,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

DECIBELS: tuple[float, ...] = (-20.0, -10.0, 0.0, 10.0, 20.0)
"""Signal over noise, in dB, at which a network is asked: where a condition can be of any help."""

MOST, LEAST = 24, 12
"""Clips that are asked about: enough for a mean, more than a network has levels (a list of as many
tensors as there are items would be taken for one entry an item)."""


class Told(NamedTuple):
    """One batch at several noise levels, and how conditions are exchanged in it.

    Attributes:
        observed: At each level, the same clips and noise.
        decibels: The levels.
        order: Whose condition each item is given in exchange `(b,)`.
        differs: Where that is another condition `(b,)`.
        names: What is exchanged of it; empty where nothing differs between items.
    """

    observed: Sequence[Observation]
    decibels: Sequence[float]
    order: Tensor
    differs: Tensor
    names: tuple[str, ...]

    @property
    def phrase(self) -> str:
        """What is told, such as "condition (labels)"."""
        return f"condition ({' and '.join(self.names)})" if self.names else "condition"

    def exchanged(self, observation: Observation) -> Tensor:
        """Return what the network says of each item under the condition of another."""
        mine = {name: observation.cond[name] for name in self.names}
        return observation.ask(cond={**observation.cond, **permuted(mine, self.order)})

    def only(self, names: Collection[str]) -> Told:
        """Return the same, exchanging nothing but the conditions of these names."""
        return tell(self.observed, self.decibels, names)


def tell(
    observed: Sequence[Observation],
    decibels: Sequence[float],
    names: Collection[str] | None = None,
) -> Told:
    """Return how conditions, or those of some names only, are exchanged in what was observed."""
    cond, count = observed[0].cond, len(observed[0].clean)
    chosen = {name: cond[name] for name in cond if names is None or name in names}
    order, differs = exchange_order(chosen, count)
    varying = tuple(name for name in chosen if bool(differing({name: chosen[name]}, order).any()))
    return Told(observed, tuple(decibels), order, differs, varying)


def hear(
    model: nn.Module,
    clips: Clip,
    decibels: Sequence[float] = DECIBELS,
    *,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> Told:
    """Observe some of the clips at each level.

    Raises:
        ValueError: There are no two clips; as `observe`.
    """
    if len(clips.audio) < 2:
        raise ValueError(
            f"a condition is examined by exchanging it between clips, got {len(clips.audio)}: pass "
            "2 or more"
        )
    clips = spread(clips)
    diffusion, count = gaussian_diffusion(model), len(clips.audio)
    observed = [
        observe(
            model,
            clips,
            time_at_decibels(diffusion, torch.full((count,), float(level))),
            loss=loss,
            seed=seed,
        )
        for level in decibels
    ]
    return tell(observed, decibels)


def leaves(cond: Mapping[str, Any], count: int) -> Iterator[tuple[str, Tensor | Sequence[Any]]]:
    """Give every part of a conditioning that has an entry for each item, with its name.

    The same parts that `permuted` puts in another order.
    """
    for name, value in cond.items():
        yield from _leaves(name, value, count)


def _leaves(name: str, value: Any, count: int) -> Iterator[tuple[str, Tensor | Sequence[Any]]]:
    if isinstance(value, Tensor):
        if value.ndim > 0 and len(value) == count:
            yield name, value
    elif isinstance(value, list | tuple):
        if len(value) == count and not isinstance(value[0], Tensor):
            yield name, value
        else:
            for part in value:
                yield from _leaves(name, part, count)


def differing(cond: Mapping[str, Any], order: Tensor) -> Tensor:
    """Return where an item is told something else than the item that `order` names `(b,)`."""
    count = len(order)
    found = torch.zeros(count, dtype=torch.bool)
    for _, leaf in leaves(cond, count):
        found |= _differing(leaf, order)
    return found


def _differing(leaf: Tensor | Sequence[Any], order: Tensor) -> Tensor:
    if isinstance(leaf, Tensor):
        return (leaf != leaf[order.to(leaf.device)]).reshape(len(leaf), -1).any(1).cpu()
    return torch.tensor([leaf[i] != leaf[j] for i, j in enumerate(order.tolist())])


def exchange_order(cond: Mapping[str, Any], count: int) -> tuple[Tensor, Tensor]:
    """Return the turn of a batch that gives most items another condition, and which they are."""
    best = torch.arange(count), torch.zeros(count, dtype=torch.bool)
    for shift in sorted(range(1, count), key=lambda shift: abs(shift - count // 2)):
        order = torch.arange(count).roll(shift)
        differs = differing(cond, order)
        if differs.sum() > best[1].sum():
            best = order, differs
        if differs.all():
            break
    return best


def spread(clips: Clip, most: int = MOST, least: int = LEAST) -> Clip:
    """Return at most so many clips, evenly spread; few are repeated until they are enough."""
    count = len(clips.audio)
    chosen = torch.linspace(0, count - 1, min(count, most)).round().long()
    if count < least:
        chosen = torch.arange(least) % count
    return take(clips, chosen)


def percent(share: float) -> str:
    """Return a share in percent, in two digits: "0.29 %", "498 %"."""
    value = 100 * share
    if abs(value) >= 100:
        return f"{value:.0f} %"
    return f"{value:.2g} %" if abs(value) >= 1e-3 else "0 %"


def rms(x: Tensor) -> float:
    """Return the root mean square over everything."""
    return float(x.float().square().mean().sqrt())
