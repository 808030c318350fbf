"""The order of the items: an endless, shuffled, resumable stream cut fairly between processes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class StreamSampler(Sampler[list[tuple[int, int]]]):
    """A `batch_sampler` for `DataLoader`: endless batches of `(epoch, index)`.

    The epochs' permutations stand one after the other in one stream, which is cut into global
    batches of `batch_size * world_size`; each rank takes its part of each. So within an epoch no
    item is missing or twice, for any number of ranks and items, and no batch is ever short.
    The stream is a pure function of `seed`: batch `n` is the same whether it is reached by
    iterating or by `start=n`.

    >>> next(iter(StreamSampler(4, 2, shuffle=False, start=1)))
    [(0, 2), (0, 3)]

    Args:
        num_items: items in an epoch.
        batch_size: items per batch and rank.
        seed: of the permutations.
        rank: this process, `0 .. world_size - 1`.
        world_size: how many processes share the stream.
        start: batches (per rank) already consumed.
        shuffle: a new permutation each epoch; False keeps the order 0, 1, 2, ...

    Raises:
        ValueError: sizes below 1, a rank outside the world, a negative start.
    """

    def __init__(
        self,
        num_items: int,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        shuffle: bool = True,
    ) -> None:
        if min(num_items, batch_size, world_size) < 1:
            raise ValueError(
                "num_items, batch_size and world_size must be at least 1, "
                f"got {num_items}, {batch_size} and {world_size}"
            )
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be in 0..{world_size - 1}, got {rank}")
        if start < 0:
            raise ValueError(f"start must be at least 0, got {start}")
        self.num_items, self.batch_size, self.seed = num_items, batch_size, seed
        self.rank, self.world_size, self.start = rank, world_size, start
        self.shuffle = shuffle

    def order(self, epoch: int) -> list[int]:
        """The items of one epoch in their order: a pure function of seed and epoch."""
        if not self.shuffle:
            return list(range(self.num_items))
        digest = hashlib.sha256(f"order/{self.seed}/{epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        order: list[int] = torch.randperm(self.num_items, generator=generator).tolist()
        return order

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batch = self.start
        known_epoch, order = -1, [0]
        while True:
            first = (batch * self.world_size + self.rank) * self.batch_size
            items = []
            for position in range(first, first + self.batch_size):
                epoch, place = divmod(position, self.num_items)
                if epoch != known_epoch:
                    known_epoch, order = epoch, self.order(epoch)
                items.append((epoch, order[place]))
            yield items
            batch += 1
