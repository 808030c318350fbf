"""Whether the network hears the noise level that it is told."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import (
    Observation,
    gaussian_diffusion,
    observe,
    time_at_decibels,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .trial import choose_clips, train_copy
from .words import number

DEAF, HARD_OF_HEARING = 1e-4, 0.01
"""Change of the answer, over the answer, when another level is told: small healthy networks change
by 0.3 to 1, after a few steps already by more than 0.01."""

WAKING_STEPS = 12
"""Steps that a copy is given where the answer does not change: many networks begin with layers of
zeros and hear nothing before the first steps."""

TOLD = (-10.0, 0.0, 10.0)
"""Signal over noise of the levels that are told, in dB."""


def check_noise_level(
    model: nn.Module,
    clips: Clip,
    *,
    loss: LossFunction = diffusion_loss,
    rate: float = 1e-3,
    seconds: float = 8.0,
    seed: int = 0,
) -> Finding:
    """Tell the network wrong noise levels and see whether its answer changes.

    Where it does not, a copy takes a few steps first, and all modules are listened to.

    Args:
        model: Left as it is.
        clips: Batched clips; up to 4 are used.
        loss: As in training.
        rate: Learning rate of the few steps.
        seconds: Budget for them.
        seed: Of the noise.

    Raises:
        ValueError: As `observe`.
    """
    few = choose_clips(clips, 4)
    change, inside = _change(model, few, loss, seed)
    figures: dict[str, float | str] = {"change of the answer": change}
    later = ""
    if change < HARD_OF_HEARING:
        batch = choose_clips(clips, 8)
        copied = train_copy(
            model, batch, rate, WAKING_STEPS, loss=loss, seconds=seconds, seed=seed
        ).model
        change, inside = _change(copied, few, loss, seed)
        later = f" after {WAKING_STEPS} steps of a copy"
        figures["change of the answer after a few steps"] = change
    hearing = [name for name, heard in inside.items() if heard > DEAF]
    figures |= {
        "modules that hear it": len(hearing),
        "modules": len(inside),
        "last module that hears it": hearing[-1] if hearing else "none",
    }
    verdict: Severity = (
        "wrong" if change < DEAF else "suspicious" if change < HARD_OF_HEARING else "ok"
    )
    message = (
        f"told another noise level the network's answer changes by {number(100 * change)} %"
        f"{later}, more than {number(100 * HARD_OF_HEARING)} % is right"
    )
    if verdict == "ok":
        return Finding("noise level told", "ok", message, figures=figures)
    if hearing:
        message += f": the level is heard by {hearing[-1]} and by nothing after it"
        remedy = f"see what becomes of the output of {hearing[-1]}, and add it to every block"
    else:
        message += ": no module hears it"
        remedy = "see that the network's forward uses its second argument, the time of each item"
    return Finding("noise level told", verdict, message, remedy, figures=figures)


def _change(
    model: nn.Module, clips: Clip, loss: LossFunction, seed: int
) -> tuple[float, dict[str, float]]:
    """Return the relative change of the answer, and of the output of each module within."""
    diffusion = gaussian_diffusion(model)
    levels = time_at_decibels(diffusion, torch.tensor(TOLD))
    seen = [
        observe(model, clips, time.expand(len(clips.audio)), loss=loss, seed=seed)
        for time in levels
    ]
    changes: list[float] = []
    inside: dict[str, float] = {}
    middle = seen[len(seen) // 2]
    right, heard = _listen(middle, lambda: middle.ask())
    for other in (seen[0], seen[-1]):
        told = other.net_time
        wrong, heard_wrong = _listen(middle, lambda told=told: middle.ask(net_time=told))  # type: ignore[misc]
        changes.append(_relative(right, wrong))
        for name in heard:
            if name in heard_wrong:
                change = _relative(heard[name], heard_wrong[name])
                inside[name] = max(inside.get(name, 0.0), change)
    return max(changes), inside


def _listen(seen: Observation, ask: Callable[[], Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return an answer and the outputs of the modules within, in the order they came."""
    outputs: dict[str, Tensor] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                outputs.pop(name, None)
                outputs[name] = output.detach().clone()

        return hook

    parts = [(name, part) for name, part in seen.diffusion.net.named_modules() if name]
    handles = [
        part.register_forward_hook(note(name))
        for name, part in parts
        if next(part.children(), None) is None
    ]
    try:
        return ask(), outputs
    finally:
        for handle in handles:
            handle.remove()


def _relative(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return 0.0
    size = float(one.cpu().double().square().mean().sqrt())
    change = float((one.cpu().double() - other.cpu().double()).square().mean().sqrt())
    return change / size if size > 0 else float(change > 0)
