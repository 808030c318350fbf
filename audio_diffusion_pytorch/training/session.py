"""What every recipe does around `fit`: a run folder, sounds on the way, a report at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from textwrap import indent
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from audio_diffusion_pytorch.data.folder import AudioFolder
from audio_diffusion_pytorch.data.save import save_audio
from audio_diffusion_pytorch.diagnostics import (
    Diagnosis,
    Report,
    format_table,
    save_spectrogram,
    write_aside,
    write_report,
)
from audio_diffusion_pytorch.protocols import Grid, Solver

from .command_line import Arguments
from .comparison import ORIGINAL, Compared, Comparison, file_word
from .config import config_to_dict
from .distributed import Processes, start_processes
from .examination import Examination, advice
from .loggers import JSONLinesLogger, Logger, TensorBoardLogger, read_scalars
from .loop import TrainResult, fit
from .objective import LossFunction, diffusion_loss
from .open_data import clip_batches
from .overfit import FirstClips
from .precision import check_precision
from .result_words import about_data, plain_words, result_rows, zero_loss
from .run_folder import Run
from .seeds import generator_for
from .train_config import TrainConfig
from .versions import versions

Make = Callable[[nn.Module, Generator], Tensor | Compared]
"""Makes what shows how far a model is: sounds `(n, c, t)`, or clips and what became of them."""


class SamplingChoice(Protocol):
    """A solver and a grid, such as a recipe's settings stand for."""

    @property
    def solver(self) -> Solver:
        """Makes the steps."""

    @property
    def grid(self) -> Grid:
        """Gives the times to visit."""


