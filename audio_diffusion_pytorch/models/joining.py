"""Putting made sound beside kept sound without a click."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor


def join(kept: Tensor, made: Tensor, mask: Tensor, fade: int) -> Tensor:
    """Return the kept sound where the mask says so, elsewhere the made one, led on from the kept.

    Where frames overlap the edge, the made sound says something of the kept samples too, and says
    it wrong by a little: at the edge that would be a step. So this error is mirrored at the edge
    and fades out over the first `fade` samples of the made sound, by half a cosine.

    Args:
        kept: `(b, c, t)`; bit for bit in the result.
        made: `(b, c, t)`.
        mask: `(b or 1, 1, t)`, True where `kept` is.
        fade: Samples; 0 leaves the made sound as it is.
    """
    if fade < 1:
        return torch.where(mask, kept, made)
    place = torch.arange(mask.shape[-1], device=mask.device)
    last = place.where(mask, -1).cummax(-1).values  # nearest kept sample to the left
    following = (-place.where(mask, 2 * mask.shape[-1]).flip(-1)).cummax(-1).values.neg().flip(-1)
    error = torch.where(mask, kept - made, 0)
    joined = made
    for edge, inwards in ((last, 2 * last + 1 - place), (following, 2 * following - 1 - place)):
        distance = (place - edge).abs()
        near = ~mask & (distance <= fade) & (inwards >= 0) & (inwards < mask.shape[-1])
        index = inwards.clamp(0, mask.shape[-1] - 1).expand(error.shape)
        weight = torch.where(near, (1 + torch.cos(pi * (distance - 0.5) / fade)) / 2, 0)
        joined = joined + weight.to(made.dtype) * error.gather(-1, index)
    return torch.where(mask, kept, joined)
