"""The healthy models, loaded once: every check must find nothing wrong with them."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from torch.utils.data import default_collate

sys.path.insert(0, str(Path(__file__).resolve().parent))

from healthy_runs import LEARNING_RATE, LENGTH, RATE, RUNS, Run
from planted_learning import last_steps
from quotes import check_quote

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    Diagnosis,
    Finding,
    Severity,
    Subject,
    examine_model,
    measure_levels,
)
from audio_diffusion_pytorch.training import EMA, PowerDecay

Examine = Callable[[Subject, str], Diagnosis]


@dataclass(frozen=True)
class Healthy:
    """A trained model with nothing wrong, and its data."""

    name: str
    model: DiffusionModel
    train: Clip  # all training clips as one batch
    held_back: Clip
    sample_rate: int
    length: int
    data: Any  # the data set of the training clips
    initial: DiffusionModel

    def fresh(self) -> DiffusionModel:
        """A copy of the model that a test may break."""
        return copy.deepcopy(self.model)

    def sample(self, model: DiffusionModel) -> Callable[..., Tensor]:
        """How the model is sampled: `(num_items, num_steps, generator) -> (n, c, t)`."""
        labels = self.held_back.labels

        def make(num: int, steps: int, generator: Any) -> Tensor:
            asked = labels[[i % len(labels) for i in range(num)]]
            cond = {"labels": asked} if labels.shape[1] else {}
            return model.generate(num, self.length, steps, generator=generator, **cond)

        return make

    @cached_property
    def subject(self) -> Subject:
        """Model and clips, for the doctor; `replace` plants a fault."""
        return Subject(self.model, self.train, self.sample_rate, held_back=self.held_back)

    @cached_property
    def known(self) -> Subject:
        """The same with all that a doctor can know of a run, and nothing wrong."""
        told = self.train.labels.shape[1] > 0
        subject = replace(
            self.subject,
            data=self.data,
            collection=self.train if told else None,
            initial=self.initial,
            learning_rate=LEARNING_RATE,
            against=measure_levels(self.model, self.train, self.held_back),
        )
        mean = EMA(self.model, PowerDecay(0.9, 0.0))
        mean.update(self.model)  # the first update copies
        return last_steps(subject, mean, rate=LEARNING_RATE / 10)


def _load(run: Run) -> Healthy:
    train, held_back = run.data()
    batches = [
        default_collate([data[0, i] for i in range(len(data))]) for data in (train, held_back)
    ]
    model, initial = run.load(), run.build().eval()
    initial.normalizer.load_state_dict(model.normalizer.state_dict())  # measured, not learnt
    return Healthy(run.name, model, *batches, RATE, LENGTH, train, initial)


@pytest.fixture(scope="session")
def piano() -> Healthy:
    """Piano notes, told by number, behind an MDCT."""
    return _load(RUNS[0])


@pytest.fixture(scope="session")
def synthetic() -> Healthy:
    """Synthetic sounds, told nothing, behind an MDCT."""
    return _load(RUNS[1])


@pytest.fixture(scope="session")
def spectrogram() -> Healthy:
    """Piano notes, told by number, behind an STFT."""
    return _load(RUNS[2])


@pytest.fixture(scope="session", params=["piano", "synthetic", "spectrogram"])
def healthy(request: pytest.FixtureRequest) -> Healthy:
    """Each of the three in turn."""
    found: Healthy = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def examined() -> Examine:
    """What the doctor says of one group of a subject; asked again, it is not examined again."""
    known: dict[tuple[int, str], tuple[Subject, Diagnosis]] = {}

    def examine(subject: Subject, group: str) -> Diagnosis:
        key = id(subject), group
        if key not in known:
            known[key] = subject, examine_model(subject, groups=[group])
        return known[key][1]

    return examine


@pytest.fixture
def caught(request: pytest.FixtureRequest, examined: Examine) -> Callable[..., Finding]:
    """Have the doctor call a fault by the name of its check, in the words that the docs quote.

    The quote has the name of the test; the same check finds nothing wrong with the `right` one.
    `sick` is a subject, or what a group of checks has said already.
    """
    fault = request.node.name.removeprefix("test_")

    def catch(
        group: str,
        check: str,
        sick: Subject | list[Finding],
        right: Subject,
        verdict: Severity = "wrong",
    ) -> Finding:
        said = sick if isinstance(sick, list) else examined(sick, group).findings
        found = next(finding for finding in said if finding.check == check)
        assert found.verdict == verdict, found.text
        fine = examined(right, group).finding(check)
        assert fine.verdict == "ok", fine.text
        check_quote(fault, found)
        return found

    return catch
