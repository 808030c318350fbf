"""The doctor beside a training: it changes no number, and never ends a run that could work."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import soundfile
import torch

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.data import AudioFolder, Clip
from audio_diffusion_pytorch.diffusion import Heun, LinearSchedule
from audio_diffusion_pytorch.training import (
    DataConfig,
    TrainConfig,
    diffusion_loss,
    examination,
    load_checkpoint,
    open_data,
    open_session,
    parse_recipe,
    read_scalars,
)

SMALL = ["data.sample_rate=8000", "data.length=256", "train.device=cpu", "train.precision=fp32",
         "train.max_steps=9", "train.log_every=1", "train.batch_size=4", "train.validation_items=3",
         "train.validation_bins=2"]  # fmt: skip


@dataclass
class Recipe:
    """The settings of a tiny recipe."""

    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def tiny_model():
    torch.manual_seed(0)
    return DiffusionModel(
        UNetV0, in_channels=1, channels=(8, 8), factors=(1, 2), items=(1, 1),
        modulation_features=8,
    )  # fmt: skip


def make(averaged, generator):
    return averaged.generate(2, 256, 2, generator=generator)


@pytest.fixture
def run(tones, tmp_path):
    """Train a tiny model on the tones; returns the run folder."""

    def train(*words, model=None, loss=diffusion_loss, folder=tones, **more):
        words = [*SMALL, f"data.path={folder}", f"train.runs={tmp_path / 'runs'}", *words]
        arguments = parse_recipe("A tiny recipe.", Recipe, ["--experiment", "tiny", *words])
        data, held_back = open_data(arguments.config.data, 0)
        with open_session(arguments) as session:
            session.fit(model or tiny_model(), data, held_back, make, loss, **more)
        return session.run

    return train


def losses_and_weights(run):
    rows = read_scalars(run.logs / "scalars.jsonl")["train/loss"][1]
    return rows, load_checkpoint(run.checkpoints / "last.pt")


class TestNoNumberChanges:
    def test_the_training_is_the_same_with_and_without(self, run):
        without, before = losses_and_weights(run("train.diagnose=off"))
        quick, after = losses_and_weights(run("train.diagnose=quick"))
        assert len(without) == 9 and quick == without
        for part in ("model", "ema"):
            assert before[part].keys() == after[part].keys()
            for key, value in before[part].items():
                assert torch.equal(value, after[part][key]), key


class TestWhatIsSaid:
    def test_console_and_report(self, run, capsys):
        folder = run()
        out = capsys.readouterr().out
        page = folder.report_path.read_text("utf-8")
        (said,) = re.findall(r"^doctor: (\d+ checks: .*)$", out, re.MULTILINE)
        assert f"The doctor says: {said}." in page
        for title in ("Data", "Noise schedule", "Loss against the possible", "Sampling"):
            assert page.count(f"<h2>Doctor: {title}</h2>") == 1
        assert "the model works on raw samples" in page
        faults = re.findall(r"^doctor: (?:wrong|suspicious): ([^:]+)", out, re.MULTILINE)
        assert len(faults) == len(set(faults)) > 0  # nine steps teach little
        assert said.endswith(f"examples/diagnose.py --run {folder.directory.name} tells more")
        for check in faults:
            assert f"</span> {check}</h3>" in page

    def test_off_is_silent(self, run, capsys):
        folder = run("train.diagnose=off")
        assert "doctor" not in capsys.readouterr().out.lower()
        assert "octor" not in folder.report_path.read_text("utf-8")

    def test_an_unknown_word_is_refused(self, run):
        with pytest.raises(ValueError, match=r"train\.diagnose"):
            run("train.diagnose=loud")

    def test_a_data_fault_is_told_before_the_first_step(self, run, tmp_path, capsys):
        offset = tmp_path / "offset"
        offset.mkdir()
        for number in range(20):
            tone = 0.1 * torch.sin(torch.arange(800) * (0.1 + 0.02 * number)) + 0.3
            soundfile.write(offset / f"{number}.wav", tone.numpy(), 8000, "FLOAT")
        run(folder=offset)
        out = capsys.readouterr().out
        assert out.count("doctor: wrong: DC offset") == 1
        assert out.index("doctor: wrong: DC offset") < out.index("trained 9 steps")


class TestWhatIsRefused:
    def test_silence(self, run, tmp_path, capsys):
        silent = tmp_path / "silent"
        silent.mkdir()
        for number in range(8):
            soundfile.write(silent / f"{number}.wav", torch.zeros(800).numpy(), 8000)
        with pytest.raises(ValueError, match=r"^silence: all \d+ clips .*data\.path"):
            run(folder=silent)
        assert "trained" not in capsys.readouterr().out
        run("train.diagnose=off", folder=silent)  # who insists may

    def test_nothing_else_however_wrong(self, run, capsys):
        run("data.length=2", "train.max_steps=1")
        assert "trained 1 step" in capsys.readouterr().out


class TestNeverInTheWay:
    def test_a_loss_that_nobody_can_look_into_trains(self, run, capsys):
        def own(model, batch: Clip, generator, times=None):
            del generator, times
            said = model.net(batch.audio, torch.zeros(len(batch.audio)))
            return (said - batch.audio).square().flatten(1).mean(1)

        run(loss=own)
        out = capsys.readouterr().out
        assert "doctor: nothing was examined before the training (ValueError:" in out
        assert "trained 9 steps" in out

    def test_an_error_of_the_doctor_leaves_the_report(self, run, capsys, monkeypatch):
        def broken(*args, **others):
            raise KeyError("a bug")

        monkeypatch.setattr(examination, "examine_end", broken)
        folder = run()
        assert (
            "doctor: nothing was examined after it (KeyError: 'a bug')" in capsys.readouterr().out
        )
        assert folder.report_path.is_file() and folder.summary_path.is_file()

    def test_a_slow_network_is_not_asked_before_the_training(self, run, monkeypatch):
        monkeypatch.setattr(examination, "START_SECONDS", 0.0)
        page = run().report_path.read_text("utf-8")
        assert "left out before the training: on this machine it would take" in page
        assert "<h2>Doctor: Data</h2>" in page and "terminal SNR" not in page


class TestFull:
    def test_all_that_is_known_is_handed_on(self, run, monkeypatch):
        seen = SimpleNamespace()

        def examine(subject, seed=0):
            seen.subject, seen.sampler = subject, subject.model.sampler
            seen.solver, seen.grid = seen.sampler.solver, seen.sampler.schedule
            return examination.examine_end(subject, torch.zeros(2, 1, 256), seed=seed)

        monkeypatch.setattr(examination, "examine_model", examine)
        choice = SimpleNamespace(solver=Heun(), grid=LinearSchedule())
        model = tiny_model()
        folder = run("train.diagnose=full", model=model, sampling=choice)
        subject = seen.subject
        assert subject.raw is model and subject.model is not model
        start = dict(tiny_model().named_parameters())
        assert all(torch.equal(w, start[name]) for name, w in subject.initial.named_parameters())
        assert len(subject.losses) == 9 and subject.learning_rate == 3e-4
        assert isinstance(subject.data, AudioFolder) and len(subject.held_back.audio) >= 1
        assert subject.levels.held_back and subject.about == folder.directory.name
        assert (seen.solver, seen.grid) == (choice.solver, choice.grid)
        assert seen.sampler.solver is not choice.solver  # given back afterwards
