"""Channels inside the network that always say the same, and norms that mix up noise levels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding, Severity
from audio_diffusion_pytorch.diagnostics.observation import (
    gaussian_diffusion,
    observe,
    time_at_decibels,
)
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss

from .trial import choose_clips
from .words import plural, some

CONSTANT = 1e-6
"""Spread of a channel over batch and time, over the size of the layer, under which it is dead."""

DEAD_SHARE = 0.25
"""Share of a layer's channels that may be dead; healthy networks have none."""

_CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
_ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Sigmoid,
    nn.Tanh, nn.Softplus, nn.Hardtanh, nn.Mish,
)  # fmt: skip
_LEVELS = (-10.0, 0.0, 10.0)


def check_dead_channels(
    model: nn.Module, clips: Clip, *, loss: LossFunction = diffusion_loss, seed: int = 0
) -> Finding:
    """Look at the output of every convolution and activation for channels that never change.

    Layers whose weights are all zero have not begun to learn and are left out.

    Args:
        model: Left as it is.
        clips: Batched clips; up to 6 are used, each at one of three noise levels.
        loss: As in training.
        seed: Of the noise.

    Raises:
        ValueError: As `observe`.
    """
    diffusion = gaussian_diffusion(model)
    few = choose_clips(clips, 6)
    levels = time_at_decibels(diffusion, torch.tensor(_LEVELS))
    times = levels.repeat(len(few.audio))[: len(few.audio)]
    found: dict[str, tuple[int, int]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim >= 3 and output.numel():
                found[name] = _dead(output)

        return hook

    layers = [
        (name, part)
        for name, part in diffusion.net.named_modules()
        if isinstance(part, _ACTIVATIONS) or (isinstance(part, _CONVOLUTIONS) and _begun(part))
    ]
    handles = [part.register_forward_hook(note(name)) for name, part in layers]
    try:
        observe(model, few, times, loss=loss, seed=seed)
    finally:
        for handle in handles:
            handle.remove()
    dead, total = sum(d for d, _ in found.values()), sum(n for _, n in found.values())
    bad = [name for name, (d, n) in found.items() if d > DEAD_SHARE * n]
    share = dead / max(1, total)
    figures = {"dead channels": dead, "channels": total, "layers with dead channels": len(bad)}
    message = (
        f"{dead} of {plural(total, 'channel')} in {plural(len(found), 'layer')} say the same for "
        "every clip and moment, 0 is right"
    )
    if not bad:
        return Finding("dead channels", "ok", message, figures=figures)
    verdict: Severity = "wrong" if share > 0.5 else "suspicious"
    return Finding(
        "dead channels",
        verdict,
        f"{message}: most in {some(bad)}",
        "use SiLU or GELU instead of ReLU, a lower train.learning_rate, and start again: dead "
        "channels do not come back",
        figures=figures,
    )


def _begun(layer: nn.Module) -> bool:
    return bool(torch.as_tensor(layer.weight).any())


def _dead(output: Tensor) -> tuple[int, int]:
    """Return how many channels are constant, and how many there are."""
    rows = output.detach().cpu().double().transpose(0, 1).flatten(1)
    size = rows.square().mean().sqrt()
    dead = rows.std(1, correction=0) <= CONSTANT * size
    return int(dead.sum()), len(rows)


def check_batch_norm(model: nn.Module) -> Finding:
    """Name the batch norms in a network: their running statistics mix up all noise levels.

    Args:
        model: With or without a `diffusion`.
    """
    diffusion = getattr(model, "diffusion", model)
    net = getattr(diffusion, "net", diffusion)
    names = [name for name, part in net.named_modules() if isinstance(part, _BatchNorm)]
    figures = {"batch norms": len(names)}
    if not names:
        said = "the network has 0 batch norms, 0 is right"
        return Finding("batch norm", "ok", said, figures=figures)
    return Finding(
        "batch norm",
        "suspicious",
        f"the network has {plural(len(names), 'batch norm')} ({some(names)}), 0 is right: their "
        "running means mix up all noise levels, so sampling differs from training",
        "use GroupNorm instead",
        figures=figures,
    )
