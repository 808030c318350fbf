"""Which part of a signal is kept, and from which noise level on.

A mask is True (or 1) where the known signal is kept and False (or 0) where a new one is made. In
between, a float mask says for how much of the walk a position is kept: a value `m` holds it to the
known signal down to the noise level `1 - m` (a time), and then lets go. So a mask of one value `m`
everywhere is a variation of strength `1 - m`, and a ramp goes from kept to free without an edge.
At every level each position is either kept or free: blending two noisy signals would lose variance,
and a blend repeated at every step would mean something else at every number of steps.

Source: the change map of Levin and Fried 2023, "Differential Diffusion", arXiv 2306.00950.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from audio_diffusion_pytorch.ops.shapes import broadcasts_over, check_mask_values, lift


def check_mask(known: Tensor, mask: Tensor) -> None:
    """Refuse a mask that cannot say what to keep of `known (b, c, *t)`.

    Raises:
        ValueError: If it does not broadcast, or holds values outside 0..1.
    """
    pairs = zip(mask.shape, known.shape, strict=False)
    if mask.ndim != known.ndim or any(1 not in pair and pair[0] != pair[1] for pair in pairs):
        batch, channels, *axes = known.shape if known.ndim > 1 else ("b", "c", *known.shape)
        wanted = ", ".join(map(str, axes))
        raise ValueError(
            f"the mask must have shape ({batch} or 1, {channels} or 1, {wanted}) for a known "
            f"signal of shape {tuple(known.shape)}, got {tuple(mask.shape)}"
        )
    check_mask_values(mask, "0 (make anew) .. 1 (keep)")


def check_fit(known: Tensor, mask: Tensor, x: Tensor) -> None:
    """Refuse a known signal or a mask that does not broadcast over what is sampled.

    Raises:
        ValueError: If either has other dimensions than `x (b, c, *t)`, or an axis of another size
            that is not 1.
    """
    for name, part in (("known signal", known), ("mask", mask)):
        if not broadcasts_over(part, x):
            raise ValueError(
                f"the {name} must broadcast over the sampled signal of shape {tuple(x.shape)}, got "
                f"{tuple(part.shape)}: give it that shape, with 1 where all share it"
            )


def kept_at(mask: Tensor, time: Tensor, x: Tensor) -> Tensor:
    """Return what is kept at a level: bool, to broadcast over `x (b, c, *t)`.

    Args:
        mask: Bool, or float in 0..1: kept while `time > 1 - mask`; 1 is kept at time 0 too.
        time: The level, `(b,)` or `(b, 1, *t)`.
        x: The signal.
    """
    mask = mask.to(x.device)
    if mask.dtype == torch.bool:
        return mask
    return (mask >= 1) | (mask > 1 - lift(time, x))


def keep_frames(mask: Tensor, frames: int, hop: int, reach: int = 0) -> Tensor:
    """Turn a mask of samples into a mask of latent frames: kept only if all its samples are.

    Args:
        mask: `(b or 1, c or 1, t)`, True (or 1) where the sound is kept; t up to `frames * hop`,
            the rest of the last frame is padding and counts as kept.
        frames: Latent frames.
        hop: Samples per frame.
        reach: Samples that a frame sees beyond its own on either side, which must be kept as
            well: `hop // 2` for an MDCT.

    Returns:
        `(b or 1, 1, frames)`, bool if the mask is; the smallest value under each frame otherwise.

    Raises:
        ValueError: If the mask is not of three axes, or has more samples than the frames.

    >>> keep_frames(torch.tensor([[[True, True, True, False, True, True]]]), frames=3, hop=2)
    tensor([[[ True, False,  True]]])
    """
    missing = frames * hop - mask.shape[-1]
    if mask.ndim != 3 or missing < 0:
        raise ValueError(
            f"a mask for {frames} frames of {hop} samples must be (b, 1, t) with t up to "
            f"{frames * hop}, got {tuple(mask.shape)}"
        )
    values = mask if mask.is_floating_point() else mask.to(torch.float32)
    values = F.pad(values.amin(1, keepdim=True), (0, missing), value=1.0)
    # The smallest value in each window; what lies outside the signal does not count.
    least = -F.max_pool1d(-values, hop + 2 * reach, stride=hop, padding=reach)
    return least >= 1 if mask.dtype == torch.bool else least.to(mask.dtype)
