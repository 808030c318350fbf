"""The doctor: finds nothing wrong where nothing is, touches nothing, and hides nothing."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import pytest
import soundfile
import torch
from healthy_runs import PIANO
from torch import Generator

from audio_diffusion_pytorch import DiffusionAR, DiffusionModel, UNetV0
from audio_diffusion_pytorch.data import AudioFolder
from audio_diffusion_pytorch.diagnostics import (
    GROUP_TITLES,
    Subject,
    as_clips,
    cannot_work,
    collection_of,
    examine_end,
    examine_folder,
    examine_model,
    examine_sounds,
    examine_start,
    measure_levels,
    read_clips,
    sampled_by,
    set_sampler,
)
from audio_diffusion_pytorch.diagnostics.subject import take
from audio_diffusion_pytorch.diffusion import Euler, LinearSchedule, UniPC, VDiffusion

FAST = ("data", "space", "schedule", "losses", "conditioning")
NET = {
    "net_t": UNetV0,
    "channels": (8, 8),
    "factors": (1, 2),
    "items": (1, 1),
    "modulation_features": 16,
}


def subject_of(healthy, **others) -> Subject:
    names = {"sampling": None, "about": healthy.name}
    return Subject(
        healthy.model, healthy.train, healthy.sample_rate, healthy.held_back, **(names | others)
    )


def noise_clips(count=12, length=1024, seed=0):
    audio = torch.randn(count, 1, length, generator=Generator().manual_seed(seed))
    return as_clips(0.1 * audio)


@pytest.fixture(scope="module")
def whole(piano):
    """Everything the doctor says of one healthy model."""
    raw = copy.deepcopy(piano.model)
    for weight in raw.parameters():
        weight.data.mul_(1 + 1e-3)
    before = {name: w * 0.5 for name, w in raw.state_dict().items() if w.is_floating_point()}
    subject = subject_of(
        piano,
        raw=raw,
        raw_before=before,
        averaged_before=before,
        learning_rate=2e-3,
        losses=[1.0 - 0.02 * step for step in range(24)],
    )
    return subject, examine_model(subject, seed=1)


class TestHealthy:
    def test_the_whole_doctor_finds_nothing_in_two_minutes(self, whole):
        _, diagnosis = whole
        assert [fault.text for fault in diagnosis.faults] == []
        assert [part.group for part in diagnosis.examined] == list(GROUP_TITLES)
        assert all(part.findings for part in diagnosis.examined)
        assert len(diagnosis.findings) > 60
        assert sum(part.seconds for part in diagnosis.examined) < 120
        assert diagnosis.notes == []

    def test_what_a_run_has_recorded_is_judged(self, whole):
        _, diagnosis = whole
        for check in ("EMA", "weights that never moved", "recorded learning rate"):
            assert diagnosis.finding(check).verdict == "ok"

    def test_fast_groups_find_nothing_in_any_of_the_three(self, healthy):
        diagnosis = examine_model(subject_of(healthy), groups=FAST)
        assert [fault.text for fault in diagnosis.faults] == []
        told = healthy.name != "synthetic"
        assert bool(diagnosis.notes) != told  # nothing to say of a network that is told nothing

    def test_the_start_finds_nothing_in_any_of_the_three(self, healthy):
        diagnosis = examine_start(subject_of(healthy))
        assert [fault.text for fault in diagnosis.faults] == []
        assert sum(part.seconds for part in diagnosis.examined) < 5

    def test_the_end_finds_nothing(self, piano):
        sounds = piano.held_back.audio[:8]
        levels = measure_levels(piano.model, piano.train, piano.held_back)
        subject = subject_of(piano, levels=levels)
        start = examine_start(subject)
        diagnosis = examine_end(subject, sounds, start)
        assert [fault.text for fault in diagnosis.faults] == []
        told = [finding.check for finding in diagnosis.findings]
        assert told[: len(start.examined[0].findings)] == [
            finding.check for finding in start.examined[0].findings
        ]
        assert {"terminal SNR", "share of the possible", "level of the samples"} <= set(told)


class TestNothingIsTouched:
    def test_model_and_random_numbers(self, piano):
        model = piano.fresh()
        model.train()
        model.net.eval()
        before = copy.deepcopy(model.state_dict())
        modes = [part.training for part in model.modules()]
        sampler = (model.sampler.solver, model.sampler.schedule)
        torch.manual_seed(5)
        wanted = torch.rand(3)
        torch.manual_seed(5)
        subject = replace(subject_of(piano), model=model)
        examine_start(subject)
        examine_model(subject, groups=FAST)
        assert torch.equal(torch.rand(3), wanted)
        assert [part.training for part in model.modules()] == modes
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        assert (model.sampler.solver, model.sampler.schedule) == sampler
        assert not any(part._forward_hooks for part in model.modules())

    def test_the_same_twice(self, spectrogram):
        subject = subject_of(spectrogram)
        one, two = (
            [found.to_dict() for found in examine_model(subject, groups=FAST, seed=3).findings]
            for _ in range(2)
        )
        assert json.dumps(one, default=str) == json.dumps(two, default=str)


class TestNothingIsHidden:
    def test_groups_can_be_chosen(self, spectrogram):
        diagnosis = examine_model(subject_of(spectrogram), groups=["schedule", "data"])
        assert [part.group for part in diagnosis.examined] == ["data", "schedule"]
        with pytest.raises(ValueError, match=r"groups must be among data, .*got 'noise'"):
            examine_model(subject_of(spectrogram), groups=["noise"])

    def test_a_group_that_fails_hides_no_other(self, spectrogram):
        def broken(model, batch, generator, times=None):
            raise RuntimeError("no such label")

        subject = subject_of(spectrogram, loss=broken, sampling=lambda *_: torch.zeros(0))
        diagnosis = examine_model(subject, groups=FAST)
        assert diagnosis.finding("DC offset").verdict == "ok"
        failed = [note for note in diagnosis.notes if "RuntimeError: no such label" in note]
        assert [note.partition(":")[0] for note in failed] == [
            "space", "noise schedule", "loss against the possible", "conditioning",
        ]  # fmt: skip

    def test_a_fault_stands_in_its_group(self, piano):
        audio = piano.train.audio + 0.5
        subject = replace(subject_of(piano), train=piano.train._replace(audio=audio))
        diagnosis = examine_model(subject, groups=["data"])
        assert diagnosis.finding("DC offset").verdict == diagnosis.worst == "wrong"
        assert diagnosis.first().check == "DC offset"

    def test_few_clips_are_no_fault_where_they_are_meant_to_be_few(self, piano):
        one = piano.train._replace(
            audio=piano.train.audio[:1], labels=piano.train.labels[:1], name=piano.train.name[:1]
        )
        data = [piano.data[0, 0]]
        subject = replace(subject_of(piano), train=one, data=data)
        found = examine_model(subject, groups=["data"]).finding("distinct clips")
        assert found.verdict == "wrong"
        meant = examine_model(replace(subject, overfit=True), groups=["data"])
        found = meant.finding("distinct clips")
        assert found.verdict == "ok" and "(train.overfit)" in found.message


class TestOtherModels:
    def test_raw_samples_have_no_space(self):
        model = DiffusionModel(in_channels=1, **NET)
        subject = Subject(model, noise_clips(), 8000)
        diagnosis = examine_model(subject, groups=["data", "space", "schedule", "losses"])
        assert "left out: the model works on raw samples" in diagnosis.notes
        assert diagnosis.finding("terminal SNR").verdict == "ok"
        assert diagnosis.finding("trivial loss").verdict != "ok"  # it was never trained

    def test_parts_with_levels_of_their_own(self):
        model = DiffusionAR(1, 1024, 4, **NET)
        subject = Subject(model, noise_clips(), 8000, raw=copy.deepcopy(model), num_steps=2)
        diagnosis = examine_model(subject)
        said = [note for note in diagnosis.notes if "noise level of its own" in note]
        assert len(said) == 4
        assert not any("could not be examined" in note for note in diagnosis.notes)
        checks = {finding.check for finding in diagnosis.findings}
        assert {"level", "EMA", "level of the samples"} <= checks
        assert "could not" not in examine_start(subject).text()

    def test_an_objective_of_ones_own(self):
        class Own(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = torch.nn.Conv1d(1, 1, 3)

        diagnosis = examine_model(Subject(Own(), noise_clips(), 8000))
        assert any("whose diffusion is a GaussianDiffusion" in note for note in diagnosis.notes)
        assert any("not known how the model makes sounds" in note for note in diagnosis.notes)
        assert diagnosis.finding("level").verdict == "ok"

    def test_an_objective_that_cannot_be_watched_leaves_out_its_group_alone(self):
        class Blind(VDiffusion):
            def forward(self, x, generator=None, reduction="mean", *, times=None, **cond):
                return (self.net.forward(x, times) - x).square().flatten(1).mean(1)

        model = DiffusionModel(diffusion_t=Blind, in_channels=1, **NET)
        found = examine_model(Subject(model, noise_clips(), 8000))
        assert found.finding("level").verdict == "ok"
        (note,) = (part.notes[0] for part in found.examined if part.group == "sampling")
        assert note.startswith("left out: ")
        assert "call self.predict(...), not self.net(...)" in note


class TestSampling:
    def test_conditions_come_in_turn_and_the_network_is_asked_for_nothing_else(self, piano):
        sample = subject_of(piano).sampling_in_turn
        asked = []
        hook = piano.model.net.register_forward_pre_hook(
            lambda _, inputs, cond: asked.append(cond["labels"]), with_kwargs=True
        )
        try:
            sounds = sample(40, 2, Generator().manual_seed(0))
        finally:
            hook.remove()
        assert sounds.shape == (40, 1, piano.length)
        calls = {len(labels) for labels in asked}
        assert calls == {40}
        spread = [place * 36 // 32 for place in range(32)]
        wanted = piano.held_back.labels[spread]
        assert torch.equal(asked[0], torch.cat([wanted, wanted[:8]]))

    def test_the_same_noise_makes_the_same_sounds(self, piano):
        sample = subject_of(piano).sampling_in_turn
        one, two = (sample(2, 2, Generator().manual_seed(4)) for _ in range(2))
        assert torch.equal(one, two)

    def test_a_way_of_ones_own_is_given_clips_in_turn(self, piano):
        seen = []

        def sampling(clips, num_steps, generator):
            seen.append((clips.name, num_steps))
            return clips.audio

        sample = subject_of(piano, sampling=sampling).sampling_in_turn
        assert len(sample(33, 5, Generator())) == 33
        ((names, steps),) = seen
        assert steps == 5 and names[32] == names[0] == piano.held_back.name[0]

    def test_a_sampler_is_set_and_given_back(self, piano):
        model = piano.fresh()
        solver, grid = Euler(), LinearSchedule()
        before = (model.sampler.solver, model.sampler.schedule)
        with pytest.raises(KeyError), sampled_by(model, solver, grid):
            assert (model.sampler.solver, model.sampler.schedule) == (solver, grid)
            raise KeyError
        assert (model.sampler.solver, model.sampler.schedule) == before
        assert set_sampler(model, None, None) == before
        assert set_sampler(torch.nn.Linear(1, 1), UniPC(), grid) == (None, None)


class TestSounds:
    def test_silence_and_nan_are_called(self, piano):
        data = piano.held_back.audio
        silent = {found.check: found.verdict for found in examine_sounds(0 * data[:4], data)}
        assert silent["silent samples"] == "wrong"
        (only,) = examine_sounds(torch.full_like(data[:4], math.nan), data)
        assert only.check == "finite samples" and only.verdict == "wrong"

    def test_real_sounds_pass_with_spectrum_and_variety(self, piano):
        found = examine_sounds(
            piano.held_back.audio[:16], piano.train.audio, sample_rate=piano.sample_rate
        )
        assert {finding.verdict for finding in found} == {"ok"}
        assert {"spectrum of the samples", "variety of the samples"} <= {f.check for f in found}


class TestWhatCannotWork:
    def test_healthy_ones_can(self, piano):
        assert cannot_work(subject_of(piano)) == ""

    def test_nan_names_the_clip(self, piano):
        clips = take(piano.train, range(4))
        audio = clips.audio.clone()
        audio[2, 0, 7] = math.nan
        said = cannot_work(replace(subject_of(piano), train=clips._replace(audio=audio)))
        assert "1 of 4" in said and clips.name[2] in said and "\n" not in said

    def test_silence_and_broken_latents(self, piano):
        clips = take(piano.train, range(4))
        silent = replace(subject_of(piano), train=clips._replace(audio=0 * clips.audio))
        assert cannot_work(silent).startswith("silence: all 4 clips")
        model = piano.fresh()
        model.normalizer.register_buffer("std", torch.zeros_like(model.normalizer.std))
        said = cannot_work(replace(subject_of(piano), model=model))
        assert "16 of 16 clips have NaN or infinite latents" in said


class TestFolders:
    def test_the_piano_is_fine(self):
        diagnosis = examine_folder(PIANO, sample_rate=16000, length=16384, channels=1)
        assert [fault.text for fault in diagnosis.faults] == [] and len(diagnosis.findings) > 10

    def test_a_faulty_folder_is_called_and_a_missing_one_refused(self, tmp_path):
        for number in range(20):
            tone = 0.1 * torch.sin(torch.arange(8000) * (0.1 + 0.01 * number)) + 0.3
            soundfile.write(tmp_path / f"{number}.wav", tone.numpy(), 8000)
        diagnosis = examine_folder(tmp_path)
        assert diagnosis.finding("DC offset").verdict == "wrong"
        with pytest.raises(FileNotFoundError, match="nowhere"):
            examine_folder(tmp_path / "nowhere")

    def test_clips_and_labels_of_a_folder(self):
        folder = AudioFolder(PIANO, 16000, 2048, labels=r"(?P<note>\d{3})_", crop="start")
        clips = read_clips(folder, 10)
        assert clips.audio.shape == (10, 1, 2048) and len(set(clips.name)) == 10
        collection = collection_of(folder)
        assert collection.labels.shape == (len(folder.files), 1)
        assert collection.name == folder.files
        assert collection_of(AudioFolder(PIANO, 16000, 2048)) is None
