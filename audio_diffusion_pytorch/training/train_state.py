"""Everything a run must remember to go on bit for bit."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.folder import AudioFolder

from .checkpoint import load_weights
from .ema import EMA, PowerDecay
from .post_hoc_ema import PostHocEMA
from .precision import Precision
from .rates import Plan, Planner, rate_factor
from .train_config import TrainConfig

EXACT_KEYS = ("seed", "batch_size", "accumulate")
"""Settings that fix the order of the clips and the noise: changing one ends exact resume."""


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over the trainable weights; only those with two dimensions or more decay.

    Raises:
        ValueError: The model has nothing to train.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise ValueError("the model has no weight that requires a gradient: nothing to train")
    groups = [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=all(weight.device.type in ("cpu", "cuda") for weight in weights),
    )


@dataclass
class TrainState:
    """The parts of a run that a checkpoint holds.

    Attributes:
        model: The model in training, not wrapped, not compiled.
        ema: Its running mean.
        optimizer: Over the model's weights.
        scaler: Of the loss; idle unless fp16.
        precision: The format chosen at the start.
        planner: Where the run ends.
        post_hoc: The means that snapshots are made of; None where none are asked for.
        step: Optimizer steps done.
        seconds: Training time spent, in seconds.
        window_loss: Sum of the losses since the last row of the curve.
        window_steps: Steps since then.
        best_loss: Lowest validation loss.
        best_step: Its step.
    """

    model: nn.Module
    ema: EMA
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    precision: Precision
    planner: Planner
    post_hoc: PostHocEMA | None = None
    step: int = 0
    seconds: float = 0.0
    window_loss: float = 0.0
    window_steps: int = 0
    best_loss: float = math.inf
    best_step: int = 0

    @classmethod
    def start(
        cls, model: nn.Module, config: TrainConfig, precision: Precision, device: torch.device
    ) -> TrainState:
        """The state before the first step."""
        decay = PowerDecay(
            config.ema_decay, config.ema_power, config.ema_inv_gamma, config.ema_warmup_steps
        )
        return cls(
            model=model,
            ema=EMA(model, decay),
            optimizer=make_optimizer(model, config),
            scaler=precision.scaler(device),
            precision=precision,
            planner=Planner(config.max_steps, config.max_seconds),
            post_hoc=PostHocEMA(model) if config.ema_snapshot_every else None,
        )

    def update_means(self) -> None:
        """Take the weights after an optimizer step into every running mean."""
        self.ema.update(self.model)
        if self.post_hoc is not None:
            self.post_hoc.update(self.model)

    def set_rate(self, config: TrainConfig) -> float:
        """Set the learning rate of the next update and return it."""
        factor = rate_factor(self.step, self.planner.plan, config.warmup_steps, config.schedule)
        rate = config.learning_rate * factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def to_checkpoint(
        self, config: TrainConfig, exact: Mapping[str, Any], settings: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Tensors and plain values only."""
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            **({} if self.post_hoc is None else {"post_hoc_ema": self.post_hoc.state_dict()}),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": asdict(self.precision),
            "plan": asdict(self.planner.plan),
            "limits": {"max_steps": config.max_steps, "max_seconds": config.max_seconds},
            "step": self.step,
            "seconds": self.seconds,
            "window": [self.window_loss, self.window_steps],
            "best": [self.best_loss, self.best_step],
            "exact": dict(exact),
            "train": asdict(config),
            "config": dict(settings or {}),
        }

    def load(self, content: Mapping[str, Any], config: TrainConfig, source: str | Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: It is from another model.
        """
        load_weights(self.model, content["model"], source)
        load_weights(self.ema, content["ema"], source)
        if self.post_hoc is not None and "post_hoc_ema" in content:  # else it begins here
            load_weights(self.post_hoc, content["post_hoc_ema"], source)
        kept = [
            {key: group[key] for key in ("betas", "weight_decay", "fused")}
            for group in self.optimizer.param_groups
        ]
        try:
            self.optimizer.load_state_dict(content["optimizer"])
        except ValueError as error:
            raise ValueError(
                f"{source} was trained with other trainable weights than this model's; freeze the "
                "same parts as then, or start a new run"
            ) from error
        for group, settings in zip(self.optimizer.param_groups, kept, strict=True):
            group.update(settings)
        if content["scaler"]:
            self.scaler.load_state_dict(content["scaler"])
        self.step, self.seconds = content["step"], content["seconds"]
        self.window_loss, self.window_steps = content["window"]
        self.best_loss, self.best_step = content["best"]
        limits = {"max_steps": config.max_steps, "max_seconds": config.max_seconds}
        if content["limits"] == limits:
            self.planner.plan = Plan(**content["plan"])
        else:
            self.planner.extend(self.step, self.seconds)


def what_fixes_a_run(
    config: TrainConfig, world_size: int, data: Dataset[Clip], held_back: Dataset[Clip] | None
) -> dict[str, Any]:
    """What must be the same on resume for the run to go on bit for bit, plain values."""
    return {
        **{key: getattr(config, key) for key in EXACT_KEYS},
        "world_size": world_size,
        "recordings": describe_recordings(data),
        "held-back recordings": "none" if held_back is None else describe_recordings(held_back),
    }


def describe_recordings(data: Dataset[Clip]) -> str:
    """Return the number of clips and, of a folder, a digest of its file names and their length."""
    text = f"{len(data)} clips"  # type: ignore[arg-type]
    if not isinstance(data, AudioFolder):
        return text
    facts = [sorted(data.files), round(3600e3 * data.report.hours)]  # to the millisecond
    return f"{text} ({hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]})"


def resume_warnings(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What keeps a resumed run from repeating the uninterrupted one, one line each.

    Args:
        then: What fixed the run that was saved, as `what_fixes_a_run` tells it.
        now: What fixes it now.
    """
    return [
        f"note: {key} was {value} and is {now.get(key)}: the run goes on, but not bit for bit"
        if key in EXACT_KEYS or key == "world_size"
        else f"note: the {key} changed since, {value} then, {now.get(key)} now: the run goes on, "
        "but not bit for bit, and losses before and after do not compare"
        for key, value in then.items()
        if now.get(key) != value
    ]