SAMPLING_STEPS = 30
"""Where a recipe's settings do not tell them."""


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
        self,
        model: nn.Module,
        data: AudioFolder,
        held_back: AudioFolder | None,
        make: Make,
        loss: LossFunction = diffusion_loss,
        *,
        sampling: SamplingChoice | None = None,
    ) -> TrainResult:
        """Train, listening now and then; afterwards the sounds, the report and the summary.

        Args:
            model: What is trained.
            data: Clips to train on.
            held_back: Clips that only judge.
            make: What is listened to; a `Comparison` is scored at the end, and its table stands in
                the report, on the console and in the summary.
            loss: The loss of each clip.
            sampling: How `make` samples, for the doctor; None: as the model does unasked.
        """
        config = self.arguments.config
        train = config.train
        resume = self.arguments.resume is not None
        settings = {"config": config_to_dict(config), "labels": data.label_table.to_dict()}
        if self.processes.is_main:
            print("\n".join(about_data(data, held_back, config.data, train.overfit)))
            write_aside(self.run.labels_path, json.dumps(settings["labels"], indent=1) + "\n")
            count = sum(p.numel() for p in model.parameters())
            print(f"model: {count:,} parameters")
            if not resume:
                self.describe(model, count)
        doctor = self.examination(model, data, held_back, loss, sampling)
        doctor.before()

        def listen(averaged: nn.Module, step: int) -> None:
            generator = generator_for(self.processes.device, train.seed, step)
            made = make(averaged, generator)
            self.keep(made, data.sample_rate, step)
            if isinstance(made, Compared):
                print(f"step {step}: {made.sentence()}")

        result = fit(
            model,
            data,
            train,
            self.run.directory,
            validation=held_back,
            loss=loss,
            loggers=self.loggers,
            on_sample=listen,
            resume=resume,
            settings=settings,
            processes=self.processes,
        )
        if self.processes.is_main and result.step > 0:
            averaged = result.ema.module.eval()
            finish = make.score if isinstance(make, Comparison) else make
            made = finish(averaged, generator_for(self.processes.device, train.seed, result.step))
            self.keep(made, data.sample_rate, result.step)
            self.report(result, data, held_back, made, loss, doctor)
        return result

    def examination(
        self,
        model: nn.Module,
        data: AudioFolder,
        held_back: AudioFolder | None,
        loss: LossFunction,
        sampling: SamplingChoice | None,
    ) -> Examination:
        """Return the doctor of this run, who has said nothing yet."""
        config = self.arguments.config
        train: TrainConfig = config.train
        return Examination(
            model.to(self.processes.device),
            FirstClips(data, train.overfit) if train.overfit else data,
            data,
            None if train.overfit else held_back,
            loss,
            train.diagnose,
            self.processes,
            about=self.run.directory.name,
            learning_rate=train.learning_rate,
            num_steps=getattr(getattr(config, "sample", None), "steps", SAMPLING_STEPS),
            seed=train.seed,
            solver=None if sampling is None else sampling.solver,
            grid=None if sampling is None else sampling.grid,
            overfit=train.overfit > 0,
        )

    def describe(self, model: nn.Module, count: int) -> None:
        """Tell the loggers what is trained: the modules, their size and the settings."""
        config = json.dumps(config_to_dict(self.arguments.config), indent=1)
        for name, text in (("model", f"{count:,} parameters\n{model}"), ("config", config)):
            for logger in self.loggers:
                logger.text(0, name, indent(text, "    "))  # as it stands, in Markdown

    def keep(self, made: Tensor | Compared, sample_rate: int, step: int) -> None:
        """Write sounds and their pictures to `samples/` and to the loggers."""
        if isinstance(made, Compared):
            self.keep_comparison(made, sample_rate, step)
        else:
            self.keep_sounds(made, sample_rate, step)

    def keep_comparison(self, compared: Compared, sample_rate: int, step: int) -> None:
        """Write clips and what was made of them, one picture of all, and the distances."""
        compared.write(self.run.samples, sample_rate, f"step_{step:06d}_")
        for name, sounds in compared.sounds.items():
            for number, sound in enumerate(sounds):
                for logger in self.loggers:
                    logger.audio(step, f"clip_{number}/{file_word(name)}", sound, sample_rate)

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
        made: Tensor | Compared,
        loss: LossFunction = diffusion_loss,
        doctor: Examination | None = None,
    ) -> None:
        """Write `report.html` and `summary.json`, and print the table and a paragraph."""
        config = self.arguments.config
        curves = self.run.logs / "scalars.jsonl"
        scalars = read_scalars(curves) if curves.is_file() else {}  # none in a run of few steps
        train = config.train
        used = FirstClips(data, train.overfit) if train.overfit else data
        real = torch.cat(list(clip_batches(used, 64)))
        clips = result.step * train.batch_size * train.accumulate * self.processes.world_size
        epochs = clips / len(used)
        trivial = zero_loss(result.ema.module, used, train, result, loss)
        compared = made if isinstance(made, Compared) else None
        sounds = (made.made if isinstance(made, Compared) else made).float().cpu()
        meant = real if compared is None else compared.sounds[ORIGINAL]
        rows = result_rows(result, scalars, sounds, meant, trivial)
        report = Report(f"{self.run.experiment}: what was trained", self.run.directory.name)
        report.rows.extend(rows)
        report.paragraph(plain_words(result, data, rows, train, epochs))
        for row in rows[:3]:
            report.figure(row.name, row.value, row.unit)
        for (title, unit), names in CURVES.items():
            lines = {name: scalars[name] for name in names if name in scalars}
            if lines:
                report.curve(title, lines, y_label=unit)
        if compared is None:
            made_and_real(report, sounds, real, data.sample_rate)
        else:
            compared.add_to(report, data.sample_rate)
        report.notes.extend(about_data(data, held_back, config.data, train.overfit))
        report.config, report.versions = config_to_dict(config), versions()
        self.write_report(report)
        self.run.write_summary(
            config,
            completed=result.reason in ("finished", "time limit"),
            steps=result.step,
            epochs=epochs,
            minutes=result.seconds / 60,
            parameters=sum(p.numel() for p in result.ema.module.parameters()),
            final_loss=result.loss,
            best_loss=result.best_loss,
            metrics={row.name.strip(): row.value for row in report.rows},
        )
        words = [format_table(report.rows), *report.paragraphs]
        found = None if doctor is None else doctor.after(result, sounds, scalars)
        if found is not None:  # the report stands already, whatever became of this
            said = advice(found, self.run.directory.name)
            print(f"doctor: {said}")
            report.sections.extend(found.sections("Doctor: ", sounds=False))
            report.paragraph(f"The doctor says: {said}.")
            self.write_report(report)
            if train.diagnose == "full":
                self.write_diagnosis(found)
        print("\n".join(words))

    def write_diagnosis(self, found: Diagnosis) -> None:
        """Write `diagnosis.html` and `diagnosis.json`, as `examples/diagnose.py` does."""
        report = found.report(f"{self.run.experiment}: what the doctor says")
        report.config, report.versions = config_to_dict(self.arguments.config), versions()
        page = self.run.directory / "diagnosis.html"
        write_report(page, report)
        content = json.dumps(found.to_dict(), indent=1, ensure_ascii=False)
        write_aside(page.with_suffix(".json"), content + "\n")

    def write_report(self, report: Report) -> None:
        """Write `report.html` with all its sounds."""
        write_report(self.run.report_path, report, max_sounds=max(16, len(report.sounds)))


def made_and_real(report: Report, sounds: Tensor, real: Tensor, sample_rate: int) -> None:
    """Put what a model made, and some of the clips it was trained on, into a report."""
    for number, sound in enumerate(sounds):
        report.sound(f"made {number + 1}", sound, sample_rate, group="made by the model")
    for number, sound in enumerate(real[:: max(1, len(real) // 4)][:4]):
        report.sound(f"real {number + 1}", sound, sample_rate, group="training clips")


CURVES = {
    ("Training and validation loss", "loss"): (
        "train/loss",
        "validation/loss",
        "validation/loss_raw_weights",
        "zero_predictor/loss",
    ),
    ("Size of the gradient", "norm before clipping"): ("train/gradient_norm",),
}


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
        check_precision(arguments.config.train.precision, processes.device)
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
