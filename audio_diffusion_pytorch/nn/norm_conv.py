"""Group normalisation, SiLU and convolution as one step that remembers only its input.

Left to itself the backward pass keeps three signals of a block: what came in, what the norm made
of it and what SiLU made of that. The last two are a few cheap passes over the first.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv import untouched
from .layout import add_into, as_laid_out, from_rows, is_channels_last, rows_of_channels

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
_CONVOLVE = {4: F.conv2d, 5: F.conv3d}
aten = torch.ops.aten


def norm_silu(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Return `silu(norm(x))` of `x (b, c, *t)`, laid out as `x`."""
    # With two axes torch sees that channels are innermost and keeps them there; with one it copies.
    wide = x.unsqueeze(2) if x.ndim == 3 else x
    # Not `norm(x)`: nn.GroupNorm refuses groups of a single value, which the innermost level
    # of a short input can have; there the result is the bias.
    out = torch.group_norm(wide, norm.num_groups, norm.weight, norm.bias, norm.eps)
    # In place where nobody looks back: fresh memory costs more than the function itself.
    out = F.silu(out, inplace=not torch.is_grad_enabled())
    return out.squeeze(2) if x.ndim == 3 else out


def norm_silu_conv(
    x: Tensor, norm: nn.GroupNorm, conv: Convolution, plus: Tensor | None = None
) -> Tensor:
    """Return `conv(silu(norm(x))) + plus`, keeping only `x (b, c, *t)` for the backward pass.

    The sum is made in place, into what the convolution gave. Compiled graphs choose by themselves
    what to compute again, and forward derivatives and `torch.func` have no use for it: there it is
    the plain formula.
    """
    if not (torch.is_grad_enabled() and untouched(norm, conv) and _remembering_pays(x, conv)):
        out: Tensor = conv(norm_silu(x, norm))
        return out if plus is None else add_into(out, plus)
    flat = x.ndim == 3
    out = _NormSiluConv.apply(  # type: ignore[no-untyped-call]
        x.unsqueeze(2) if flat else x,
        norm.weight,
        norm.bias,
        conv.weight.unsqueeze(2) if flat else conv.weight,
        conv.bias,
        plus if plus is None or not flat else plus.unsqueeze(2),
        (norm.num_groups, norm.eps, (0, *conv.padding) if flat else conv.padding),
    )
    return out.squeeze(2) if flat else out


def _remembering_pays(x: Tensor, conv: Convolution) -> bool:
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or isinstance(conv.padding, str)
        or x.ndim != conv.weight.ndim
    )


class _NormSiluConv(torch.autograd.Function):
    """`conv(silu(group_norm(x))) + plus` of stride 1 for `x (b, c, t, u)` or `(b, c, t, u, v)`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gain: Tensor,
        offset: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        plus: Tensor | None,
        settings: tuple[int, float, tuple[int, ...]],
    ) -> Tensor:
        groups, eps, padding = settings
        normed, mean, deviation = _normalised(x, gain, offset, groups, eps)
        out = _CONVOLVE[x.ndim](F.silu(normed, inplace=True), weight, bias, 1, padding)
        ctx.save_for_backward(x, gain, offset, weight, bias, mean, deviation)
        ctx.settings = *settings, out.dtype
        if plus is None:
            return out
        return out.add_(plus) if out.dtype == plus.dtype else out + plus

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, offset, weight, bias, mean, deviation = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants to differentiate the gradient
            return _differentiable(ctx, gradient, x, gain, offset, weight, bias)
        wanted = ctx.needs_input_grad
        # The convolution ran in a format that under autocast is not that of the weights.
        groups, eps, padding, form = ctx.settings
        normed, _, _ = _normalised(x, gain, offset, groups, eps)
        active, kernel = F.silu(normed).to(form), weight.to(form)
        ones, zeros = [1] * len(padding), [0] * len(padding)
        with torch.autocast(x.device.type, enabled=False):
            inner, to_weight, to_bias = aten.convolution_backward(
                gradient.to(form),
                active,
                kernel,
                None if bias is None else [len(bias)],
                ones,
                padding,
                ones,
                False,
                zeros,
                1,
                [any(wanted[:3]), wanted[3], bias is not None and wanted[4]],
            )
            to_x = to_gain = to_offset = None
            if any(wanted[:3]):
                # The norm reads both in one layout and does not ask.
                inner = as_laid_out(inner.to(normed.dtype), like=normed)
                aten.silu_backward.grad_input(inner, normed, grad_input=inner)
                to_x, to_gain, to_offset = _group_norm_backward(
                    inner, _exact(x, gain), mean, deviation, gain, groups
                )
        return (
            None if to_x is None else to_x.to(x.dtype),
            to_gain,
            to_offset,
            None if to_weight is None else to_weight.to(weight.dtype),
            None if to_bias is None else to_bias.to(bias.dtype),
            gradient if wanted[5] else None,
            None,
        )


def _exact(x: Tensor, gain: Tensor) -> Tensor:
    """Return `x` as the norm can read it: only on a CPU it mixes formats and takes any layout."""
    return x if x.device.type == "cpu" else x.to(gain.dtype).contiguous()


def _sizes(x: Tensor) -> tuple[int, int, int]:
    return x.shape[0], x.shape[1], prod(x.shape[2:])


def _normalised(
    x: Tensor, gain: Tensor, offset: Tensor, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the normalised signal, and mean and inverse deviation of each group."""
    exact = _exact(x, gain)
    normed, mean, deviation = aten.native_group_norm(exact, gain, offset, *_sizes(x), groups, eps)
    return normed, mean, deviation


