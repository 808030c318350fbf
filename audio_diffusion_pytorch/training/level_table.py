"""The error of the clean signal at fixed noise levels, measured at every validation."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.possible import LevelMeter, Levels
from audio_diffusion_pytorch.diagnostics.possible.measure import (
    MOST_CLIPS,
    SOME_CLIPS,
    learnt_count,
    linear_denoiser,
    measurable,
    some_places,
)
from audio_diffusion_pytorch.diagnostics.possible.share import share_words
from audio_diffusion_pytorch.diffusion.autoregressive import ARVDiffusion
from audio_diffusion_pytorch.diffusion.objectives import GaussianDiffusion

from .distributed import Processes
from .objective import LossFunction
from .precision import Precision
from .seeds import derive_seed

LEVELS_STREAM = 0x6C6576656C73
"""Keeps this table's random numbers apart from training's and validation's."""


class LevelTable:
    """The table of levels on at most 32 held-back clips, the same clips and noise each time.

    What the best linear denoiser reaches stands beside it; that one is made once, of training
    clips. Unlike the loss these numbers can be compared between any two runs on the same data.
    Models whose objective is no `GaussianDiffusion` with one level per clip have none.

    Args:
        data: Training clips by `(epoch, index)`; epoch 0 is used.
        held_back: Likewise, clips never trained on.
        loss: As in training.
        items: Clips at most; never more than 32.
        batch_size: Clips of one forward pass.
        seed: Of the run.
        processes: Who shares the work.
    """

    def __init__(
        self,
        data: Dataset[Clip],
        held_back: Dataset[Clip],
        loss: LossFunction,
        items: int,
        batch_size: int,
        seed: int,
        processes: Processes,
    ) -> None:
        self.data, self.held_back, self.loss = data, held_back, loss
        self.items, self.batch_size = min(items, MOST_CLIPS), batch_size
        self.seed, self.processes = derive_seed(seed, LEVELS_STREAM), processes
        self._trouble, self._told = "", False
        self._meters: list[_Meter] = []

    def __call__(self, model: nn.Module, precision: Precision) -> Levels | None:
        """The table of a model, the same in every process; None where there is none."""
        diffusion = getattr(model, "diffusion", None)
        single = isinstance(diffusion, GaussianDiffusion) and not isinstance(
            diffusion, ARVDiffusion
        )
        if self._trouble or not single:
            return None
        sums, trouble = torch.zeros(0, dtype=torch.float64), ""
        try:
            sums = self._sums(model, precision)
        except Exception as error:  # it is only told, so it must never end a training
            trouble = f"no table of noise levels: {' '.join(str(error).split())}"
        found = [words for words in self.processes.gather(trouble) if words]
        if found or not self._meters:
            self._trouble = (found or ["no table of noise levels"])[0]
            return None
        total = torch.tensor(self.processes.sum(sums.tolist()), dtype=torch.float64)
        new, trained = (
            meter.levels(model, part)
            for (meter, _), part in zip(self._meters, total.chunk(2), strict=True)
        )
        return replace(new, train_share=trained.share)

    def trouble(self) -> str:
        """Why there is no table, told once; else empty."""
        words = "" if self._told else self._trouble
        self._told = bool(self._trouble)
        return words

    def _sums(self, model: nn.Module, precision: Precision) -> Tensor:
        device = self.processes.device
        with precision.autocast(device):
            if not self._meters:
                self._meters = self._start(model)
            totals = []
            for meter, mine in self._meters:
                total = torch.zeros(meter.num_sums, dtype=torch.float64)
                for first, batch in mine:
                    total += meter.sums(model, batch, first)
                totals.append(total)
        return torch.cat(totals)

    def _start(self, model: nn.Module) -> list[_Meter]:
        """Read the clips, new ones and trained ones, and make the linear denoiser.

        The same one in every process.
        """
        count = learnt_count(self.data[(0, 0)].audio.numel())
        learnt = _read(self.data, some_places(_length(self.data), count))
        linear, diffusion = linear_denoiser(model, learnt, self.loss), measurable(model)

        def meter(data: Dataset[Clip], clips: int, new: bool) -> _Meter:
            places = some_places(_length(data), clips)
            starts = range(0, len(places), self.batch_size)
            mine = [*starts][self.processes.rank :: self.processes.world_size]
            read = [(first, _read(data, places[first : first + self.batch_size])) for first in mine]
            judge = LevelMeter(
                diffusion, linear, len(places), loss=self.loss, held_back=new, seed=self.seed
            )
            return judge, read

        some = min(self.items, SOME_CLIPS)
        return [meter(self.held_back, self.items, True), meter(self.data, some, False)]


_Meter = tuple[LevelMeter, list[tuple[int, Clip]]]
"""Who judges, and the clips that this process judges, batched, with their places among all."""


def level_scalars(levels: Levels) -> dict[str, float]:
    """The rows of a table by name, as the curves have them: "level/-20_dB" and so on."""
    named = {
        "validation/share_explained": levels.share,
        "best_linear/share_explained": levels.linear_share,
    }
    if levels.train_share is not None:
        named["train/share_explained"] = levels.train_share
    for name, errors in (("level", levels.model), ("best_linear", levels.linear)):
        pairs = zip(levels.decibels, errors, strict=True)
        named.update({f"{name}/{level:g}_dB": error for level, error in pairs})
    return named


def level_words(levels: Levels) -> str:
    """What the line of a validation says of a table."""
    return share_words(levels)


def _read(data: Dataset[Clip], places: list[int]) -> Clip:
    clips: Clip = default_collate([data[(0, place)] for place in places])
    return clips


def _length(data: Dataset[Clip]) -> int:
    return len(data)  # type: ignore[arg-type]
