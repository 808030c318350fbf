"""Even times that leave no noise level out, over the whole of a batch however it is split."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from .distribution import Between
from .sharing import Share, current_share


class Stratified(Between):
    """One time from each of `num_samples` equal strata of `vmin..vmax`, in random order.

    Every batch then covers all noise levels, which takes most of the noise out of the loss curve
    while the mean loss stays the same (each time alone is still uniform).

    A batch split over processes and micro-batches is one batch: each stratum is cut into as many
    cells as there are parts, and an order of the cells that all parts share, new for each batch and
    stratum, gives every part one. Places in the cells and the order of the items come from the
    generator, which should differ between parts. Nothing is communicated. Within `shared_strata`
    (as in `training.fit`) that says the part; elsewhere it is the rank in `torch.distributed`, if
    that is set up, and a count of the calls. All parts must be of one size for their cells to be
    disjoint. `Sobol` says when it is the better choice. `torch.compile` breaks its graph at the
    draw, so `fullgraph=True` fails with it.

    Args:
        vmin: Lowest time, 0 (clean) or above.
        vmax: Highest time, 1 (noise) or below.
        rank: Which process this is; default that of `torch.distributed`.
        world_size: How many there are; given together with `rank`.
        accumulation: Micro-batches (calls) of one update.
        seed: Of the shared order, the same in all processes.

    Raises:
        ValueError: If one of `rank` and `world_size` is missing, or a number is out of its range.

    Source: Kingma et al. 2021, "Variational Diffusion Models", arXiv 2107.00630, appendix I.1, for
    a single process.
    """

    def __init__(
        self,
        vmin: float = 0.0,
        vmax: float = 1.0,
        rank: int | None = None,
        world_size: int | None = None,
        accumulation: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(vmin, vmax)
        if (rank is None) != (world_size is None):
            raise ValueError(
                f"rank and world_size go together, got rank {rank} and world_size {world_size}: "
                "give both, or none to ask torch.distributed"
            )
        if rank is not None and world_size is not None and not 0 <= rank < world_size:
            raise ValueError(f"rank must be in 0..world_size - 1, got {rank} of {world_size}")
        if accumulation < 1 or seed < 0:
            raise ValueError(
                f"accumulation must be at least 1 and seed at least 0, got {accumulation} and "
                f"{seed}"
            )
        self.rank, self.world_size = rank, world_size
        self.accumulation, self.seed = accumulation, seed
        self.calls = 0

    def _draw(self, num_samples: int, device: torch.device, generator: Generator | None) -> Tensor:
        order = torch.randperm(num_samples, device=device, generator=generator)
        place = super()._draw(num_samples, device, generator)
        share = self._share()
        if share.parts > 1:
            cells = share.random().random((num_samples, share.parts)).argsort(1)[:, share.part]
            place = (torch.from_numpy(cells).to(device)[order] + place) / share.parts
        return (order + place) / num_samples

    def _share(self) -> Share:
        """Return the part to draw; without `shared_strata` every call is the next part."""
        shared = current_share()
        if shared is not None and self.rank is None:
            return shared
        rank, world_size = self.rank, self.world_size
        if rank is None or world_size is None:
            grouped = dist.is_available() and dist.is_initialized()
            rank, world_size = (dist.get_rank(), dist.get_world_size()) if grouped else (0, 1)
        batch, micro = divmod(self.calls, self.accumulation)
        parts = world_size * self.accumulation
        if parts > 1:
            self.calls += 1
        return Share((self.seed, batch), rank * self.accumulation + micro, parts)
