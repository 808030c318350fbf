"""Attention that looks at one place only: logits that grew without bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import (
    gaussian_diffusion,
    observe,
    time_at_decibels,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .trial import choose_clips
from .words import number, plural

LARGE, EXPLODED = 50.0, 1000.0
"""Sizes of the logits: those of healthy attention stay under 30; at 1000 the steps of bfloat16 are
4 or 8 wide, so that the weights are chance."""

COLLAPSED = 0.05
"""Entropy of the attention weights over that of looking everywhere alike: under it every position
looks at a single other one."""

QUERIES = 64
"""Positions whose attention is looked at, of each head."""


def check_attention(
    model: nn.Module, clips: Clip, *, loss: LossFunction = diffusion_loss, seed: int = 0
) -> Finding | None:
    """Measure the logits and the entropy of every attention in the network; None without any.

    Seen is what goes through torch's `scaled_dot_product_attention` or `softmax`.

    Args:
        model: Left as it is.
        clips: Batched clips; up to 4 are used.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: As `observe`.
    """
    diffusion = gaussian_diffusion(model)
    few = choose_clips(clips, 4)
    levels = time_at_decibels(diffusion, torch.tensor([-10.0, 0.0, 10.0]))
    times = levels.repeat(len(few.audio))[: len(few.audio)]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # else its softmax is hidden from us
    with _Names(diffusion.net) as names:
        watch = _Watch(names)
        try:
            with watch:
                observe(model, few, times, loss=loss, seed=seed)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
    if not watch.found:
        return None
    worst = max(watch.found, key=lambda name: watch.found[name][0])
    logit, entropy = watch.found[worst]
    lowest = min(spread for _, spread in watch.found.values())
    message = (
        f"the largest attention logit is {number(logit)} ({worst}), up to {number(LARGE)} is "
        f"right, and each position spreads its attention over {100 * entropy:.0f} % of what is "
        f"possible, at least {100 * COLLAPSED:.0f} % is right"
    )
    verdict: Severity = "ok"
    if not logit < EXPLODED:
        verdict = "wrong"
    elif logit > LARGE and entropy < COLLAPSED:
        verdict = "suspicious"
    remedy = "" if verdict == "ok" else (
        "normalise queries and keys (a norm on each head), or set a lower train.learning_rate"
    )  # fmt: skip
    return Finding(
        "attention",
        verdict,
        message,
        remedy,
        figures={
            "attentions": plural(len(watch.found), "attention"),
            "largest logit": logit,
            "entropy there over the largest possible": entropy,
            "lowest entropy over the largest possible": lowest,
        },
    )


class _Names:
    """Knows which module is at work, while it is entered."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.stack: list[str] = []

    def __enter__(self) -> _Names:
        self._handles = []
        for name, part in self.net.named_modules():
            self._handles.append(part.register_forward_pre_hook(self._enter(name or "network")))
            self._handles.append(part.register_forward_hook(self._leave, always_call=True))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _enter(self, name: str) -> Callable[..., None]:
        return lambda *_: self.stack.append(name)

    def _leave(self, *_: object) -> None:
        if self.stack:
            self.stack.pop()


class _Watch(TorchFunctionMode):
    """Notes the logits that pass by: by module the largest and the mean relative entropy."""

    def __init__(self, names: _Names) -> None:
        super().__init__()
        self.names = names
        self.found: dict[str, tuple[float, float]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func is F.multi_head_attention_forward:
            with self._within():
                return func(*args, **given)
        if self.names.stack:
            if func is F.scaled_dot_product_attention:
                self._attend(*args, **given)
            elif func in (torch.softmax, F.softmax, Tensor.softmax):
                dim = given.get("dim", args[1] if len(args) > 1 else -1)
                logits = args[0] if args else given["input"]
                if dim in (-1, logits.ndim - 1) and logits.ndim >= 3:
                    self._note(logits)
        return func(*args, **given)

    @contextmanager
    def _within(self) -> Iterator[None]:
        """Listen inside a function of torch, where no mode is at work."""
        attend, softmax = F.scaled_dot_product_attention, F.softmax

        def watched(*args: Any, **given: Any) -> Tensor:
            self._attend(*args, **given)
            return attend(*args, **given)

        def noted(logits: Tensor, *args: Any, **given: Any) -> Tensor:
            self._note(logits)
            return softmax(logits, *args, **given)

        F.scaled_dot_product_attention, F.softmax = watched, noted  # type: ignore[assignment]
        try:
            yield
        finally:
            F.scaled_dot_product_attention, F.softmax = attend, softmax

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **_: Any,
    ) -> None:
        del value, dropout_p, is_causal
        few = query[..., :: max(1, query.shape[-2] // QUERIES), :]
        factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        logits = few.float() @ key.float().transpose(-1, -2) * factor
        if attn_mask is not None and attn_mask.dtype == torch.bool and attn_mask.shape[-2] == 1:
            logits = logits.masked_fill(~attn_mask, -math.inf)
        self._note(logits)

    def _note(self, logits: Tensor) -> None:
        with torch._C.DisableTorchFunction(), torch.no_grad():
            seen = logits.detach().float()
            real = torch.where(seen == -math.inf, torch.zeros_like(seen), seen)
            largest = float(real.abs().max()) if not real.isnan().any() else math.nan
            possible = math.log(max(2, seen.shape[-1]))
            shares = seen.softmax(-1)
            entropy = float(torch.special.entr(shares).sum(-1).mean()) / possible
        name = self.names.stack[-1]
        before = self.found.get(name, (0.0, 1.0))
        largest = math.inf if math.isnan(largest) else largest
        self.found[name] = max(before[0], largest), min(before[1], entropy)
