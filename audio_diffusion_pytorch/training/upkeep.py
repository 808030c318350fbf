"""What happens around the steps: rows of the curve, validation, samples, checkpoints, the plan."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from audio_diffusion_pytorch.diagnostics.possible import LEVELS_NAME, Levels, write_levels

from .checkpoint import CheckpointFolder, load_newest
from .distributed import Processes
from .level_table import LevelTable, level_scalars, level_words
from .loggers import Logger, Resumable
from .post_hoc_ema import drop_snapshots_after
from .precision import Precision
from .progress import Progress, words_for
from .train_config import TrainConfig
from .train_state import TrainState, resume_warnings
from .validation import Validation, silenced

SLOW_VALIDATION = 10.0
"""Seconds of one validation from which only the averaged weights are validated."""


@dataclass(eq=False)
class Upkeep:
    """The housekeeping of one run. All processes call the same methods at the same steps.

    Attributes:
        state: What a checkpoint holds.
        config: The numbers.
        processes: This process among the others.
        folder: The run folder.
        loggers: Where the rows go.
        on_sample: Called with the averaged model and the step.
        settings: Kept in each checkpoint.
        exact: What fixes the run beside its weights; kept in each checkpoint, compared on resume.
        validation: The fixed validation, if there is one.
        level_table: What is measured at fixed noise levels, if anything is.
        baseline: The network to silence for the reference beside the validation loss.
    """

    state: TrainState
    config: TrainConfig
    processes: Processes
    folder: Path
    loggers: Sequence[Logger] = ()
    on_sample: Callable[[nn.Module, int], None] | None = None
    settings: Mapping[str, Any] | None = None
    exact: Mapping[str, Any] = field(default_factory=dict)
    validation: Validation | None = None
    level_table: LevelTable | None = None
    baseline: nn.Module | None = None

    def __post_init__(self) -> None:
        """Set up what a session counts from zero."""
        folder = self.folder / "checkpoints"
        self.checkpoints = CheckpointFolder(folder, self.config.keep_checkpoints)
        self.snapshots = folder / "ema_snapshots"
        self.progress = Progress(0, enabled=False)
        self.saved_step = self.validated_step = -1
        self.row_loss = math.nan
        self.row_started, self.row_step = time.perf_counter(), 0
        self._offset = time.perf_counter()
        self.zero_predictor: dict[str, float] | None = None
        self.levels: Levels | None = None

    def resume(self, where: bool | str | Path) -> None:
        """Go on from the checkpoint at `where`; True means the newest of this run, if any."""
        try:
            path, content = load_newest(self.folder if where is True else str(where))
        except FileNotFoundError:
            if where is not True:
                raise
            self._rewind_loggers()
            return  # killed before the first checkpoint: the start is the same each time
        state = self.state
        if self.config.precision == "auto":
            state.precision = Precision(**content["precision"])
            state.scaler = state.precision.scaler(self.processes.device)
        state.load(content, self.config, path)
        self.saved_step = state.step if path == self.checkpoints.last else -1
        total = state.planner.plan.total_steps
        if total is not None and state.step >= total:
            self.validated_step = state.step  # it had ended: its last row stands already
        self._rewind_loggers()
        if self.processes.is_main:
            print(f"resumed from {path} at step {state.step}", flush=True)
            for line in resume_warnings(content["exact"], self.exact):
                print(line, flush=True)

    def begin(self) -> None:
        """Start the clock and the bar."""
        state = self.state
        if self.processes.is_main:
            self.checkpoints.clean()
            drop_snapshots_after(self.snapshots, state.step)
        self.progress = Progress(state.step, self.processes.is_main)
        self.progress.note(f"precision {state.precision.name} ({state.precision.reason})")
        self.row_started, self.row_step = time.perf_counter(), state.step
        state.planner.start(state.step, state.seconds)
        self._offset = time.perf_counter() - state.seconds

    def clock(self) -> float:
        """Seconds of training up to now, earlier sessions included, by this process's clock."""
        self.state.seconds = time.perf_counter() - self._offset
        return self.state.seconds

    def after_step(self, rate: float, gradient_norm: float, seconds: float) -> None:
        """All that is due after a step.

        Args:
            rate: The learning rate of the step.
            gradient_norm: Its gradient's norm before clipping.
            seconds: The time spent, the same number in every process.
        """
        state, config = self.state, self.config
        moved = self._review_plan(seconds)
        self._report(rate, gradient_norm)
        if _due(state.step, config.ema_snapshot_every):
            self._save_snapshot()  # before the checkpoint: a resume from it finds it done
        best = _due(state.step, config.validate_every) and self._validate()
        if best or moved or _due(state.step, config.checkpoint_every):
            self._save(best)
        if _due(state.step, config.sample_every) and self.on_sample and self.processes.is_main:
            with torch.no_grad():
                self.on_sample(state.ema.module, state.step)

    def finish(self, reason: str) -> None:
        """Validate, save and say how the run ended; a signal only saves."""
        state, last = self.state, self.checkpoints.last
        complete = reason in ("finished", "time limit")
        if complete:
            self._save_snapshot()
        best = complete and self.validated_step != state.step and self._validate(last=True)
        if best or self.saved_step != state.step:
            self._save(best)
        self.processes.barrier()
        spent = words_for(state.seconds)
        share = 100 * state.planner.plan.progress(state.step)
        if reason == "finished":
            text = f"trained {state.step} steps in {spent}"
        elif reason == "time limit":
            text = (
                f"time limit: stopped at step {state.step} after {spent}, {share:.0f} % of the plan"
            )
        else:
            text = f"{reason}: saved {last} at step {state.step}; go on with --resume"
        self.progress.note(text)

    def recent_loss(self) -> float:
        """The mean loss since the last row of the curve, or that row's."""
        steps = self.state.window_steps
        return self.state.window_loss / steps if steps else self.row_loss

    def _review_plan(self, seconds: float) -> bool:
        """Fit the plan to the time limit."""
        state = self.state
        planner, before = state.planner, state.planner.plan
        moved = planner.review(state.step, seconds)
        if moved:
            total, limit = planner.plan.total_steps, words_for(planner.max_seconds or 0.0)
            self.progress.note(
                f"{total} steps fit into {limit}"
                if before.total_steps is None
                else f"step {state.step}: the pace changed, the run now ends at step {total} "
                f"(was {before.total_steps}) to end within {limit}"
            )
        return moved

    def _rewind_loggers(self) -> None:
        """Have the rows forgotten that were written after the checkpoint."""
        if self.processes.is_main:
            for logger in self.loggers:
                if isinstance(logger, Resumable):
                    logger.resume(self.state.step)

    def _report(self, rate: float, gradient_norm: float) -> None:
        state, config = self.state, self.config
        mean = self.recent_loss()
        total = state.planner.plan.total_steps
        self.progress.update(state.step, total, mean, self._seconds_left())
        if not _due(state.step, config.log_every):
            return
        now = time.perf_counter()
        steps = state.step - self.row_step
        items = steps * config.batch_size * config.accumulate * self.processes.world_size
        self._scalars(
            {
                "train/loss": mean,
                "train/learning_rate": rate,
                "train/gradient_norm": gradient_norm,
                "train/items_per_second": items / max(1e-9, now - self.row_started),
                "train/seconds": state.seconds,
            }
        )
        self.row_loss, self.row_started, self.row_step = mean, now, state.step
        state.window_loss, state.window_steps = 0.0, 0

    def _seconds_left(self) -> float | None:
        state = self.state
        limit, total = state.planner.max_seconds, state.planner.plan.total_steps
        by_clock = math.inf if limit is None else limit - state.seconds
        by_steps = math.inf
        if total is not None:
            by_steps = (total - state.step) * state.seconds / max(1, state.step)
        left = min(by_clock, by_steps)
        return max(0.0, left) if math.isfinite(left) else None

    def _scalars(self, values: dict[str, float]) -> None:
        if self.processes.is_main:
            for logger in self.loggers:
                logger.scalars(self.state.step, values)

    def _validate(self, last: bool = False) -> bool:
        """Log the validation losses; returns whether the averaged weights are the best so far.

        Args:
            last: Whether the training is over: then the table of levels is made however long.
        """
        if self.validation is None:
            return False
        state = self.state
        started = time.perf_counter()
        mean = self.validation(state.ema.module, state.precision)
        slow = self.processes.any(time.perf_counter() - started > SLOW_VALIDATION)
        values = {f"validation/{name}": value for name, value in mean.items()}
        beside = ""
        if not slow:  # else the extras would eat into the time for training
            raw = self.validation(state.model, state.precision)["loss"]
            values["validation/loss_raw_weights"] = raw
            beside = f", raw weights {raw:.4f}"
        if self.baseline is not None and self.zero_predictor is None and not slow:
            with silenced(self.baseline):
                self.zero_predictor = self.validation(state.model, state.precision)
        if self.zero_predictor is not None:
            zero = {f"zero_predictor/{name}": value for name, value in self.zero_predictor.items()}
            values.update(zero)
            beside += f" (a network that answers zero: {zero['zero_predictor/loss']:.4f})"
        levels = self.levels = None if slow and not last else self._measure_levels()
        if levels is not None:
            values.update(level_scalars(levels))
            beside += f", {level_words(levels)}"
        self.validated_step = state.step
        self._scalars(values)
        self.progress.note(f"step {state.step}: validation loss {mean['loss']:.4f}{beside}")
        best = mean["loss"] < state.best_loss
        table = self.folder / LEVELS_NAME
        if levels is not None and self.processes.is_main and (best or not table.is_file()):
            self.folder.mkdir(parents=True, exist_ok=True)  # the first checkpoint is yet to come
            write_levels(table, levels)
        if best:
            state.best_loss, state.best_step = mean["loss"], state.step
        return best

    def _measure_levels(self) -> Levels | None:
        """The table of the averaged weights; says once if there is to be one and cannot be."""
        if self.level_table is None:
            return None
        levels = self.level_table(self.state.ema.module, self.state.precision)
        trouble = self.level_table.trouble()
        if trouble:
            self.progress.note(trouble)
        return levels

    def _save(self, best: bool) -> None:
        state = self.state
        self.saved_step = state.step
        self.clock()
        if self.processes.is_main:
            content = state.to_checkpoint(self.config, self.exact, self.settings)
            self.checkpoints.save(state.step, content, state.ema.module, best)

    def _save_snapshot(self) -> None:
        state = self.state
        if self.processes.is_main and state.post_hoc is not None and state.post_hoc.updates:
            state.post_hoc.save_snapshot(self.snapshots, state.step)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
