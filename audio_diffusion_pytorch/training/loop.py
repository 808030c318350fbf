"""The training loop: plain torch, one process or many, resumable anywhere bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Generator, Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.sampler import StreamSampler

from .checkpoint import CheckpointFolder, find_checkpoint, load_checkpoint
from .distributed import Processes, start_processes
from .ema import EMA
from .objective import LossFunction, diffusion_loss, to_device
from .precision import Precision, choose_precision
from .progress import Progress, words_for
from .seeds import derive_seed
from .stop_signals import StopSignals, ignore_stop_signals
from .train_config import TrainConfig
from .train_state import TrainState, resume_warnings
from .validation import Validation, silenced


class TrainingError(RuntimeError):
    """Training cannot go on; one line that says at which step, on which files, and the remedy."""


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        step: Optimizer steps done.
        reason: "finished" (the schedule's end), "time limit" or the name of a signal.
        progress: The share of the learning-rate schedule done, 0..1.
        seconds: Training time, earlier sessions included, in seconds.
        loss: Mean training loss since the last row of the curve (or that row); nan if no step.
        best_loss: Lowest validation loss of the averaged weights; inf without validation.
        best_step: Its step.
        items_per_second: Clips per second over this session, all processes together.
        precision: The number format of the run.
        ema: The averaged weights; `ema.module` is the model to sample from.
        checkpoint: The last checkpoint.
    """

    step: int
    reason: str
    progress: float
    seconds: float
    loss: float
    best_loss: float
    best_step: int
    items_per_second: float
    precision: Precision
    ema: EMA
    checkpoint: Path


def fit(
    model: nn.Module,
    data: Dataset[Clip],
    config: TrainConfig,
    folder: str | Path,
    *,
    validation: Dataset[Clip] | None = None,
    loss: LossFunction = diffusion_loss,
    loggers: Sequence[Any] = (),
    on_sample: Callable[[nn.Module, int], None] | None = None,
    resume: bool | str | Path = False,
    settings: Mapping[str, Any] | None = None,
    processes: Processes | None = None,
    baseline: nn.Module | None = None,
) -> TrainResult:
    """Train a model; checkpoints go to `folder/checkpoints`.

    Each optimizer step draws its noise from (seed, step, micro-batch, rank) and its clips from the
    step alone, so a run that was killed at any moment goes on exactly where its last checkpoint
    stood. torch's global random state is given back unchanged. SIGINT and SIGTERM save, then stop.

    Args:
        model: Any module `loss` can call; moved to the device.
        data: Has a length; asked for items by `(epoch, index)`, which alone must fix them.
        config: The numbers.
        folder: The run folder.
        validation: Clips never trained on; None skips validation.
        loss: The loss of each clip.
        loggers: Objects with `scalars(step, {name: value})`; called in the first process only.
        on_sample: Called with the averaged model and the step, in the first process only.
        resume: True goes on from the newest checkpoint in `folder` (from the start if there is
            none); a path is a checkpoint or a run folder.
        settings: The resolved config of the run, JSON values; kept in each checkpoint.
        processes: This process's group; by default that of torchrun, or alone.
        baseline: The network whose output is replaced by zeros for the reference beside the
            validation loss; by default `model.net` if there is one.

    Raises:
        TrainingError: The loss or gradient is not finite; names the step and the files.
        ValueError: A setting is out of range, or the checkpoint is from another model.
        FileNotFoundError: There is no checkpoint at `resume`.
        OSError: A checkpoint cannot be saved; earlier ones are unharmed.
    """
    config.check()
    group = start_processes(config.device) if processes is None else processes
    devices = [group.device] if group.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), StopSignals() as signals:
            run = _Run(model, data, config, Path(folder), loss, group, signals)
            run.loggers, run.on_sample, run.settings = loggers, on_sample, settings
            if validation is not None and config.validation_items > 0:
                run.use_validation(validation, baseline)
            if resume is not False:
                run.resume(resume)
            try:
                return run.train()
            finally:
                run.progress.close()
    finally:
        if processes is None:
            group.close()


