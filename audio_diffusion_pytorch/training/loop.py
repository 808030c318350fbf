"""The training loop: plain torch, one process or many, resumable anywhere bit for bit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.sampler import StreamSampler
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.possible import Levels
from audio_diffusion_pytorch.diffusion.times import shared_strata

from .debug_numerics import NumericsDebugger
from .distributed import Processes, start_processes
from .ema import EMA
from .level_table import LevelTable
from .loggers import Logger
from .objective import LossFunction, diffusion_loss, to_device
from .overfit import FirstClips, OverfitGate
from .precision import Precision, choose_precision
from .seeds import derive_seed
from .stop_signals import StopSignals, ignore_stop_signals
from .train_config import TrainConfig
from .train_state import TrainState, what_fixes_a_run
from .upkeep import Upkeep
from .validation import Validation


class TrainingError(FloatingPointError):
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
        levels: The averaged weights' errors at fixed noise levels, if the end was validated.
        overfit: Under `train.overfit`, whether the clips are known by heart, and if not why.
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
    levels: Levels | None = None
    overfit: Finding | None = None


def fit(
    model: nn.Module,
    data: Dataset[Clip],
    config: TrainConfig,
    folder: str | Path,
    *,
    validation: Dataset[Clip] | None = None,
    loss: LossFunction = diffusion_loss,
    loggers: Sequence[Logger] = (),
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
        loggers: Where the curves go; called in the first process only.
        on_sample: Called with the averaged model and the step, in the first process only.
        resume: True goes on from the newest checkpoint in `folder` (from the start if there is
            none); a path is a checkpoint or a run folder.
        settings: The resolved config of the run, JSON values; kept in each checkpoint.
        processes: This process's group; by default that of torchrun, or alone.
        baseline: The network whose output is replaced by zeros for the reference beside the
            validation loss; by default `model.net` if there is one.

    Raises:
        TrainingError: The loss or gradient is not finite; names the step and the files.
        ValueError: A setting is out of range, the checkpoint is from another model, or `settings`
            holds other things than JSON values.
        FileNotFoundError: There is no checkpoint at `resume`.
        OSError: A checkpoint cannot be saved; earlier ones are unharmed.
    """
    config.check()
    try:
        json.dumps(settings)
    except TypeError as error:
        raise ValueError(f"settings must be JSON values to be kept: {error}") from error
    first = FirstClips(data, config.overfit) if config.overfit else None
    if first is not None:
        data = validation = first
    group = start_processes(config.device) if processes is None else processes
    devices = [group.device] if group.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), StopSignals() as signals:
            run = _Run(model, data, config, Path(folder), loss, group, signals)
            upkeep = run.upkeep
            upkeep.loggers, upkeep.on_sample, upkeep.settings = loggers, on_sample, settings
            upkeep.exact = what_fixes_a_run(config, group.world_size, data, validation)
            if validation is not None and config.validation_items > 0:
                items, bins = config.validation_items, config.validation_bins
                upkeep.validation = Validation(
                    validation, loss, items, bins, config.batch_size, config.seed, group
                )
                if bins > 0:
                    upkeep.level_table = LevelTable(
                        data, validation, loss, items, config.batch_size, config.seed, group
                    )
                net = getattr(model, "net", None) if baseline is None else baseline
                upkeep.baseline = net if isinstance(net, nn.Module) else None
            if first is not None:  # before the first step: it measures where the loss begins
                run.gate = OverfitGate(model, first, config, loss, run.state.precision, group)
            if resume is not False:
                upkeep.resume(resume)
            return run.train()
    finally:
        if processes is None:
            group.close()


