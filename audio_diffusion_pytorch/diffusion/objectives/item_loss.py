"""How far off the network is on each item of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import broadcasts_over, check_mask_values


def per_item_mse(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean squared error of each item `(b,)`, over the unmasked positions only.

    A mask of floats in 0..1 weighs the positions; only their ratios count. An item that is all
    padding has the loss 0.

    Raises:
        ValueError: If the prediction does not have the shape of the target, the mask does not
            broadcast to it, or holds values outside 0..1.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"the net must return the shape of its input, {tuple(target.shape)}, got "
            f"{tuple(prediction.shape)}: check in_channels and out_channels"
        )
    error = (prediction - target).square()
    if mask is None:
        return error.flatten(1).mean(1)
    check_mask(mask, error)
    check_mask_values(mask, "0 (padding) .. 1 (real)")
    weight = torch.broadcast_to(mask, error.shape).to(error.dtype)
    # Padding may hold anything, and anything times 0 need not be 0.
    error = error.masked_fill(weight == 0, 0.0)
    total = weight.flatten(1).sum(1).clamp_min(torch.finfo(error.dtype).tiny)
    return (error * weight).flatten(1).sum(1) / total


def check_mask(mask: Tensor, x: Tensor) -> None:
    """Refuse a mask that does not broadcast over `x (b, c, *t)`.

    Raises:
        ValueError: If it has other dimensions, or an axis of another size that is not 1.
    """
    if not broadcasts_over(mask, x):
        axes = ", ".join(str(size) for size in (len(x), 1, *x.shape[2:]))
        raise ValueError(
            f"the mask must have shape ({axes}) for this signal of shape {tuple(x.shape)}, got "
            f"{tuple(mask.shape)}: True where it is real, one entry for each position"
        )
