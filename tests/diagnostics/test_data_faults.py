"""Recordings and clips with something wrong beside healthy ones, of which nothing is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from healthy_runs import PIANO, RATE
from planted_data import changed, raw_model
from planted_schedules import latents_of, noise_model
from torch.utils.data import default_collate

from audio_diffusion_pytorch.data import AudioFolder, Clip
from audio_diffusion_pytorch.diagnostics import Finding, faults, findings_text
from audio_diffusion_pytorch.diagnostics.data_health import ScanLimits, examine_data
from audio_diffusion_pytorch.diffusion import DiscreteBetas


def named(findings: list[Finding], check: str) -> Finding:
    return next(finding for finding in findings if finding.check == check)


def measured(clips: Clip, gain: float = 1.0, offset: float = 0.0, **others) -> list[Finding]:
    return examine_data(changed(clips, gain, offset), sample_rate=RATE, **others)


def test_the_gain_to_use_makes_up_for_what_was_taken_away(piano):
    found = [measured(piano.train, gain=gain) for gain in (0.01, 1.0)]
    gains = [named(one, "level").figures["gain to use in dB"] for one in found]
    assert gains[0] - gains[1] == pytest.approx(40, abs=0.01)


def test_quiet_data_are_harmless_behind_a_normaliser_but_not_for_the_ear(piano):
    model = piano.fresh()
    foreign = measured(piano.train, gain=0.01, model=model)
    assert named(foreign, "input scale").verdict == "suspicious"  # fitted on louder data
    assert "fit_normalizer" in named(foreign, "input scale").remedy
    model.fit_normalizer([0.01 * piano.train.audio])
    refitted = measured(piano.train, gain=0.01, model=model)
    assert named(refitted, "input scale").verdict == "ok"
    level = named(refitted, "level")
    assert level.verdict == "suspicious" and "the ear" in level.message


def test_latents_are_not_judged_by_ear(piano):
    """Clips that were encoded before have no level, peak or offset that anybody hears."""
    clips = latents_of(piano.model, piano.train)
    found = examine_data(clips, model=noise_model(DiscreteBetas.linear(1000, 1e-4, 0.02)),
                         sample_rate=RATE)  # fmt: skip
    assert not faults(found), findings_text(found)
    assert {"finite samples", "distinct clips", "input scale"} <= {one.check for one in found}
    assert "peak" in {one.check for one in examine_data(clips, sample_rate=RATE)}


def all_ok(findings: list[Finding]) -> None:
    assert len(findings) >= 12
    assert not faults(findings), findings_text(findings)


def test_nothing_is_wrong_with_healthy_clips(healthy):
    for clips in (healthy.train, healthy.held_back):
        all_ok(measured(clips, model=healthy.model, num_clips=200))


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
    first = measured(piano.train, model=model)
    assert torch.equal(before, torch.get_rng_state())
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    again = measured(piano.train, model=model)
    assert [f.to_dict() for f in first] == [f.to_dict() for f in again]


def test_a_folder_gives_the_same_findings_again(tmp_path: Path):
    for name in sorted(PIANO.glob("*.flac"))[:3]:
        (tmp_path / name.name).write_bytes(name.read_bytes())
    first, again = examine_data(tmp_path), examine_data(tmp_path)
    assert [f.to_dict() for f in first] == [f.to_dict() for f in again]
