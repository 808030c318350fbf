"""Every number of a training run, in one typed dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .config_files import ConfigError

DEFAULT_MINUTES = 10.0
"""The time limit, in minutes, when neither `max_steps` nor `max_minutes` is given."""

OVERFIT_MINUTES = 2.0
"""The same for a run with `overfit`: a network that can learn knows a clip by heart by then."""


@dataclass
class TrainConfig:
    """The settings of `fit`: plain scalars, for INI, JSON, YAML and `train.key=value` to fill.

    Attributes:
        max_steps: Optimizer steps in the whole run; None: no limit. A resumed run counts its
            earlier steps.
        max_minutes: Minutes of training, counted from the first step, validation and sampling
            during training and the time before a resume included; None: no limit. When only
            minutes are given, the number of steps is estimated from the first 20 steps. When
            neither is given the limit is 10 minutes, with `overfit` 2 minutes.
        batch_size: Clips of one forward pass of one process.
        accumulate: Forward passes per optimizer step; a step sees `batch_size * accumulate` clips
            in every process.
        learning_rate: The highest rate, reached after the warm-up.
        weight_decay: AdamW's decoupled decay; weights with fewer than two dimensions (biases,
            norms) are left out.
        beta1: AdamW's decay of the mean of the gradient, 0..1.
        beta2: AdamW's decay of the mean of the squared gradient, 0..1.
        warmup_steps: Steps in which the rate climbs linearly from 0; under the cosine schedule at
            most a tenth of the run.
        schedule: "cosine" falls to 0 at the end of the run, "constant" stays.
        clip_norm: Largest norm of the gradient over all weights; 0: no clipping.
        ema_decay: Highest decay of the running mean of the weights, 0..1.
        ema_power: The decay after n steps is `1 - (1 + n / ema_inv_gamma) ** -ema_power`, at most
            `ema_decay`; 0: the decay is `ema_decay` from the start.
        ema_inv_gamma: See `ema_power`, in steps.
        ema_warmup_steps: Steps in which the mean is only a copy of the weights.
        ema_snapshot_every: Steps between two snapshots of two further means of the weights, from
            which `reconstruct_ema` makes a mean of any length after the run; 32 in a run are
            plenty. Each takes the room of two models on the disk, and two more in memory; 0: none.
        precision: "auto" times a bf16 and an fp32 matrix product at the start and takes bf16 where
            it is at least 1.5 times faster; "fp16" needs a CUDA device.
        device: "auto" (CUDA if there is one, else CPU), "cpu", "cuda", "cuda:1", "mps", ...
        seed: Seed of everything random: noise, times, dropout, order of the clips.
        num_workers: Processes that read audio beside the training; 0: read in the same process.
        log_every: Steps between two rows of the training curve.
        validate_every: Steps between two validations; 0: only at the end.
        validation_items: Validation clips used each time, always the same ones.
        validation_bins: Noise levels (equal shares of time 0..1) at which each of them is tried;
            0: the loss draws its own times.
        checkpoint_every: Steps between two checkpoints; 0: only at the end.
        keep_checkpoints: Step checkpoints kept besides the last and the best.
        sample_every: Steps between two calls of `on_sample`; 0: never.
        overfit: Train on the first so many clips only, the same stretch of each in every epoch,
            validate on the same clips, and say at the end in one sentence whether the network knows
            them by heart and if not why: what cannot learn one clip will learn no folder. 0: train
            on everything.
        debug_numerics: Whether to look into the modules: a step with a loss or gradient that is not
            finite is repeated with the same noise, and the module that made the number is named;
            smallest, largest and mean output of each block and its deviation are logged at
            `log_every`. Not with `compile`.
        diagnose: How thoroughly the doctor examines the run: "quick" makes some seconds of checks
            before and after the training, "full" all of them after it (up to two minutes, as
            `examples/diagnose.py` makes of any run later), "off" none.
        compile: Whether to run the model through `torch.compile`.
        runs: Folder in which run folders are made.
    """

    max_steps: int | None = None
    max_minutes: float | None = None
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    warmup_steps: int = 100
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: float = 1.0
    ema_decay: float = 0.9999
    ema_power: float = 0.75
    ema_inv_gamma: float = 1.0
    ema_warmup_steps: int = 0
    ema_snapshot_every: int = 0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: str = "auto"
    seed: int = 0
    num_workers: int = 0
    log_every: int = 10
    validate_every: int = 250
    validation_items: int = 32
    validation_bins: int = 8
    checkpoint_every: int = 250
    keep_checkpoints: int = 2
    sample_every: int = 1000
    overfit: int = 0
    debug_numerics: bool = False
    diagnose: Literal["quick", "full", "off"] = "quick"
    compile: bool = False
    runs: str = "runs"

    def __post_init__(self) -> None:
        """Refuse values that cannot work, before a run folder is made or changed."""
        self.check()

    @property
    def max_seconds(self) -> float | None:
        """The time limit in seconds, or None when only steps limit the run."""
        if self.max_minutes is not None:
            return 60.0 * self.max_minutes
        minutes = OVERFIT_MINUTES if self.overfit else DEFAULT_MINUTES
        return None if self.max_steps is not None else 60.0 * minutes

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: (a ValueError) a value is out of range; the message names its key.
        """
        positive = ("batch_size", "accumulate", "log_every", "ema_inv_gamma", "learning_rate")
        not_negative = (
            "weight_decay", "warmup_steps", "clip_norm", "ema_power", "ema_warmup_steps",
            "ema_snapshot_every", "seed", "num_workers", "validate_every", "validation_items",
            "validation_bins", "checkpoint_every", "keep_checkpoints", "sample_every", "overfit",
        )  # fmt: skip
        for key in positive:
            if not getattr(self, key) > 0:
                raise ConfigError(f"train.{key} must be above 0, got {getattr(self, key)}")
        for key in not_negative:
            if not getattr(self, key) >= 0:
                raise ConfigError(f"train.{key} must be 0 or more, got {getattr(self, key)}")
        for key in ("beta1", "beta2", "ema_decay"):
            if not 0.0 <= getattr(self, key) < 1.0:
                raise ConfigError(
                    f"train.{key} must be in 0..1 and below 1, got {getattr(self, key)}"
                )
        for key in ("max_steps", "max_minutes"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                raise ConfigError(
                    f"train.{key} must be above 0, got {value}; leave it out for no limit"
                )
        if self.debug_numerics and self.compile:
            raise ConfigError(
                "train.debug_numerics=true looks into modules that train.compile=true melts "
                "together: set one of them to false"
            )