class _Run:
    """One call of `fit`."""

    loggers: Sequence[Any] = ()
    on_sample: Callable[[nn.Module, int], None] | None = None
    settings: Mapping[str, Any] | None = None
    validation: Validation | None = None
    baseline: nn.Module | None = None

    def __init__(
        self,
        model: nn.Module,
        data: Dataset[Clip],
        config: TrainConfig,
        folder: Path,
        loss: LossFunction,
        processes: Processes,
        signals: StopSignals,
    ) -> None:
        self.model, self.data, self.config, self.loss = model, data, config, loss
        self.processes, self.signals = processes, signals
        self.device = processes.device
        self.folder = folder
        self.checkpoints = CheckpointFolder(folder / "checkpoints", config.keep_checkpoints)
        self.saved_step = self.validated_step = -1
        self.row_loss = self.gradient_norm = math.nan
        model.to(self.device).train()
        self.distributed = self._distribute()  # first: it gives all processes the same weights
        precision = processes.from_main(choose_precision(config.precision, self.device))
        self.state = TrainState.start(model, config, precision, self.device)
        self.progress = Progress(0, enabled=False)

    def _distribute(self) -> DistributedDataParallel | None:
        if self.processes.world_size == 1:
            return None
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(self.model, device_ids=ids)

    def use_validation(self, data: Dataset[Clip], baseline: nn.Module | None) -> None:
        config = self.config
        items, bins = config.validation_items, config.validation_bins
        self.validation = Validation(
            data, self.loss, items, bins, config.batch_size, config.seed, self.processes
        )
        net = getattr(self.model, "net", None) if baseline is None else baseline
        self.baseline = net if isinstance(net, nn.Module) else None

    def resume(self, where: bool | str | Path) -> None:
        try:
            path = find_checkpoint(self.folder if where is True else str(where))
        except FileNotFoundError:
            if where is not True:
                raise
            return  # killed before the first checkpoint: the start is the same each time
        content = load_checkpoint(path)
        if self.config.precision == "auto":
            self.state.precision = Precision(**content["precision"])
            self.state.scaler = self.state.precision.scaler(self.device)
        self.state.load(content, self.config, path)
        self.saved_step = self.state.step if path == self.checkpoints.last else -1
        if self.processes.is_main:
            print(f"resumed from {path} at step {self.state.step}", flush=True)
            for line in resume_warnings(content, self.config, self.processes.world_size):
                print(line, flush=True)

    # ------------------------------------------------------------------ the loop

    def train(self) -> TrainResult:
        state, config = self.state, self.config
        self.progress = Progress(state.step, self.processes.is_main)
        self.progress.note(f"precision {state.precision.name} ({state.precision.reason})")
        wrapped: nn.Module = self.distributed or self.model
        if config.compile:
            wrapped = cast(nn.Module, torch.compile(wrapped))
        generator = torch.Generator(self.device)
        batches: Iterator[Clip] | None = None
        first_step, before = state.step, state.seconds
        started = self.row_started = time.perf_counter()
        self.row_step = state.step
        state.planner.start(state.step, state.seconds)
        reason = self._end(stop=False)
        while reason is None:
            if batches is None:
                batches = self._batches()
            rate = state.set_rate(config)
            stop = self._step(wrapped, batches, generator)
            state.seconds = before + time.perf_counter() - started
            moved = self._review_plan()
            self._report(rate)
            self._periodic(force_save=moved)
            state.seconds = before + time.perf_counter() - started
            reason = self._end(stop)
        items = (state.step - first_step) * config.batch_size * config.accumulate
        items *= self.processes.world_size
        return self._finish(reason, items / max(1e-9, time.perf_counter() - started))

    def _batches(self) -> Iterator[Clip]:
        """The batches from the current step on, on the device."""
        config, processes = self.config, self.processes
        sampler = StreamSampler(
            len(self.data),  # type: ignore[arg-type]
            config.batch_size,
            config.seed,
            processes.rank,
            processes.world_size,
            self.state.step * config.accumulate,
        )
        loader: DataLoader[Clip] = DataLoader(
            self.data,
            batch_sampler=sampler,
            num_workers=config.num_workers,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=ignore_stop_signals,
        )
        for batch in loader:
            yield to_device(batch, self.device)

    def _step(self, wrapped: nn.Module, batches: Iterator[Clip], generator: Generator) -> bool:
        """One optimizer step; returns whether a process was asked to stop."""
        state, config, processes = self.state, self.config, self.processes
        losses: list[Tensor] = []
        names: list[str] = []
        for micro in range(config.accumulate):
            batch = next(batches)
            parts = (config.seed, state.step, micro, processes.rank)
            torch.manual_seed(derive_seed(*parts, 0))  # dropout, inside the network
            generator.manual_seed(derive_seed(*parts, 1))  # times and noise
            with self._without_sync(micro < config.accumulate - 1):
                with state.precision.autocast(self.device):
                    item_losses = self.loss(wrapped, batch, generator).float()
                loss = item_losses.mean() / config.accumulate
                state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            losses.append(item_losses.detach())
            names += batch.name
        state.scaler.unscale_(state.optimizer)
        weights = [w for group in state.optimizer.param_groups for w in group["params"]]
        norm = nn.utils.clip_grad_norm_(weights, config.clip_norm or math.inf)
        flat = torch.cat(losses)
        mean, self.gradient_norm = torch.stack([flat.mean(), norm.float()]).tolist()
        # fp16's scaler meets infinite gradients on its own: it skips the step and scales less.
        finite = math.isfinite(mean) and (
            math.isfinite(self.gradient_norm) or state.precision.name == "fp16"
        )
        total, bad, stop = processes.sum(
            [mean if finite else 0.0, not finite, self.signals.name is not None]
        )
        if bad:
            self._refuse(flat, names, finite)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        state.ema.update(self.model)
        state.step += 1
        state.window_loss += total / processes.world_size
        state.window_steps += 1
        return stop > 0

    def _without_sync(self, wanted: bool) -> AbstractContextManager[None]:
        if wanted and self.distributed is not None:
            return self.distributed.no_sync()
        return nullcontext()

    def _refuse(self, losses: Tensor, names: list[str], finite: bool) -> None:
        """Stop all processes before the update, while the weights are still good."""
        wrong = [n for n, ok in zip(names, losses.isfinite().tolist(), strict=True) if not ok]
        what = "loss" if wrong else "gradient"
        found = self.processes.gather((what, [] if finite else wrong or names))
        blamed = [(what, files) for what, files in found if files]
        files = [name for _, group in blamed for name in group]
        shown = ", ".join(files[:8]) + (f" and {len(files) - 8} more" if len(files) > 8 else "")
        last = self.checkpoints.last
        kept = (
            f"the last good checkpoint is {last}"
            if last.is_file()
            else "no checkpoint was made yet"
        )
        raise TrainingError(
            f"the {blamed[0][0]} is not finite at step {self.state.step}, on {shown}; {kept}; look "
            "at these files, or try a lower train.learning_rate or train.precision=fp32"
        )

    # ------------------------------------------------------------------ around the steps

    def _review_plan(self) -> bool:
        state, processes = self.state, self.processes
        planner, before = state.planner, state.planner.plan
        if planner.max_seconds is None:
            return False
        moved = planner.review(state.step, state.seconds) if processes.is_main else False
        planner.plan, moved = processes.from_main((planner.plan, moved))
        if moved:
            total, limit = planner.plan.total_steps, words_for(planner.max_seconds)
            self.progress.note(
                f"{total} steps fit into {limit}"
                if before.total_steps is None
                else f"step {state.step}: the pace changed, the run now ends at step {total} "
                f"(was {before.total_steps}) to end within {limit}"
            )
        return moved

    def _report(self, rate: float) -> None:
        state, config = self.state, self.config
        mean = state.window_loss / max(1, state.window_steps)
        total = state.planner.plan.total_steps
        self.progress.update(state.step, total, mean, self._seconds_left())
        if state.step % config.log_every != 0:
            return
        now = time.perf_counter()
        steps = state.step - self.row_step
        items = steps * config.batch_size * config.accumulate * self.processes.world_size
        self._scalars(
            {
                "train/loss": mean,
                "train/learning_rate": rate,
                "train/gradient_norm": self.gradient_norm,
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

    def _periodic(self, force_save: bool) -> None:
        step, config = self.state.step, self.config
        best = _due(step, config.validate_every) and self._validate()
        if best or force_save or _due(step, config.checkpoint_every):
            self._save(best)
        if _due(step, config.sample_every) and self.on_sample and self.processes.is_main:
            with torch.no_grad():
                self.on_sample(self.state.ema.module, step)

    def _validate(self) -> bool:
        """Log the validation losses; returns whether the averaged weights are the best so far."""
        if self.validation is None:
            return False
        state = self.state
        mean = self.validation(state.ema.module, state.precision)
        raw = self.validation(self.model, state.precision)["loss"]
        values = {f"validation/{name}": value for name, value in mean.items()}
        values["validation/loss_raw_weights"] = raw
        beside = ""
        if self.baseline is not None:
            if self.validated_step < 0:
                with silenced(self.baseline):
                    self.zero_predictor = self.validation(self.model, state.precision)
            zero = self.zero_predictor
            values.update({f"zero_predictor/{name}": value for name, value in zero.items()})
            beside = f" (a network that answers zero: {zero['loss']:.4f})"
        self.validated_step = state.step
        self._scalars(values)
        self.progress.note(
            f"step {state.step}: validation loss {mean['loss']:.4f}, raw weights {raw:.4f}{beside}"
        )
        if not mean["loss"] < state.best_loss:
            return False
        state.best_loss, state.best_step = mean["loss"], state.step
        return True

    def _save(self, best: bool) -> None:
        state = self.state
        self.saved_step = state.step
        if self.processes.is_main:
            content = state.to_checkpoint(self.config, self.processes.world_size, self.settings)
            self.checkpoints.save(state.step, content, state.ema.module, best)

    def _end(self, stop: bool) -> str | None:
        """Why the run ends now, or None; the same answer in every process."""
        state = self.state
        plan, limit = state.planner.plan, state.planner.max_seconds
        if plan.total_steps is not None and state.step >= plan.total_steps:
            return "finished"
        if limit is not None and self.processes.from_main(state.seconds >= limit):
            return "time limit"
        if stop:
            return self.processes.from_main(self.signals.name) or "signal"
        return None

    def _finish(self, reason: str, items_per_second: float) -> TrainResult:
        state = self.state
        polite = reason in ("finished", "time limit")
        best = polite and self.validated_step != state.step and self._validate()
        if best or self.saved_step != state.step:
            self._save(best)
        self.processes.barrier()
        share = state.planner.plan.progress(state.step)
        spent = words_for(state.seconds)
        if not polite:
            text = (
                f"{reason}: saved {self.checkpoints.last} at step {state.step}; go on with --resume"
            )
        elif reason == "finished":
            text = f"trained {state.step} steps in {spent}"
        else:
            text = (
                f"time limit: stopped at step {state.step} after {spent}, "
                f"{100 * share:.0f} % of the learning-rate schedule done"
            )
        self.progress.note(text)
        loss = state.window_loss / state.window_steps if state.window_steps else self.row_loss
        return TrainResult(
            step=state.step,
            reason=reason,
            progress=share,
            seconds=state.seconds,
            loss=loss,
            best_loss=state.best_loss,
            best_step=state.best_step,
            items_per_second=items_per_second,
            precision=state.precision,
            ema=state.ema,
            checkpoint=self.checkpoints.last,
        )


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
