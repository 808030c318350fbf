"""The doctor beside a training: the cheap checks before it, more of them at its end."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.data.folder import AudioFolder
from audio_diffusion_pytorch.diagnostics import (
    Diagnosis,
    Subject,
    cannot_work,
    collection_of,
    examine_end,
    examine_model,
    examine_start,
    observe,
    read_clips,
    sampled_by,
)
from audio_diffusion_pytorch.protocols import Grid, Solver

from .distributed import Processes
from .loggers import Scalars
from .loop import TrainResult
from .objective import LossFunction

Depth = Literal["quick", "full", "off"]
"""How thoroughly a training is examined."""

Found = TypeVar("Found")

START_SECONDS = 6.0
"""On a machine and with a network that need longer, only the data are examined before a run."""
START_CALLS = 135
"""Clips that the checks before a run send through the network."""
TOLD_BY_THE_DATA = ("readable files",)
"""Checks whose fault the console has from the data set already."""
SOME_CLIPS, MANY_CLIPS = 64, 512
"""Clips that are read; many, to seek copies among them, by "full"."""


@dataclass
class Examination:
    """What the doctor says of one training.

    Attributes:
        model: What is trained, on its device.
        data: Training clips.
        recordings: The folder they come from.
        held_back: Clips that only judge.
        loss: As in training.
        depth: "quick", "full" or "off".
        processes: This process among the others; only the first one examines.
        about: The run, in a word.
        learning_rate: The highest.
        num_steps: Sampling steps.
        seed: Of everything random.
        solver: Makes the sampler's steps; None: the model's own.
        grid: The times to visit; None: the model's own.
        overfit: Whether the data are few clips, to be known by heart.
        start: What was found before the training.
    """

    model: nn.Module
    data: Dataset[Clip]
    recordings: AudioFolder
    held_back: Dataset[Clip] | None
    loss: LossFunction
    depth: Depth
    processes: Processes
    about: str = ""
    learning_rate: float | None = None
    num_steps: int = 30
    seed: int = 0
    solver: Solver | None = None
    grid: Grid | None = None
    overfit: bool = False
    start: Diagnosis | None = None

    def __post_init__(self) -> None:
        """Begin with nothing told."""
        self._initial: nn.Module | None = None
        self._told: set[str] = set()

    def before(self) -> None:
        """Examine what is cheap; tell each fault in a line.

        Raises:
            ValueError: The training cannot work: in every process, in one line.
        """
        refused = ""
        if self.depth != "off" and self.processes.is_main:
            refused = self._safely("before the training", self._why_not) or ""
            if not refused:
                with sampled_by(self.model, self.solver, self.grid):
                    self.start = self._safely("before the training", self._examine_start)
                self._tell(self.start)
        refused = self.processes.from_main(refused)
        if refused:
            raise ValueError(refused)

    def after(self, result: TrainResult, sounds: Tensor, scalars: Scalars) -> Diagnosis | None:
        """Examine the end of a training in the first process; tell each new fault in a line.

        Args:
            result: How it ended.
            sounds: What the model made `(n, c, t)`.
            scalars: Its curves.
        """
        if self.depth == "off":
            return None
        averaged = result.ema.module
        with sampled_by(averaged, self.solver, self.grid):
            found = self._safely("after it", lambda: self._examine_end(result, sounds, scalars))
        self._tell(found)
        return found

    def _examine_end(self, result: TrainResult, sounds: Tensor, scalars: Scalars) -> Diagnosis:
        full = self.depth == "full"
        subject = replace(
            self._subject(MANY_CLIPS if full else SOME_CLIPS),
            model=result.ema.module,
            raw=self.model,
            raw_before=self._initial,
            averaged_before=self._initial,
            initial=self._initial,
            losses=scalars.get("train/loss", ([], []))[1],
            levels=result.levels,
        )
        if full:
            return examine_model(subject, seed=self.seed)
        return examine_end(subject, sounds, self.start, seed=self.seed)

    def _examine_start(self) -> Diagnosis:
        if self.depth == "full":
            self._initial = copy.deepcopy(self.model)
        subject = self._subject(SOME_CLIPS)
        seconds = START_CALLS * self._seconds_a_clip(subject)
        if seconds <= START_SECONDS:
            return examine_start(subject, seed=self.seed)
        found = examine_start(subject, seed=self.seed, asks_network=False)
        return found.noting(
            "schedule",
            f"left out before the training: on this machine it would take {seconds:.0f} s",
        )

    def _seconds_a_clip(self, subject: Subject) -> float:
        """How long the network takes, by the second of two calls."""
        if subject.one_level_a_clip:
            return 0.0
        clip, spent = subject.of(1).train, 0.0
        for _ in range(2):
            started = time.perf_counter()
            observe(self.model, clip, torch.full((1,), 0.5), loss=self.loss, seed=self.seed)
            spent = time.perf_counter() - started
        return spent

    def _subject(self, clips: int) -> Subject:
        held_back = None if self.held_back is None else read_clips(self.held_back, SOME_CLIPS)
        return Subject(
            self.model,
            read_clips(self.data, clips),
            self.recordings.sample_rate,
            held_back,
            data=self.data,
            collection=collection_of(self.recordings),
            loss=self.loss,
            num_steps=self.num_steps,
            learning_rate=self.learning_rate,
            about=self.about,
            overfit=self.overfit,
        )

    def _why_not(self) -> str:
        return cannot_work(self._subject(SOME_CLIPS))

    def _tell(self, diagnosis: Diagnosis | None) -> None:
        """Print each fault in a line, once."""
        for finding in [] if diagnosis is None else diagnosis.faults:
            if finding.text not in self._told and finding.check not in TOLD_BY_THE_DATA:
                self._told.add(finding.text)
                print(f"doctor: {finding.verdict}: {finding.text}", flush=True)

    def _safely(self, when: str, examine: Callable[[], Found]) -> Found | None:
        """Examine without touching the training: neither its random numbers nor its success."""
        device = self.processes.device
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                return examine()
        except Exception as error:  # a training must never end because its doctor cannot look
            why = " ".join(str(error).split())
            print(f"doctor: nothing was examined {when} ({type(error).__name__}: {why})")
            return None


def advice(found: Diagnosis, run: str) -> str:
    """Return what the doctor found in a sentence, and who tells more where something is wrong."""
    if found.worst == "ok":
        return found.sentence()
    return f"{found.sentence()}; examples/diagnose.py --run {run} tells more"
