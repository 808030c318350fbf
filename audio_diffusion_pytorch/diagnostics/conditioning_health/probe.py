"""How strongly a condition moves the layers of any network, seen from outside."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import Observation, permuted
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .conditions import Told, hear, rms
from .gain import AUDIBLE, CALIBRATED, CHECK, judged, ratio

CHECK_AT_START = "conditioner gain at the start"


class Moved(NamedTuple):
    """How far one layer's output moves, root mean square.

    Attributes:
        name: Of the layer, as seen from the network.
        by_condition: When the condition is exchanged.
        by_signal: When the signal is exchanged.
        is_path: Whether it has positions, as signals do.
        is_closed: Whether what comes in moves with the condition while all its weights are zero.
    """

    name: str
    by_condition: float
    by_signal: float
    is_path: bool
    is_closed: bool

    @property
    def gain(self) -> float:
        """Of the condition over the signal."""
        return self.by_condition / max(self.by_signal, 1e-30)


def probe_conditioner_gain(
    model: nn.Module,
    clips: Clip,
    *,
    initial: bool = False,
    loss: LossFunction = diffusion_loss,
    seed: int = 0,
) -> Finding:
    """Say how far the condition moves the layers that the signal passes, beside the signal itself.

    Nothing needs to be known of the network: every layer's output is compared when the condition
    of a clip is exchanged for another's and when its noisy signal is, at 0 dB signal over noise.
    Squares of both are summed over all layers where they meet, so that loud layers, which the
    others are added to, count most.

    A network may hold layers of zeros that let the condition in only when training moves them
    (adaLN-zero, zero-initialised gates). With `initial` that is right, without it is a fault. A
    faint condition is only suspicious at the start: Adam moves small weights as fast as large ones.

    Args:
        model: Any model that `observe` takes.
        clips: Batched clips, 2 or more; up to 24 of them are used.
        initial: Whether the weights are those before any training.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: There are fewer than 2 clips, or all are told the same; as `observe`.
    """
    return gain_of(hear(model, clips, (0.0,), loss=loss, seed=seed), initial=initial)


def gain_of(told: Told, *, initial: bool = False) -> Finding:
    """As `probe_conditioner_gain`, of what was heard already.

    Raises:
        ValueError: All items are told the same.
    """
    if not bool(told.differs.any()):
        raise ValueError(
            f"the gain of a condition shows where items are told different things, got "
            f"{len(told.order)} that are told the same: pass other clips"
        )
    check = CHECK_AT_START if initial else CHECK
    moved = _moved(told)
    meeting = [x for x in moved if x.is_path and x.by_signal > 0 and x.by_condition > 0]
    if not meeting:
        return _unmoved(check, told, moved, initial)
    by_condition = sum(layer.by_condition**2 for layer in meeting) ** 0.5
    by_signal = sum(layer.by_signal**2 for layer in meeting) ** 0.5
    gain = by_condition / by_signal
    message = (
        f"exchanging the {told.phrase} moves the layers that the signal passes by {ratio(gain)} of "
        f"what exchanging the signal does; {CALIBRATED[0]:g} to {CALIBRATED[1]:g} is balanced, "
        f"from {AUDIBLE:g} on it is heard"
    )
    most, least = (pick(meeting, key=lambda layer: layer.gain) for pick in (max, min))
    figures: dict[str, float | str] = {
        "condition": ", ".join(told.names),
        "gain": gain,
        "largest gain": most.gain,
        "layer of the largest gain": most.name,
        "least gain": least.gain,
        "layer of the least gain": least.name,
        "layers where both meet": float(len(meeting)),
    }
    worst: Severity = "suspicious" if initial else "wrong"  # training may mend it
    return judged(check, gain, message, figures, worst)


def _unmoved(check: str, told: Told, moved: list[Moved], initial: bool) -> Finding:
    """Say why no layer of the signal moves with the condition."""
    closed = [layer.name for layer in moved if layer.is_closed]
    names = " and ".join(told.names)
    figures: dict[str, float | str] = {"condition": ", ".join(told.names), "gain": 0.0}
    if not closed:
        heard = [layer.name for layer in moved if layer.by_condition > 0]
        where = f"it ends in {heard[-1]}" if heard else "no layer moves with it"
        return Finding(
            check,
            "wrong",
            f"exchanging the {told.phrase} moves none of the layers that the signal passes (a gain "
            f"of 0, {CALIBRATED[0]:g} to {CALIBRATED[1]:g} would be right): {where}",
            f"look how the network's forward uses {names}: what is made of it must be added "
            "to, multiplied with or appended to the signal",
            figures,
        )
    figures |= {"layers of zeros": ", ".join(closed)}
    many = f"{closed[0]} and {len(closed) - 1} more" if len(closed) > 1 else closed[0]
    if initial:
        return Finding(
            check,
            "ok",
            f"the layers that let the {told.phrase} in hold zeros ({many}): a gain of exactly 0 by "
            f"design, to become {CALIBRATED[0]:g} to {CALIBRATED[1]:g} by training",
            "",
            figures,
        )
    return Finding(
        check,
        "wrong",
        f"the layers that let the {told.phrase} in still hold zeros ({many}): a gain of exactly 0 "
        f"after training, {CALIBRATED[0]:g} to {CALIBRATED[1]:g} would be right",
        "look whether those weights are given to the optimizer and get gradients",
        figures,
    )


def _moved(told: Told) -> list[Moved]:
    """Return what moved in each layer, in the order of their calls.

    Rows of one batch in threes: a signal with its condition, the same signal with another's
    condition, another's signal with the first condition. So no activation has to be kept.
    """
    observed = told.observed[0]
    rows, conditions = _threes(told)
    net, found = observed.diffusion.net, []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], named: Any, out: Any) -> None:
            change = _changes(out, observed)
            if change is not None:
                given = (*inputs, *named.values())
                closed = _is_zero(module) and any(_reacts(value, observed) for value in given)
                is_path = out.ndim >= observed.net_input.ndim and out[0, 0].numel() > 1
                found.append(Moved(name or "its answer", *change, is_path, closed))

        return hook

    handles = [
        module.register_forward_hook(watch(name), with_kwargs=True)
        for name, module in net.named_modules()
        if not isinstance(module, nn.Identity)
    ]
    try:
        device = observed.net_input.device
        observed.ask(
            net_input=observed.net_input[rows.to(device)],
            cond=permuted(observed.cond, conditions),
        )
    finally:
        for handle in handles:
            handle.remove()
    return found


def _threes(told: Told) -> tuple[Tensor, Tensor]:
    """Return whose signal and whose condition stands in each row of the batch."""
    count = len(told.order)
    firsts = told.differs.nonzero().flatten()
    firsts = firsts[torch.arange(count // 3) % len(firsts)]
    others = told.order[firsts]
    rest = torch.zeros(count % 3, dtype=torch.long)
    rows = torch.cat([torch.stack([firsts, firsts, others], 1).flatten(), rest])
    conditions = torch.cat([torch.stack([firsts, others, firsts], 1).flatten(), rest])
    return rows, conditions


def _changes(out: Any, observed: Observation) -> tuple[float, float] | None:
    """Return how far an output moves with the condition and with the signal; None of no batch."""
    count = len(observed.net_input)
    if not isinstance(out, Tensor) or out.ndim < 2 or len(out) != count:
        return None
    if not out.is_floating_point():
        return None
    whole = count - count % 3
    base, condition, signal = (out[i:whole:3].float() for i in range(3))
    return rms(condition - base), rms(signal - base)


def _reacts(value: Any, observed: Observation) -> bool:
    change = _changes(value, observed)
    return change is not None and change[0] > 0


def _is_zero(module: nn.Module) -> bool:
    named = module.named_parameters(recurse=False)
    weights = [weight for name, weight in named if name != "bias"]
    return bool(weights) and not any(bool(weight.any()) for weight in weights)
