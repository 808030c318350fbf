"""Validation that can be compared: the same clips, noise and noise levels each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from audio_diffusion_pytorch.data.clip import Clip

from .distributed import Processes
from .objective import LossFunction, to_device
from .precision import Precision
from .seeds import derive_seed

VALIDATION_STREAM = 0x76616C6964
"""Keeps validation's random numbers apart from training's."""


class Validation:
    """The loss on fixed clips at fixed noise levels with fixed noise.

    Time 0..1 is cut into equal bins; every clip is tried once in every bin, at a fixed place in it.
    Clips are spread evenly over the data set and are read once. Under several processes each takes
    a share, with the same result up to rounding for any number of them.

    Args:
        data: Items by `(epoch, index)`; epoch 0 is used.
        loss: As in training.
        items: Clips at most.
        bins: Noise levels; 0 lets the loss draw its own times.
        batch_size: Clips of one forward pass.
        seed: Of the noise and the places in the bins.
        processes: Who shares the work.
    """

    def __init__(
        self,
        data: Dataset[Clip],
        loss: LossFunction,
        items: int,
        bins: int,
        batch_size: int,
        seed: int,
        processes: Processes,
    ) -> None:
        self.data, self.loss, self.bins = data, loss, bins
        self.seed, self.processes = seed, processes
        total = len(data)  # type: ignore[arg-type]
        count = min(items, total)
        chosen = [place * total // count for place in range(count)]
        groups = [chosen[i : i + batch_size] for i in range(0, count, batch_size)]
        self._groups = list(enumerate(groups))[processes.rank :: processes.world_size]
        self._batches: list[tuple[int, Clip]] | None = None

    def _read(self) -> list[tuple[int, Clip]]:
        if self._batches is None:
            self._batches = [
                (number, default_collate([self.data[(0, index)] for index in group]))
                for number, group in self._groups
            ]
        return self._batches

    @torch.no_grad()
    def __call__(self, model: nn.Module, precision: Precision) -> dict[str, float]:
        """The losses by name: "loss" is the mean, "time_0.06" that of the bin with that middle.

        The model is left in the mode it was in.
        """
        device = self.processes.device
        training, bins = model.training, max(1, self.bins)
        model.eval()
        sums = torch.zeros(2, bins, dtype=torch.float64)
        try:
            for number, batch in self._read():
                batch = to_device(batch, device)
                for level in range(bins):
                    losses = self._losses(model, batch, precision, number, level)
                    sums[0, level] += losses.sum()
                    sums[1, level] += len(losses)
        finally:
            model.train(training)
        totals = self.processes.sum(sums.flatten().tolist())
        means = [
            total / max(1.0, count)
            for total, count in zip(totals[:bins], totals[bins:], strict=True)
        ]
        named = {"loss": sum(means) / bins}
        if self.bins > 0:
            named.update({f"time_{(n + 0.5) / bins:.2f}": mean for n, mean in enumerate(means)})
        return named

    def _losses(
        self, model: nn.Module, batch: Clip, precision: Precision, number: int, level: int
    ) -> Tensor:
        device = self.processes.device
        # A batch has the same noise at every level: the levels differ in nothing else.
        seed = derive_seed(self.seed, VALIDATION_STREAM, number)
        torch.manual_seed(seed)
        generator = torch.Generator(device).manual_seed(seed)
        times = None
        if self.bins > 0:
            places = torch.Generator().manual_seed(derive_seed(seed, 1))
            inside = torch.rand(len(batch.audio), generator=places)
            times = ((level + inside) / self.bins).to(device)
        with precision.autocast(device):
            losses = self.loss(model, batch, generator, times)
        return losses.cpu().double()


@contextmanager
def silenced(net: nn.Module) -> Iterator[None]:
    """Within this context the network answers zeros, as one that has learnt nothing would."""

    def zeros(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        del module, inputs
        return torch.zeros_like(output)

    handle = net.register_forward_hook(zeros)
    try:
        yield
    finally:
        handle.remove()
