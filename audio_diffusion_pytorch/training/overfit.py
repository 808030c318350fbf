"""`train.overfit`: a few clips, always the same, until the network knows them by heart."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import Dataset, default_collate

from audio_diffusion_pytorch.data.clip import Clip
from audio_diffusion_pytorch.diagnostics.finding import Finding
from audio_diffusion_pytorch.diagnostics.learning import loss_fall_finding, overfit_finding

from .distributed import Processes
from .objective import LossFunction
from .precision import Precision
from .train_config import TrainConfig
from .validation import Validation

JUDGED = 32
"""Clips at most on which the network is judged at the end."""


class FirstClips(Dataset[Clip]):
    """The first clips of a data set, read once: the same stretch of each in every epoch.

    Args:
        data: Asked for `(0, index)`; whatever it does at random is done once.
        count: Clips at most.
    """

    def __init__(self, data: Dataset[Clip], count: int) -> None:
        total = len(data)  # type: ignore[arg-type]
        self.clips = [data[(0, index)] for index in range(min(count, total))]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: int | tuple[int, int]) -> Clip:
        return self.clips[item[1] if isinstance(item, tuple) else item]

    def together(self, count: int) -> Clip:
        """Return the first clips as one batch."""
        batch: Clip = default_collate(self.clips[:count])
        return batch


class OverfitGate:
    """Measures the loss before the training; afterwards says whether the clips are known.

    Args:
        model: Before its first step.
        clips: All that it will be trained on.
        config: The numbers of the training.
        loss: As in training.
        precision: The number format of the run.
        processes: This process among the others; all of them make a gate.
    """

    def __init__(
        self,
        model: nn.Module,
        clips: FirstClips,
        config: TrainConfig,
        loss: LossFunction,
        precision: Precision,
        processes: Processes,
    ) -> None:
        self.model, self.clips, self.config, self.loss = model, clips, config, loss
        self.precision = precision
        self.measure = Validation(
            clips, loss, JUDGED, max(1, config.validation_bins), config.batch_size, config.seed,
            processes,
        )  # fmt: skip
        self.start = self.measure(model, precision)["loss"]

    def judge(self, steps: int) -> Finding:
        """Return whether the model knows the clips after so many steps, and if not why.

        All processes ask, each gets the same answer.
        """
        losses = (self.start, self.measure(self.model, self.precision)["loss"])
        rate = self.config.learning_rate
        batch = self.clips.together(JUDGED)
        try:
            with torch.no_grad():
                return overfit_finding(
                    self.model, batch, losses, steps, rate, loss=self.loss, seed=self.config.seed
                )
        except ValueError:  # an objective that nobody can look into: its loss must do
            return loss_fall_finding(losses, len(batch.audio), steps, rate)
