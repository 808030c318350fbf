"""What every recipe does around `fit`: a run folder, sounds on the way, a report at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.folder import AudioFolder
from audio_diffusion_pytorch.data.report import listing, without_remedy
from audio_diffusion_pytorch.data.save import save_audio
from audio_diffusion_pytorch.diagnostics import (
    MetricRow,
    Report,
    Verdict,
    format_table,
    save_spectrogram,
    write_aside,
    write_report,
)
from audio_diffusion_pytorch.metrics import rms_db

from .command_line import Arguments
from .config import config_to_dict
from .distributed import Processes, start_processes
from .loggers import JSONLinesLogger, Logger, TensorBoardLogger, read_scalars
from .loop import TrainResult, fit
from .open_data import clip_batches
from .progress import words_for
from .run_folder import Run
from .seeds import generator_for
from .versions import versions

Make = Callable[[nn.Module, Generator], Tensor]
"""Makes the sounds `(n, c, t)` that show how far a model is."""


@dataclass
class Session:
    """One run of a recipe, from its folder to its report.

    Attributes:
        arguments: What the recipe was asked.
        run: The run folder.
        processes: This process among those of torchrun.
        loggers: Where figures go; empty in all but the first process.
    """

    arguments: Arguments[Any]
    run: Run
    processes: Processes
    loggers: list[Logger] = field(default_factory=list)

    def fit(
        self, model: nn.Module, data: AudioFolder, held_back: AudioFolder | None, make: Make
    ) -> TrainResult:
        """Train, listening now and then; afterwards the sounds, the report and the summary."""
        config = self.arguments.config
        train = config.train
        resume = self.arguments.resume is not None
        settings = {"config": config_to_dict(config), "labels": data.label_table.to_dict()}
        if self.processes.is_main:
            print("\n".join(about_data(data, held_back)))
            write_aside(self.run.labels_path, json.dumps(settings["labels"], indent=1) + "\n")
            count = sum(p.numel() for p in model.parameters())
            print(f"model: {count:,} parameters")

        def listen(averaged: nn.Module, step: int) -> None:
            generator = generator_for(self.processes.device, train.seed, step)
            self.keep_sounds(make(averaged, generator), data.sample_rate, step)

        result = fit(
            model,
            data,
            train,
            self.run.directory,
            validation=held_back,
            loggers=self.loggers,
            on_sample=listen,
            resume=resume,
            settings=settings,
            processes=self.processes,
        )
        if self.processes.is_main and result.step > 0:
            averaged = result.ema.module.eval()
            sounds = make(averaged, generator_for(self.processes.device, train.seed, result.step))
            self.keep_sounds(sounds, data.sample_rate, result.step)
            self.report(result, data, held_back, sounds)
        return result

    def keep_sounds(self, sounds: Tensor, sample_rate: int, step: int) -> None:
        """Write sounds `(n, c, t)` and their pictures to `samples/` and to the loggers."""
        for number, sound in enumerate(sounds.detach().float().cpu()):
            path = self.run.samples / f"step_{step:06d}_sample_{number}.wav"
            save_audio(path, sound, sample_rate)
            save_spectrogram(path.with_suffix(".png"), sound, sample_rate, f"step {step}")
            for logger in self.loggers:
                logger.audio(step, f"sample/{number}", sound, sample_rate)

    def report(
        self,
        result: TrainResult,
        data: AudioFolder,
        held_back: AudioFolder | None,
        sounds: Tensor,
    ) -> None:
        """Write `report.html` and `summary.json`, and print the table and a paragraph."""
        config = self.arguments.config
        curves = self.run.logs / "scalars.jsonl"
        scalars = read_scalars(curves) if curves.is_file() else {}  # none in a run of few steps
        real = torch.cat(list(clip_batches(data, 64)))
        rows = result_rows(result, scalars, sounds.float().cpu(), real)
        report = Report(f"{self.run.experiment}: what was trained", self.run.directory.name)
        report.rows.extend(rows)
        report.paragraph(plain_words(result, data, rows))
        for row in rows[:3]:
            report.figure(row.name, row.value, row.unit)
        for (title, unit), names in CURVES.items():
            lines = {name: scalars[name] for name in names if name in scalars}
            if lines:
                report.curve(title, lines, y_label=unit)
        for number, sound in enumerate(sounds.float().cpu()):
            report.sound(f"made {number + 1}", sound, data.sample_rate, group="made by the model")
        for number, sound in enumerate(real[:: max(1, len(real) // 4)][:4]):
            report.sound(f"real {number + 1}", sound, data.sample_rate, group="training clips")
        report.notes.extend(about_data(data, held_back))
        report.config, report.versions = config_to_dict(config), versions()
        write_report(self.run.report_path, report)
        self.run.write_summary(
            config,
            completed=result.reason in ("finished", "time limit"),
            steps=result.step,
            minutes=result.seconds / 60,
            parameters=sum(p.numel() for p in result.ema.module.parameters()),
            final_loss=result.loss,
            best_loss=result.best_loss,
            metrics={row.name: row.value for row in rows},
        )
        print(format_table(rows))
        print(report.paragraphs[0])


def about_data(data: AudioFolder, held_back: AudioFolder | None) -> list[str]:
    """Return what was found, held back and left out so far, one line each."""
    lines = data.report.text().split("\n")
    if held_back is None:
        return [*lines, "nothing is held back: only the training loss judges"]
    lines.append(f"held back, only judging: {listing(held_back.files)}")
    reasons = [without_remedy(why) for _, why in held_back.report.bad_files]
    return lines + [f"left out, {why}" for why in reasons]


CURVES = {
    ("Training and validation loss", "loss"): (
        "train/loss",
        "validation/loss",
        "validation/loss_raw_weights",
        "zero_predictor/loss",
    ),
    ("Size of the gradient", "norm before clipping"): ("train/gradient_norm",),
}


def result_rows(
    result: TrainResult, scalars: dict[str, Any], sounds: Tensor, real: Tensor
) -> list[MetricRow]:
    """Return the table of a run: losses beside what is trivial, levels beside the real ones."""
    rows = [
        MetricRow("steps", result.step),
        MetricRow("training time", result.seconds / 60, unit="min"),
        MetricRow("training loss", result.loss),
    ]
    if "validation/loss" in scalars:
        zero = scalars["zero_predictor/loss"][1][-1] if "zero_predictor/loss" in scalars else 1.0
        loss = scalars["validation/loss"][1][-1]
        verdict: Verdict = "pass" if loss <= 0.9 * zero else "warn"
        target = f"at most {0.9 * zero:.3g}"
        rows.append(MetricRow("validation loss", loss, target, verdict))
        rows.append(MetricRow("loss of a network that answers zero", zero))
    level, wanted = float(rms_db(sounds).mean()), float(rms_db(real).mean())
    rows.append(MetricRow.within("level of the sounds", level, wanted - 6, wanted + 6, "dBFS"))
    rows.append(MetricRow("level of the recordings", wanted, unit="dBFS"))
    return rows


def plain_words(result: TrainResult, data: AudioFolder, rows: Sequence[MetricRow]) -> str:
    """Return one paragraph on how the run went."""
    by_name = {row.name: row for row in rows}
    text = (
        f"Trained {result.step} steps in {words_for(result.seconds)} on {len(data)} clips of "
        f"{data.length / data.sample_rate:.2f} s from {len(data.files)} files "
        f"({result.items_per_second:.0f} clips a second, {result.precision.name}). "
    )
    loss = by_name.get("validation loss")
    if loss is not None:
        zero = by_name["loss of a network that answers zero"]
        text += (
            f"The loss on held-back files is {loss.shown}; knowing nothing would cost "
            f"{zero.shown}. "
        )
        known = result.loss < 0.7 * min(float(loss.value), float(zero.value))
        if loss.verdict != "pass" and known:
            text += (
                "On the trained files it is far lower: the model knows these by heart, down to "
                "the phase of each partial, and what it makes stays close to them; more "
                "recordings would change that. "
            )
        elif loss.verdict != "pass":
            word = "hardly" if float(loss.value) < float(zero.value) else "not"
            text += f"That is {word} better: train longer (train.max_minutes). "
    level = by_name["level of the sounds"]
    text += (
        f"The sounds it makes are at {level.shown}, the recordings at "
        f"{by_name['level of the recordings'].shown}"
    )
    text += "." if level.verdict == "pass" else ": more than 6 dB apart, so train longer."
    if result.reason not in ("finished", "time limit"):
        text += f" The run was stopped early ({result.reason}); --resume goes on."
    return text


def _check_installed() -> None:
    """Miss what the end of a run needs before its start, not after hours."""
    for name, what in (("tensorboard", "TensorBoard logs"), ("matplotlib", "pictures")):
        if find_spec(name) is None:
            raise ImportError(f'{what} need {name}: pip install "audio-diffusion-pytorch[train]"')


@contextmanager
def open_session(arguments: Arguments[Any]) -> Iterator[Session]:
    """Open the run folder with its console log and loggers; at the end print `run: PATH`.

    Raises:
        ImportError: What the logs or pictures need is not installed.
        OSError: The folder cannot be made.
    """
    _check_installed()
    processes = start_processes(arguments.config.train.device)
    try:
        run = arguments.open_run() if processes.is_main else None
        run = Run(processes.from_main(run.directory if run else None))  # type: ignore[arg-type]
        if not processes.is_main:
            yield Session(arguments, run, processes)
            return
        with run.console():
            loggers: list[Logger] = [
                JSONLinesLogger(run.logs / "scalars.jsonl"),
                TensorBoardLogger(run.logs),
            ]
            try:
                yield Session(arguments, run, processes, loggers)
            finally:
                for logger in loggers:
                    logger.close()
            print(f"run: {run.directory}", flush=True)
    finally:
        processes.close()
