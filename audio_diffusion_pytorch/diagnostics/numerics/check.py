"""Whether all numbers of a training step are finite, and far from what their format can hold."""

from __future__ import annotations

import copy
import math

import torch
from torch import Generator, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss, to_device

from .watch import NumericsWatch

LARGE = 1e4
"""A sixth of what fp16 holds (65504); activations of networks with norms stay below 1000."""


def check_numerics(
    model: nn.Module, clips: Clip, *, loss: LossFunction = diffusion_loss, seed: int = 0
) -> Finding:
    """Run one training step forward and back on a copy of a model and watch every module.

    Args:
        model: Left as it is.
        clips: Batched clips, audio `(b, c, t)`; 8 are plenty.
        loss: As in training.
        seed: Of noise, times and dropout.
    """
    copied = copy.deepcopy(model).train()
    device = next(copied.parameters()).device
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad(), NumericsWatch(copied) as watch:
        torch.manual_seed(seed)
        generator = Generator(device).manual_seed(seed)
        losses = loss(copied, to_device(clips, device), generator)
        losses.float().mean().backward()
    return numerics_finding(watch, float(losses.detach().float().mean()))


def numerics_finding(watch: NumericsWatch, loss: float) -> Finding:
    """Return what a watch saw of a step, as a finding.

    Args:
        watch: After the step.
        loss: The loss of the step.
    """
    where, size = next(iter(watch.largest(1)), ("", 0.0))
    largest = f"the largest number a module says is {size:.4g}, at {where or 'the model itself'}"
    figures: dict[str, float | str] = {"loss": loss, "largest activation": size, "at": where}
    figures |= {f"largest of {name or 'the model'}": value for name, value in watch.largest()}
    figures |= {f"gradient of {name}": value for name, value in watch.largest_gradients()}
    culprit = watch.culprit
    if culprit is not None:
        return Finding(
            "finite numbers",
            "wrong",
            f"not all numbers of a step are finite, as is right: {culprit.text}",
            f"load weights that are finite, such as the last good checkpoint's, or look into the "
            f"forward of {culprit.name}"
            if culprit.weights
            else f"look for a division, root, logarithm or exponential in {culprit.name}, or set "
            "train.precision=fp32 and a lower train.learning_rate",
            figures,
        )
    if watch.first_met or not math.isfinite(loss):
        met = f", first seen at {watch.first_met}" if watch.first_met else ""
        return Finding(
            "finite numbers",
            "wrong",
            f"the loss of a step is {loss:.4g} or its gradient not finite{met}, though every "
            "module passes finite numbers on",
            "look for a division, root or logarithm in the loss function",
            figures,
        )
    if size > LARGE:
        return Finding(
            "finite numbers",
            "suspicious",
            f"{largest}, below {LARGE:.4g} is right: fp16 ends at 65504",
            f"normalise the input of {where or 'the model'}, lower train.learning_rate, or stay "
            "with train.precision=fp32 or bf16",
            figures,
        )
    return Finding(
        "finite numbers",
        "ok",
        f"all numbers of a step are finite, {largest}, below {LARGE:.4g} is right",
        figures=figures,
    )