def _group_norm_backward(
    gradient: Tensor, x: Tensor, mean: Tensor, deviation: Tensor, gain: Tensor, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `x`, gain and offset; `deviation` is the inverse one."""
    batch, channels, positions = _sizes(x)
    few = channels <= 32 and gradient.dtype == x.dtype == gain.dtype
    if not (few and is_channels_last(x) and is_channels_last(gradient)):
        to_x, to_gain, to_offset = aten.native_group_norm_backward(
            gradient, x, mean, deviation, gain, *_sizes(x), groups, [True] * 3
        )
        return to_x, to_gain, to_offset
    # torch's own takes 7.5 ms for 8 channels and 262144 positions, this 0.7.
    (dy,), (signal,) = rows_of_channels(gradient), rows_of_channels(x)
    total = dy.sum(1).view(batch, -1, channels).sum(1)
    correlation = (dy * signal).sum(1).view(batch, -1, channels).sum(1)
    mean, deviation = (each.repeat_interleave(channels // groups, 1) for each in (mean, deviation))

    def over_group(each: Tensor) -> Tensor:
        sums = (each * gain).view(batch, groups, -1).sum(2) / (positions * (channels // groups))
        return sums.repeat_interleave(channels // groups, 1)

    # y = gain (x - mean) / deviation: mean and deviation move with all x of their group.
    centred = correlation - mean * total
    slope = -over_group(centred) * deviation**3
    shift = -over_group(total) * deviation - slope * mean
    _, scale, slope, shift = rows_of_channels(x, gain * deviation, slope, shift)
    to_x = torch.addcmul(shift, signal, slope).addcmul_(dy, scale)
    return from_rows(to_x, x), (centred * deviation).sum(0), total.sum(0)


def _differentiable(
    ctx: Any,
    gradient: Tensor,
    x: Tensor,
    gain: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """Return the gradients as functions that can be differentiated again."""
    groups, eps, padding, form = ctx.settings
    active = F.silu(torch.group_norm(x, groups, gain, offset, eps)).to(form)
    kernel, shift = weight.to(form), None if bias is None else bias.to(form)
    out = _CONVOLVE[x.ndim](active, kernel, shift, 1, padding)
    inputs = enumerate((x, gain, offset, weight, bias))
    wanted = {i: part for i, part in inputs if part is not None and ctx.needs_input_grad[i]}
    found = torch.autograd.grad(out, list(wanted.values()), gradient, create_graph=True)
    answers = dict(zip(wanted, found, strict=True))
    return *(answers.get(i) for i in range(5)), gradient if ctx.needs_input_grad[5] else None, None