class _Run:
    """One call of `fit`: the model, wrapped as the processes need it, and its steps."""

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
        model.to(self.device).train()
        self.distributed: DistributedDataParallel | None = None
        if processes.world_size > 1:  # before the copy for the mean: it makes all weights equal
            ids = [self.device.index] if self.device.type == "cuda" else None
            self.distributed = DistributedDataParallel(model, device_ids=ids)
        self.called: nn.Module = self.distributed or model
        if config.compile:
            self.called = cast(nn.Module, torch.compile(self.called))
        precision = processes.from_main(choose_precision(config.precision, self.device))
        self.state = TrainState.start(model, config, precision, self.device)
        self.upkeep = Upkeep(self.state, config, processes, folder)
        self.generator = torch.Generator(self.device)
        self.gate: OverfitGate | None = None
        debugged = config.debug_numerics
        self.debugger = NumericsDebugger(model, config.log_every) if debugged else None

    def train(self) -> TrainResult:
        """Step until the plan, the clock or a signal says stop."""
        state, config, upkeep = self.state, self.config, self.upkeep
        batches = self._batches()
        first_step, before = state.step, state.seconds
        upkeep.begin()
        try:
            reason = self._end(before, stop=False)
            while reason is None:
                rate = state.set_rate(config)
                gradient_norm, seconds, stop = self._step(batches)
                upkeep.after_step(rate, gradient_norm, seconds)
                if self.debugger is not None:
                    self.debugger.log(upkeep)
                reason = self._end(seconds, stop)
            spent = upkeep.clock() - before
            upkeep.finish(reason)
        finally:
            batches.close()
            upkeep.progress.close()
        complete = reason in ("finished", "time limit")
        overfit = self.gate.judge(state.step) if self.gate is not None and complete else None
        if overfit is not None:
            upkeep.progress.note(overfit.text)
        clips = (state.step - first_step) * config.batch_size * config.accumulate
        return TrainResult(
            step=state.step,
            reason=reason,
            progress=state.planner.plan.progress(state.step),
            seconds=state.seconds,
            loss=upkeep.recent_loss(),
            best_loss=state.best_loss,
            best_step=state.best_step,
            items_per_second=clips * self.processes.world_size / max(1e-9, spent),
            precision=state.precision,
            ema=state.ema,
            checkpoint=upkeep.checkpoints.last,
            levels=upkeep.levels if upkeep.validated_step == state.step else None,
            overfit=overfit,
        )

    def _batches(self) -> Generator[Clip, None, None]:
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

    def _step(self, batches: Iterator[Clip]) -> tuple[float, float, bool]:
        """One optimizer step.

        Returns:
            The norm of the gradient, the first process's clock in seconds, and whether any process
            was asked to stop: the same in every process.
        """
        state, config, processes = self.state, self.config, self.processes
        losses: list[Tensor] = []
        names: list[str] = []
        debugger = self.debugger
        if debugger is not None:
            debugger.batches.clear()
        for micro in range(config.accumulate):
            batch = next(batches)
            looked = nullcontext() if debugger is None else debugger.look(state.step)
            with self._without_sync(micro < config.accumulate - 1), looked:
                losses.append(self._backward(self.called, batch, micro))
            names += batch.name
            if debugger is not None:
                debugger.batches.append(batch)
        state.scaler.unscale_(state.optimizer)
        weights = [w for group in state.optimizer.param_groups for w in group["params"]]
        norm = nn.utils.clip_grad_norm_(weights, config.clip_norm or math.inf)
        flat = torch.cat(losses)
        mean, gradient_norm = torch.stack([flat.mean(), norm.float()]).tolist()
        # fp16's scaler meets infinite gradients on its own: it skips the step and scales less.
        scaled = state.precision.name == "fp16"
        finite = math.isfinite(mean) and (scaled or math.isfinite(gradient_norm))
        asked, seconds = self.signals.name is not None, self.upkeep.clock()
        total, bad, stop, seconds = processes.sum(
            [mean if finite else 0.0, not finite, asked, seconds if processes.is_main else 0.0]
        )
        if bad:
            self._refuse(flat, names, finite)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        state.update_means()
        state.step += 1
        state.window_loss += total / processes.world_size
        state.window_steps += 1
        return gradient_norm, seconds, stop > 0

    def _backward(self, called: nn.Module, batch: Clip, micro: int) -> Tensor:
        """Run one batch of the step under way forward and back; returns its losses `(b,)`."""
        state, config, processes = self.state, self.config, self.processes
        parts = (config.seed, state.step, micro, processes.rank)
        torch.manual_seed(derive_seed(*parts, 0))  # dropout, inside the network
        self.generator.manual_seed(derive_seed(*parts, 1))  # times and noise
        part = processes.rank * config.accumulate + micro
        num_parts = processes.world_size * config.accumulate
        strata = shared_strata(derive_seed(config.seed, state.step), part, num_parts)
        with state.precision.autocast(self.device), strata:
            item_losses = self.loss(called, batch, self.generator).float()
        state.scaler.scale(item_losses.mean() / config.accumulate).backward()
        return item_losses.detach()

    def _without_sync(self, wanted: bool) -> AbstractContextManager[None]:
        return self.distributed.no_sync() if wanted and self.distributed else nullcontext()

    def _refuse(self, losses: Tensor, names: list[str], finite: bool) -> None:
        """Stop all processes before the update, while the weights are still good."""
        wrong = [n for n, ok in zip(names, losses.isfinite().tolist(), strict=True) if not ok]
        what = "loss" if wrong else "gradient"
        told = ("", "") if self.debugger is None or finite else self._locate(self.debugger)
        found = self.processes.gather((what, [] if finite else wrong or names, *told))
        blamed = [one for one in found if one[1]]
        what, _, where, remedy = blamed[0]
        files = [name for _, group, _, _ in blamed for name in group]
        shown = ", ".join(files[:8]) + (f" and {len(files) - 8} more" if len(files) > 8 else "")
        last = self.upkeep.checkpoints.last
        kept = f"the last good checkpoint is {last}" if last.is_file() else "no checkpoint so far"
        if self.debugger is None:
            remedy = "set train.debug_numerics=true to be told the module, "
        raise TrainingError(
            f"the {what} is not finite at step {self.state.step}, on {shown}"
            f"{where and ': ' + where}; {kept}; {remedy}look at these files, or try a lower "
            "train.learning_rate or train.precision=fp32"
        )

    def _locate(self, debugger: NumericsDebugger) -> tuple[str, str]:
        """Repeat the step under way, with every module watched."""
        self.state.optimizer.zero_grad(set_to_none=True)
        return debugger.locate(
            lambda batch, micro: self._backward(self.model, batch, micro),
            self.upkeep.progress.note,
        )

    def _end(self, seconds: float, stop: bool) -> str | None:
        """Why the run ends now, or None; the same answer in every process."""
        state = self.state
        plan, limit = state.planner.plan, state.planner.max_seconds
        if plan.total_steps is not None and state.step >= plan.total_steps:
            return "finished"
        if limit is not None and seconds >= limit:
            return "time limit"
        if stop:
            return next(iter(self.processes.gather(self.signals.name)), "signal")
        return None
