"""The zoo: faults planted one by one; the doctor calls each by its name, and nothing that is well.

What it says of a fault stands in `docs/guides/it_plays_noise.md` under the name of its test.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from conditioning_stand_ins import trained_vocoder
from healthy_runs import LEARNING_RATE
from planted_data import Given, changed, raw_model, squash, write_mixed_rates
from planted_latents import ConvCode, behind, soft_clips
from planted_learning import Closure, Stuck, deafened, last_steps, squashed
from planted_losses import eps_model, flipped
from planted_sampling import clamping, swallowing
from planted_schedules import Rising, aligned_model, latents_of, noise_model
from quotes import quoted_faults

from audio_diffusion_pytorch.data import AudioFolder
from audio_diffusion_pytorch.diagnostics import (
    Subject,
    as_clips,
    examine_learning,
    measure_levels,
    read_clips,
)
from audio_diffusion_pytorch.diffusion import DiscreteBetas

RATE = 8000  # Hz, of all clips here
CHECKS = {"data": 12, "space": 9, "schedule": 10, "losses": 5, "learning": 11, "conditioning": 8,
          "sampling": 14}  # fmt: skip
"""How many checks a healthy model must pass, group by group."""


def test_latents_unscaled(piano, caught):
    """Latents of +-4, encoded before, go to the diffusion as they are."""
    clips = soft_clips(piano.train)
    z = ConvCode().encode(clips.audio)
    assert -4.6 < z.min() < -4 and 4 < z.max() < 4.6
    sick = Subject(behind(None, z), as_clips(z), RATE)
    right = Subject(behind(ConvCode(), clips.audio), clips, RATE)
    caught("space", "latent scale", sick, right)


def test_terminal_snr(piano, caught):
    """A schedule that ends with the sound 6 dB over the noise: 50 steps of 1e-5..0.0085."""
    clips = latents_of(piano.model, piano.train)
    sick = Subject(noise_model(DiscreteBetas.linear(50, 1e-5, 0.0085)), clips, RATE)
    right = Subject(noise_model(DiscreteBetas.linear(1000, 1e-4, 0.02)), clips, RATE)
    found = caught("schedule", "terminal SNR", sick, right)
    assert round(found.figures["terminal_snr_db"], 1) == 6.2


def test_clamped_sampler(piano, caught, examined):
    """A sampler that clamps its state at +-1."""
    sick = replace(piano.subject, model=clamping(piano.fresh()))
    found = caught("sampling", "clamped state", sick, piano.known)
    # Of a unit normal 31.7 % lie beyond 1; the first state is start noise, clamped after a step.
    assert 0.29 < found.figures["state values at a bound, share"] < 0.34
    assert found.figures["at network call"] == 2
    assert examined(sick, "sampling").finding("sampler trajectory").verdict == "wrong"


def test_weak_conditioner(piano, caught, examined):
    """A conditioner 200 times too weak, still unheard after training."""
    clips = piano.held_back._replace(audio=piano.held_back.audio[..., :2048])
    right = Subject(trained_vocoder(piano.train.audio), clips, RATE)
    sick = Subject(trained_vocoder(piano.train.audio, level=1 / 200), clips, RATE)
    found = caught("conditioning", "conditioner gain", sick, right)
    assert found.figures["gain"] < 0.02
    assert examined(sick, "conditioning").finding("condition influence").verdict == "wrong"


def test_condition_dropped_at_sampling(piano, caught):
    """The network listens, but is told nothing where sounds are made."""
    sick = replace(piano.subject, model=swallowing(piano.fresh()))
    found = caught("conditioning", "condition at sampling", sick, piano.known)
    assert found.figures["difference of the sounds"] == 0.0


def test_ema_never_updates(piano, caught):
    """A running mean that is never told of a step."""
    sick = last_steps(piano.subject, Stuck(piano.model))
    assert "never updated" in caught("learning", "EMA", sick, piano.known).message


def test_ema_tracks_raw(piano, caught):
    """A running mean that closes over the model instead of copying it."""
    sick = last_steps(piano.subject, Closure(piano.fresh()))
    assert "the raw model itself" in caught("learning", "EMA", sick, piano.known).message


def test_wrong_v_sign(piano, caught, examined):
    """A network that learnt the opposite of the velocity that it is read as."""
    sick = replace(piano.subject, model=flipped(piano.fresh()))
    found = caught("losses", "sign of the answer", sick, piano.known)
    assert found.message.startswith("wrong sign")
    assert examined(sick, "losses").finding("share of the possible").verdict == "wrong"
    right = examined(piano.known, "losses").finding("sign of the answer").figures
    assert found.figures["share, read with the other sign"] == pytest.approx(
        right["share, read as it is"], abs=0.02
    )


def test_constant_time_embedding(piano, caught):
    """A network that is told the same noise level, whatever it is."""
    sick = replace(piano.subject, model=deafened(piano.fresh()))
    caught("learning", "noise level told", sick, piano.known)


def test_learning_rate_too_high(piano, caught):
    """A learning rate 100 times too high."""
    sick = trained_at(piano, 100 * LEARNING_RATE)
    found = caught("learning", "learning rate", sick, piano.known)
    assert "too high" in found.message and "learning_rate=0.002" in found.remedy
    # The network itself is judged at a rate that works.
    assert [finding.check for finding in sick if finding.verdict != "ok"] == ["learning rate"]


def test_learning_rate_too_low(piano, caught):
    """A learning rate 100 times too low."""
    sick = trained_at(piano, LEARNING_RATE / 100)
    found = caught("learning", "learning rate", sick, piano.known)
    assert "too low" in found.message and "learning_rate=0.002" in found.remedy


def trained_at(piano, rate):
    """Ask with much time: on a busy machine the doctor tries fewer steps at each rate."""
    return examine_learning(
        piano.model, piano.train, learning_rate=rate, initial=piano.initial, seconds=60
    )


def test_dc(piano, caught):
    """Data with DC."""
    sick = replace(piano.subject, train=changed(piano.train, offset=0.1))
    found = caught("data", "DC offset", sick, piano.known)
    assert found.figures["offset"] == pytest.approx(0.1, abs=0.01)


def test_too_quiet(piano, caught, examined):
    """Data 40 dB too quiet for a model of raw samples."""
    right = Subject(raw_model(), as_clips(piano.train.audio), RATE)
    sick = replace(right, train=changed(right.train, gain=0.01))
    found = caught("data", "input scale", sick, right)
    assert examined(sick, "data").finding("level").verdict == "wrong"
    well = examined(right, "data").finding("input scale")
    scales = [one.figures["input scale to use"] for one in (found, well)]
    assert scales[0] / scales[1] == pytest.approx(100, rel=1e-3)


def test_mixed_sample_rates(piano, caught, tmp_path):
    """Files of several rates in a folder: suspicious only, for they are read at one rate."""
    write_mixed_rates(tmp_path)
    data = AudioFolder(tmp_path, 16000, 4096)
    sick = Subject(raw_model(), read_clips(data), 16000, data=data)
    found = caught("data", "sample rates", sick, piano.known, "suspicious")
    assert found.figures["files below the wanted rate"] == 3


def test_rising_grid(piano, caught):
    """Sampling with a grid in the wrong direction."""
    model = piano.fresh()
    model.sampler.schedule = Rising()
    found = caught("schedule", "sampling grid", replace(piano.subject, model=model), piano.known)
    assert "wrong direction" in found.message


def test_levels_dropped(piano, caught):
    """A discrete schedule subsampled wrongly: the first level is cleaner than any trained."""
    clips, trained = latents_of(piano.model, piano.train), DiscreteBetas.linear(1000, 1e-4, 0.02)
    betas = [1e-4, *torch.linspace(8e-3, 0.32, 49).tolist()]
    right = Subject(aligned_model(betas, trained), clips, RATE, num_steps=50)
    sick = replace(right, model=aligned_model([1e-5, *betas[1:]], trained))
    found = caught("schedule", "sampling grid", sick, right)
    assert (found.figures["steps_asked"], found.figures["steps"]) == (50, 49)


def test_sigmoid_output(piano, caught):
    """A sigmoid on the output."""
    model = squashed(piano.fresh(), torch.nn.Sigmoid())
    sick = examine_learning(model, piano.train, seconds=1)  # learning by heart would take all
    found = caught("learning", "output range", sick, piano.known)
    assert "Sigmoid" in found.message and found.figures["share out of reach"] > 0.4


def test_batch_min_max(piano, caught, examined):
    """Batches scaled by their own lowest and highest sample."""
    right = replace(piano.subject, data=Given(piano.train.audio))
    sick = replace(right, collate=squash)
    caught("data", "batch-dependent preprocessing", sick, right)
    assert examined(sick, "data").finding("min-max scaling").verdict == "wrong"


def test_one_clip(piano, caught):
    """A data set of one clip."""
    sick = replace(piano.subject, data=Given(piano.train.audio[:1].expand(64, -1, -1)))
    found = caught("data", "distinct clips", sick, piano.known)
    assert found.figures["distinct clips"] == 1


def test_dead_channels(piano, caught):
    """5 of 8 latent channels are nothing but the prior."""
    clips = soft_clips(piano.train)
    sick = Subject(behind(ConvCode(dead=5), clips.audio), clips, RATE)
    right = Subject(behind(ConvCode(), clips.audio), clips, RATE)
    found = caught("space", "dead latent channels", sick, right)
    assert found.figures["dead_channels"] == found.figures["noise_only_channels"] == 5


def test_loss_low_by_more_steps(piano, caught):
    """A loss that is low by the steps of its schedule: suspicious only, for it is no worse."""
    few = eps_model(piano.fresh(), 50)
    before = measure_levels(few, piano.train, piano.held_back)
    sick = replace(piano.subject, model=eps_model(piano.fresh(), 1000), against=before)
    found = caught("losses", "comparison of losses", sick, piano.known, "suspicious")
    assert "only because of more steps (1000 in place of 50)" in found.message
    assert found.message.endswith("neither is better")


@pytest.mark.parametrize("group", CHECKS)
def test_nothing_is_wrong_with_healthy_models(healthy, examined, group):
    """Asked with all that a doctor can know of a run."""
    found = examined(healthy.known, group)
    assert [finding.text for finding in found.faults] == []
    assert not [note for note in found.notes if "could not be examined" in note]
    told = group != "conditioning" or healthy.train.labels.shape[1] > 0
    assert len(found.findings) >= (CHECKS[group] if told else 0)


def test_the_docs_quote_every_fault():
    faults = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    faults -= {"nothing_is_wrong_with_healthy_models", "the_docs_quote_every_fault"}
    assert faults == set(quoted_faults())
    assert len(faults) == len(quoted_faults()) == 21
