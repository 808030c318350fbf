"""Even times from a low-discrepancy sequence: every piece of a batch is even in itself."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from .distribution import Between
from .sharing import current_share

_DIGITS = 24  # what float32 holds


class Sobol(Between):
    """The first points of the Sobol sequence in one dimension, scrambled anew for each batch.

    Of a batch, every run of `2^k` items that starts at a multiple of `2^k` has one time in each of
    `2^k` equal strata of `vmin..vmax`. Each time alone is uniform, so the mean loss stays the same.

    `Stratified` or this? `Stratified` is as even as can be at any batch size, but only as a whole:
    half a batch of it is hardly better than chance. Take this where pieces of a batch should be
    even too: items sorted by label, a batch that is cut up later or padded. At a size that is no
    power of two it is a little less even as a whole.

    Within `shared_strata` (as in `training.fit`), a batch split over processes and micro-batches is
    one sequence, and each part, all of one size, has a run of it. Elsewhere each call is a sequence
    of its own. `torch.compile` breaks its graph at the draw, so `fullgraph=True` fails with it.

    Args:
        vmin: Lowest time, 0 (clean) or above.
        vmax: Highest time, 1 (noise) or below.

    Raises:
        ValueError: If `vmin` is above `vmax`.

    Source: Sobol 1967, "On the distribution of points in a cube" (its first dimension is van der
    Corput's sequence); Matousek 1998, "On the L2-discrepancy for anchored boxes", random linear
    scrambling with a digital shift.
    """

    def _draw(self, num_samples: int, device: torch.device, generator: Generator | None) -> Tensor:
        share = current_share()
        first = 0
        if share is not None and share.parts > 1:
            first = share.part * num_samples
            drawn = share.random().integers(0, 2, (_DIGITS, _DIGITS + 1))
            bits = torch.from_numpy(drawn).to(device, torch.float32)
        else:
            size = (_DIGITS, _DIGITS + 1)
            bits = torch.randint(0, 2, size, device=device, generator=generator).float()
        mix, shift = bits[:, :_DIGITS].tril(-1) + torch.eye(_DIGITS, device=device), bits[:, -1]
        place = torch.arange(_DIGITS, device=device)
        index = torch.arange(first, first + num_samples, device=device)
        # Digit j of a point is bit j of its number; each is mixed with those before it, mod 2.
        digits = (index[:, None] >> place) & 1
        digits = ((digits[:, None] * mix).sum(-1) + shift).remainder(2)
        return (digits * 0.5 ** (place + 1)).sum(-1)
