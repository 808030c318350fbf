"""Continue a signal beyond its ends: by its mirror image, or by zeros up to a multiple."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def reflect_pad(x: Tensor, before: int, after: int) -> Tensor:
    """Return `(..., t)` with `before` and `after` samples of its mirror image at its ends.

    The first and last samples are not repeated. Where torch's own reflection refuses, as the
    signal is not longer than what it is padded by, the image is mirrored again and again at both
    ends; a single sample is repeated.

    Args:
        x: `(..., t)`, at least one sample.
        before: Samples to put before it.
        after: Samples to put after it.

    Raises:
        ValueError: If there is no sample to mirror, or a number is negative.
    """
    length = x.shape[-1]
    if length < 1 or before < 0 or after < 0:
        raise ValueError(
            f"reflection needs at least 1 sample and padding of 0 or more, got {length} samples "
            f"and padding {before}, {after}"
        )
    if before == after == 0:
        return x
    if max(before, after) < length:
        rows = F.pad(x.reshape(1, -1, length), (before, after), mode="reflect")
        return rows.reshape(*x.shape[:-1], -1)
    period = max(1, 2 * (length - 1))
    place = torch.arange(-before, length + after, device=x.device) % period
    return x[..., torch.where(place < length, place, period - place)]


def pad_end_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Return `(..., t)` with zeros behind it, so that its length is a multiple of `multiple`."""
    missing = -x.shape[-1] % multiple
    return F.pad(x, (0, missing)) if missing else x
