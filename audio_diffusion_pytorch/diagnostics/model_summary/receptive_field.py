"""Which input samples influence an output sample: measured by gradients, from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.overrides import TorchFunctionMode

Function = Callable[[Tensor], Tensor]
"""From a signal `(1, c, t)` to one as long `(1, c', t)`."""

PLACES = 16
"""Output positions that are looked at: strides make the reach depend on the place."""


@dataclass(frozen=True)
class Reach:
    """How far around itself an output position looks at the input.

    Attributes:
        before: Positions before it, the most of all places looked at.
        after: Positions after it, likewise.
        whole: Whether it looked at all there was, at one end at least; then the two are only what
            the length tried had room for.
        length: Positions of the input that was tried.
    """

    before: int
    after: int
    whole: bool
    length: int

    @property
    def size(self) -> int:
        """Positions in all."""
        return self.before + 1 + self.after


def measure_reach(function: Function, x: Tensor, places: Sequence[int]) -> Reach:
    """Return the reach of a function at some places, by the gradient of the input.

    Args:
        function: What is looked at.
        x: The input, `(1, c, t)`.
        places: Output positions in `0 .. t - 1`.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        y = function(x)
    probe = torch.randn(y.shape[1], generator=Generator().manual_seed(0), dtype=torch.float64)
    length = x.shape[-1]
    before, after, whole = 0, 0, False
    for place in places:
        answer = (y[0, :, place] * probe.to(y)).sum()
        gradient = None
        if answer.requires_grad:
            (gradient,) = torch.autograd.grad(answer, x, retain_graph=True, allow_unused=True)
        if gradient is None:
            continue
        hit = gradient[0].ne(0).any(0).nonzero().flatten().tolist()
        if hit:
            before, after = max(before, place - hit[0]), max(after, hit[-1] - place)
            whole = whole or hit[0] == 0 or hit[-1] == length - 1
    return Reach(before, after, whole, length)


Prepare = Callable[[int], tuple[Function, Tensor, Sequence[int]]]
"""From a length to the function at that length, its input `(1, c, t)`, and places to look at."""


def find_reach(prepare: Prepare, length: int, most: int, seconds: float = 20.0) -> Reach | None:
    """Return the reach, at a length that has room for it if there is one.

    Args:
        prepare: Makes ready what is looked at; raises a ValueError or RuntimeError where the model
            does not take the length.
        length: To begin with; doubled as long as the reach fills it.
        most: Length not to go beyond.
        seconds: Not to go on after.

    Returns:
        The reach at the last length tried; None if the model took none.
    """
    reach: Reach | None = None
    begun = time.perf_counter()
    while length <= most and (reach is None or reach.whole):
        try:
            reach = measure_reach(*prepare(length))
        except (ValueError, RuntimeError):
            if reach is not None:
                break
        length *= 2
        if time.perf_counter() - begun > seconds / 3:  # the next takes twice as long
            break
    return reach


def randomize(model: nn.Module, seed: int = 0) -> None:
    """Give every weight a random value, so that none hides what is behind it.

    Layers often begin at zero, and a gate that is shut lets no gradient pass: what a network can
    look at is a matter of its architecture alone.
    """
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            fan_in = max(1, weight[0].numel()) if weight.ndim > 1 else 4
            drawn = torch.randn(weight.shape, generator=generator) / fan_in**0.5
            weight.copy_(drawn.to(weight))


@dataclass
class LocalView:
    """Within this context, what looks at all positions of a signal at once is cut off.

    Norms over time (group and instance norms) take their statistics as given; attention of a signal
    to itself, and modules that make one vector `(b, f)` of a whole signal `(b, c, t)`, pass on no
    gradient. What is left is the reach of the convolutions.

    Attributes:
        model: Its modules are watched.
        parts: What was cut: the dotted path of each and what it is.
    """

    model: nn.Module
    parts: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Cut within this context."""
        inside: list[str] = []
        handles = []
        for name, module in self.model.named_modules():
            handles.append(module.register_forward_pre_hook(_entering(inside, name)))
            handles.append(module.register_forward_hook(self._leaving(inside, name)))
        try:
            with _Cutting(inside, self.parts):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _leaving(self, inside: list[str], name: str) -> Callable[..., Tensor | None]:
        def hook(_: nn.Module, given: Any, said: object) -> Tensor | None:
            inside.pop()
            signal = given[0] if given and isinstance(given[0], Tensor) else None
            if not (isinstance(said, Tensor) and said.requires_grad and said.ndim == 2):
                return None
            if signal is None or signal.ndim < 3 or not signal.requires_grad:
                return None
            self.parts[name] = "a vector made of the whole signal"
            return said.detach()

        return hook


def _entering(inside: list[str], name: str) -> Callable[..., None]:
    return lambda *_: inside.append(name)


class _Cutting(TorchFunctionMode):
    """Replaces norms over time and attention by what passes on no influence over time."""

    def __init__(self, inside: list[str], parts: dict[str, str]) -> None:
        super().__init__()
        self.inside, self.parts = inside, parts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (F.group_norm, torch.group_norm):
            self._note("group norm")
            return _frozen_norm(*args, **kwargs)
        if func is F.instance_norm:
            self._note("instance norm")
            return _frozen_instance_norm(*args, **kwargs)
        out = func(*args, **kwargs)
        if func is F.scaled_dot_product_attention and args[1].requires_grad:
            self._note("attention")
            return out.detach()
        if func is F.multi_head_attention_forward and args[1].requires_grad:
            self._note("attention")
            return (out[0].detach(), *out[1:])
        return out

    def _note(self, kind: str) -> None:
        self.parts[self.inside[-1] if self.inside else ""] = kind


def _frozen_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    """Return the group norm of `(b, c, *t)`, mean and deviation of which are constants."""
    groups = input.unflatten(1, (num_groups, -1)).flatten(2)
    variance, mean = torch.var_mean(groups.detach(), dim=2, correction=0, keepdim=True)
    out: Tensor = ((groups - mean) * torch.rsqrt(variance + eps)).reshape(input.shape)
    wide = (1, -1, *[1] * (input.ndim - 2))
    out = out if weight is None else out * weight.view(wide)
    return out if bias is None else out + bias.view(wide)


def _frozen_instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,  # noqa: ARG001
    running_var: Tensor | None = None,  # noqa: ARG001
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,  # noqa: ARG001
    momentum: float = 0.1,  # noqa: ARG001
    eps: float = 1e-5,
) -> Tensor:
    return _frozen_norm(input, input.shape[1], weight, bias, eps)
