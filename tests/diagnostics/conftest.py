"""The healthy models, loaded once: every check must find nothing wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch import Tensor
from torch.utils.data import default_collate

sys.path.insert(0, str(Path(__file__).resolve().parent))

from healthy_runs import LENGTH, RATE, RUNS
from quotes import check_quote

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import Finding


class Healthy(NamedTuple):
    """A trained model with nothing wrong, and its data."""

    name: str
    model: DiffusionModel
    train: Clip  # all training clips as one batch
    held_back: Clip
    sample_rate: int
    length: int

    def fresh(self) -> DiffusionModel:
        """A copy of the model that a test may break."""
        import copy

        return copy.deepcopy(self.model)

    def sample(self, model: DiffusionModel) -> Callable[..., Tensor]:
        """How the model is sampled: `(num_items, num_steps, generator) -> (n, c, t)`."""
        labels = self.held_back.labels

        def make(num: int, steps: int, generator: Any) -> Tensor:
            asked = labels[[i % len(labels) for i in range(num)]]
            cond = {"labels": asked} if labels.shape[1] else {}
            return model.generate(num, self.length, steps, generator=generator, **cond)

        return make


def _load(index: int) -> Healthy:
    run = RUNS[index]
    train, held_back = run.data()
    batches = [
        default_collate([data[0, i] for i in range(len(data))]) for data in (train, held_back)
    ]
    return Healthy(run.name, run.load(), batches[0], batches[1], RATE, LENGTH)


@pytest.fixture(scope="session")
def piano() -> Healthy:
    """Piano notes, told by number, behind an MDCT."""
    return _load(0)


@pytest.fixture(scope="session")
def synthetic() -> Healthy:
    """Synthetic sounds, told nothing, behind an MDCT."""
    return _load(1)


@pytest.fixture(scope="session")
def spectrogram() -> Healthy:
    """Piano notes, told by number, behind an STFT."""
    return _load(2)


@pytest.fixture(scope="session", params=["piano", "synthetic", "spectrogram"])
def healthy(request: pytest.FixtureRequest) -> Healthy:
    """Each of the three in turn."""
    found: Healthy = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def said() -> Callable[[str, Finding], None]:
    """Holds what a check says of a fault against its quote in the docs."""
    return check_quote
