"""Short trainings of a copy: what the checks that train have in common."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.clips import take
from audio_diffusion_pytorch.models.clip_loss import LossFunction, diffusion_loss, to_device

OptimizerMaker = Callable[[nn.Module, float], torch.optim.Optimizer]
"""`(model, learning_rate) -> optimizer` over the weights that are to move."""

WARM_UP = 5
"""Steps in which the rate climbs: Adam's first steps are the longest, trained weights jump."""

CLIP_NORM = 1.0
"""Largest gradient norm of a step, as in training."""

QUIET = 1e-4
"""Power of a clip over the median under which it is no sound to learn."""

BLOWN_UP = 1e4
"""Times its first value at which a loss is given up."""


def adamw(model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Return plain AdamW without decay over all weights that require a gradient."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return torch.optim.AdamW(weights, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0)


@dataclass
class Trial:
    """A short training of a copy.

    Attributes:
        model: The copy, as trained so far, in training mode.
        rate: The learning rate after the warm-up.
        losses: The mean loss of the batch before each step.
        gradient_norms: Of each step, over all weights, before clipping.
        out_of_time: Whether the seconds were used up before the steps.
    """

    model: nn.Module
    rate: float
    losses: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    out_of_time: bool = False

    @property
    def start(self) -> float:
        """The loss before the first step."""
        return self.losses[0]

    @property
    def end(self) -> float:
        """The mean loss of the last eighth of the steps; infinite where it blew up."""
        if self.blew_up:
            return math.inf
        last = self.losses[-max(1, len(self.losses) // 8) :]
        return sum(last) / len(last)

    @property
    def peak(self) -> float:
        """The highest loss on the way; infinite where it was not finite."""
        return max(x if math.isfinite(x) else math.inf for x in self.losses)

    @property
    def blew_up(self) -> bool:
        """Whether the loss left all bounds."""
        return self.peak > BLOWN_UP * max(abs(self.start), 1e-12)

    @property
    def without_gradient(self) -> bool:
        """Whether no step had any gradient at all."""
        return max(self.gradient_norms, default=0.0) == 0.0


def train_copy(
    model: nn.Module,
    clips: Clip,
    rate: float,
    steps: int,
    *,
    loss: LossFunction = diffusion_loss,
    optimizer: OptimizerMaker = adamw,
    fixed_noise: bool = False,
    seconds: float = math.inf,
    seed: int = 0,
    stop: Callable[[Trial], bool] | None = None,
) -> Trial:
    """Train a deep copy for some steps on one batch; the model itself is not touched.

    torch's global random state is left as it was. Where no weight of the model requires a gradient
    (averaged weights are frozen) all of its network's do in the copy.

    Args:
        model: What is copied.
        clips: The batch of every step, audio `(b, c, t)`.
        rate: The learning rate, reached after a short warm-up.
        steps: At most.
        loss: As in training.
        optimizer: Makes the optimizer.
        fixed_noise: Whether each step has the same noise, at noise levels that cover 0..1 evenly;
            else fresh ones, at the levels that the loss draws.
        seconds: Budget; ends the training early.
        seed: Of all noise.
        stop: Asked after each step whether that is enough.
    """
    trial = Trial(copy_to_train(model), rate)
    device = next(model.parameters()).device
    batch = to_device(clips, device)
    count = len(batch.audio)
    times = (torch.arange(count, device=device) + 0.5) / count if fixed_noise else None
    moving = optimizer(trial.model, rate)
    began = time.perf_counter()
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.enable_grad():
        for step in range(steps):
            noise_seed = seed if fixed_noise else seed + 1 + step  # not that of the judging
            torch.manual_seed(noise_seed)
            generator = Generator(device).manual_seed(noise_seed)
            for group in moving.param_groups:
                group["lr"] = rate * min(1.0, (step + 1) / WARM_UP)
            value = loss(trial.model, batch, generator, times).float().mean()
            moving.zero_grad(set_to_none=True)
            trial.losses.append(value.item())
            trial.gradient_norms.append(_step(value, moving))
            if trial.blew_up or (stop is not None and stop(trial)):
                break
            if time.perf_counter() - began > seconds and step + 1 < steps:
                trial.out_of_time = True
                break
    return trial


def _step(loss: Tensor, optimizer: torch.optim.Optimizer) -> float:
    """Step down the gradient of a loss and return its norm; 0 where it depends on no weight."""
    if not loss.requires_grad:
        return 0.0
    loss.backward()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    norm = float(nn.utils.clip_grad_norm_(weights, CLIP_NORM))
    if math.isfinite(norm):
        optimizer.step()
    return norm


def copy_to_train(model: nn.Module) -> nn.Module:
    """Return a deep copy in training mode, with at least the network's weights free to move."""
    copied = copy.deepcopy(model).train()
    if not any(weight.requires_grad for weight in copied.parameters()):
        diffusion = getattr(copied, "diffusion", copied)
        getattr(diffusion, "net", diffusion).requires_grad_(True)
    copied.zero_grad(set_to_none=True)
    return copied


def choose_clips(clips: Clip, count: int) -> Clip:
    """Return up to `count` clips of a batch, spread evenly over it."""
    total = len(clips.audio)
    count = min(count, total)
    return take(clips, [place * total // count for place in range(count)])


def repeat_clips(clips: Clip, count: int) -> Clip:
    """Return a batch of about `count`, each clip as often as the others: they meet more noise."""
    total = len(clips.audio)
    return take(clips, list(range(total)) * max(1, count // total))


def sounding_clips(clips: Clip) -> Clip | None:
    """Return the clips of a batch that are not nearly silent beside the others; None if all are."""
    power = clips.audio.float().square().flatten(1).mean(1)
    loud = (power > QUIET * power.median()).nonzero().flatten().tolist()
    return take(clips, loud) if loud else None
