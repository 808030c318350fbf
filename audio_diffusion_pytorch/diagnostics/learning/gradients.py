"""Whether the gradient reaches every block of the network, in about the same size."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Generator, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss, to_device

from .trial import choose_clips, train_copy
from .words import number, plural, some

UNEVEN = 1e4
"""Times by which blocks may differ; those of small healthy networks differ by up to 500."""

SWALLOWED = 1e-8
"""Adam's epsilon: weights with smaller gradients hardly move, whatever the learning rate."""

SETTLING_STEPS = 8
"""Steps before the measurement: behind layers that begin at zero there is no gradient at first."""


def block_weights(model: nn.Module) -> dict[str, dict[str, nn.Parameter]]:
    """Return the trainable weights by block, each weight once by its full name.

    Blocks are the children of the model's parts, such as "net.time_embedding", and of lists the
    entries, such as "net.levels.0".
    """
    names = list(_block_names(model))
    blocks: dict[str, dict[str, nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            parent = name.rpartition(".")[0]
            block = next((block for block in names if f"{name}.".startswith(f"{block}.")), parent)
            blocks.setdefault(block, {})[name] = weight
    return blocks


def _block_names(module: nn.Module, prefix: str = "", depth: int = 0) -> Iterator[str]:
    opened = depth < 2 or isinstance(module, (nn.ModuleList, nn.ModuleDict, nn.Sequential))
    children = list(module.named_children())
    if not opened or not children:
        yield prefix
        return
    for name, child in children:
        yield from _block_names(child, f"{prefix}.{name}" if prefix else name, depth + 1)


def check_gradients(
    model: nn.Module,
    clips: Clip,
    *,
    loss: LossFunction = diffusion_loss,
    rate: float = 1e-3,
    steps: int = SETTLING_STEPS,
    seconds: float = 8.0,
    seed: int = 0,
) -> Finding:
    """Compare the gradients of the blocks of a copy after a few steps.

    Args:
        model: Left as it is.
        clips: Batched clips; up to 8 are used.
        loss: As in training.
        rate: Learning rate of the few steps.
        steps: Steps before the measurement.
        seconds: Budget for them.
        seed: Of the noise.
    """
    batch = choose_clips(clips, 8)
    trial = train_copy(model, batch, rate, steps, loss=loss, seconds=seconds, seed=seed)
    norm = _backward(trial.model, batch, loss, seed)
    blocks = block_weights(trial.model)
    sizes: dict[str, float] = {}
    without: list[str] = []
    for block, weights in blocks.items():
        gradients = {name: w.grad for name, w in weights.items() if w.grad is not None}
        without += [name for name, w in weights.items() if w.grad is None or not w.grad.any()]
        total = sum(float(g.cpu().double().square().sum()) for g in gradients.values())
        sizes[block] = math.sqrt(total / sum(w.numel() for w in weights.values()))
    verdict, message, remedy = _judge(sizes, without, sum(map(len, blocks.values())), norm)
    figures = {f"gradient of {block}": size for block, size in sizes.items()}
    return Finding(
        "gradients", verdict, message, remedy,
        figures={"gradient norm": norm, "weights without gradient": len(without), **figures},
    )  # fmt: skip


def _backward(model: nn.Module, clips: Clip, loss: LossFunction, seed: int) -> float:
    """Leave one gradient, at levels that cover 0..1 evenly, and return its norm."""
    device = next(model.parameters()).device
    batch = to_device(clips, device)
    count = len(batch.audio)
    times = (torch.arange(count, device=device) + 0.5) / count
    model.zero_grad(set_to_none=True)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.enable_grad():
        torch.manual_seed(seed)
        value = loss(model, batch, Generator(device).manual_seed(seed), times).float().mean()
        if value.requires_grad:
            value.backward()
    gradients = [w.grad for w in model.parameters() if w.grad is not None]
    return math.sqrt(sum(float(g.cpu().double().square().sum()) for g in gradients))


def _judge(
    sizes: dict[str, float], without: list[str], count: int, norm: float
) -> tuple[Severity, str, str]:
    if not math.isfinite(norm):
        return (
            "wrong",
            f"the gradient's norm is {number(norm)} where any finite number would do",
            "find the module with train.debug_numerics=true, or set train.precision=fp32",
        )
    live = {block: size for block, size in sizes.items() if size > 0}
    if not live:
        return (
            "wrong",
            f"no gradient reaches any of the {plural(count, 'weight tensor')}, it should reach all",
            "look for detach(), torch.no_grad() or requires_grad=False between the network and the "
            "loss",
        )
    largest, smallest = max(live, key=live.__getitem__), min(live, key=live.__getitem__)
    spread = live[largest] / live[smallest]
    dead = [block for block, size in sizes.items() if size == 0]
    if dead:
        return (
            "wrong",
            f"no gradient reaches {plural(len(dead), 'block')} of {len(sizes)} ({some(dead)}), it "
            "should reach all",
            "see that the loss uses them, and that nothing on their way is detached or frozen",
        )
    if live[smallest] < SWALLOWED:
        return (
            "wrong",
            f"the gradient vanishes on its way to {smallest}: {number(live[smallest])} a weight, "
            f"Adam's steps need more than {number(SWALLOWED)}",
            "give the network residual connections and norms, or fewer blocks",
        )
    said = (
        f"a weight's gradient is {number(live[largest])} in {largest} and "
        f"{number(live[smallest])} in {smallest}, {number(spread)} times less, up to "
        f"{UNEVEN:.0f} is right"
    )
    if spread > UNEVEN:
        return (
            "suspicious",
            said,
            "give the network residual connections and norms, or scale the blocks alike at the "
            "start",
        )
    if without:
        return (
            "suspicious",
            f"no gradient reaches {len(without)} of {plural(count, 'weight tensor')} "
            f"({some(without)}), it should reach all",
            "leave them out of the network, or see that the loss uses them",
        )
    return "ok", f"{said}, and it reaches every weight tensor", ""
