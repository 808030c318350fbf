"""Faults planted in small real data, each caught by its name; nothing found in healthy data."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch
from healthy_runs import PIANO, RATE
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.data import AudioFolder, Clip, read_recording
from audio_diffusion_pytorch.diagnostics import Finding, faults, findings_text
from audio_diffusion_pytorch.diagnostics.data_health import ScanLimits, examine_data


class Given(Dataset[Clip]):
    """Clips that are there."""

    def __init__(self, audio: Tensor) -> None:
        self.clips = [Clip(sound, torch.empty(0).long(), f"{i}.wav@0") for i, sound in
                      enumerate(audio)]  # fmt: skip

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        return self.clips[index]


def named(findings: list[Finding], check: str) -> Finding:
    return next(finding for finding in findings if finding.check == check)


def examined(clips: Clip, gain: float = 1.0, offset: float = 0.0, **others) -> list[Finding]:
    changed = Clip(gain * clips.audio + offset, clips.labels, clips.name)
    return examine_data(changed, sample_rate=RATE, **others)


def raw_model() -> DiffusionModel:
    """A model of raw samples: nothing scales what it is trained on."""
    return DiffusionModel(UNetV0, in_channels=1, channels=(8, 8), factors=(1, 4), items=(1, 1))


def test_zoo_data_with_dc(piano, said):
    found = named(examined(piano.train, offset=0.1), "DC offset")
    assert found.verdict == "wrong"
    assert found.figures["offset"] == pytest.approx(0.1, abs=0.01)
    assert named(examined(piano.train), "DC offset").verdict == "ok"
    said("dc", found)


def test_zoo_data_40_db_too_quiet(piano, said):
    model = raw_model()
    quiet = examined(piano.train, gain=0.01, model=model)
    right = examined(piano.train, model=model)
    level, scale = named(quiet, "level"), named(quiet, "input scale")
    assert level.verdict == "wrong" and scale.verdict == "wrong"
    assert named(right, "level").verdict == named(right, "input scale").verdict == "ok"
    # The gain to use makes up for what was taken away.
    gains = [named(found, "level").figures["gain to use in dB"] for found in (quiet, right)]
    assert gains[0] - gains[1] == pytest.approx(40, abs=0.01)
    scales = [named(found, "input scale").figures["input scale to use"] for found in (quiet, right)]
    assert scales[0] / scales[1] == pytest.approx(100, rel=1e-3)
    said("too_quiet", scale)


def test_quiet_data_are_harmless_behind_a_normaliser_but_not_for_the_ear(piano):
    model = piano.fresh()
    foreign = examined(piano.train, gain=0.01, model=model)
    assert named(foreign, "input scale").verdict == "suspicious"  # fitted on louder data
    assert "fit_normalizer" in named(foreign, "input scale").remedy
    model.fit_normalizer([0.01 * piano.train.audio])
    refitted = examined(piano.train, gain=0.01, model=model)
    assert named(refitted, "input scale").verdict == "ok"
    level = named(refitted, "level")
    assert level.verdict == "suspicious" and "the ear" in level.message


def test_zoo_mixed_sample_rates(tmp_path, said):
    for name, rate in zip(sorted(PIANO.glob("*_ff.flac"))[::6], [16000, 8000, 44100] * 3,
                          strict=False):  # fmt: skip
        soundfile.write(tmp_path / f"{name.stem}.wav", read_recording(name, rate, 1)[0], rate)
    found = named(examine_data(tmp_path, sample_rate=16000), "sample rates")
    assert found.verdict == "suspicious"
    assert found.figures["files below the wanted rate"] == 3
    assert named(examine_data(PIANO, sample_rate=16000), "sample rates").verdict == "ok"
    said("mixed_sample_rates", found)


def test_zoo_batch_global_min_max(piano, said):
    def squash(items: list[Clip]) -> Clip:
        batch = default_collate(items)
        low, high = batch.audio.min(), batch.audio.max()
        return batch._replace(audio=2 * (batch.audio - low) / (high - low) - 1)

    data = Given(piano.train.audio)
    wrong = examine_data(data, sample_rate=RATE, collate=squash)
    right = examine_data(data, sample_rate=RATE, collate=default_collate)
    for check in ("min-max scaling", "batch-dependent preprocessing"):
        assert named(wrong, check).verdict == "wrong"
        assert named(right, check).verdict == "ok"
    said("batch_min_max", named(wrong, "batch-dependent preprocessing"))


def test_zoo_one_clip_data_set(piano, said):
    one = Given(piano.train.audio[:1].expand(64, -1, -1))
    found = named(examine_data(one, sample_rate=RATE), "distinct clips")
    assert found.verdict == "wrong"
    assert found.figures["distinct clips"] == 1
    many = examine_data(Given(piano.train.audio), sample_rate=RATE)
    assert named(many, "distinct clips").verdict == "ok"
    said("one_clip", found)


def all_ok(findings: list[Finding]) -> None:
    assert len(findings) >= 12
    assert not faults(findings), findings_text(findings)


def test_nothing_is_wrong_with_healthy_clips(healthy):
    for clips in (healthy.train, healthy.held_back):
        all_ok(examined(clips, model=healthy.model, num_clips=200))


def test_nothing_is_wrong_with_the_piano_folder():
    all_ok(examine_data(PIANO))
    all_ok(examine_data(PIANO, sample_rate=16000, length=16384, channels=1))


def test_nothing_is_wrong_with_a_data_set_of_the_piano(piano):
    few = ScanLimits(stretches=24)
    data = AudioFolder(PIANO, RATE, 4096)
    all_ok(examine_data(data, model=piano.model, collate=default_collate, limits=few))
    all_ok(examine_data(AudioFolder(PIANO, 16000, 16384), model=raw_model(), limits=few))


def test_a_look_changes_nothing(piano):
    model = piano.fresh().train()
    model.autoencoder.eval()
    before = torch.get_rng_state()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    first = examined(piano.train, model=model)
    assert torch.equal(before, torch.get_rng_state())
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    again = examined(piano.train, model=model)
    assert [f.to_dict() for f in first] == [f.to_dict() for f in again]


def test_a_folder_gives_the_same_findings_again(tmp_path: Path):
    for name in sorted(PIANO.glob("*.flac"))[:3]:
        (tmp_path / name.name).write_bytes(name.read_bytes())
    first, again = examine_data(tmp_path), examine_data(tmp_path)
    assert [f.to_dict() for f in first] == [f.to_dict() for f in again]
