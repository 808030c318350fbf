"""How samples sound, in closed form: levels, spectra, variety, steps, solvers, seeds."""

from __future__ import annotations

from math import log10, pi

import pytest
import torch
from sampling_stand_ins import Each, exact_model, fresh_noise, sampling_of, white_clips
from torch import Generator, Tensor

from audio_diffusion_pytorch.diagnostics import (
    check_finite_samples,
    check_memorisation,
    check_repeatability,
    check_sample_clipping,
    check_sample_dc,
    check_sample_level,
    check_sample_silence,
    check_sample_spectrum,
    check_sample_variety,
    check_solver_sweep,
    check_step_sweep,
    examine_sampling,
    spectral_distance,
    worst,
)
from audio_diffusion_pytorch.diagnostics.trajectory.words import beside
from audio_diffusion_pytorch.diffusion.solvers import Ancestral, Euler, UniPC

RATE = 8000


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def notes(count: int, length: int = 4096, first: float = 0.0, channels: int = 1) -> Tensor:
    """Sines of rising pitch with an rms of 0.1."""
    time = torch.arange(length) / RATE
    pitch = 110 * 2 ** ((torch.arange(count) + first) / 6)
    sound = 0.1 * 2**0.5 * torch.sin(2 * pi * pitch[:, None] * time)
    return sound[:, None].repeat(1, channels, 1)


def test_the_level_is_held_against_the_data_in_decibels():
    data = 0.1 * drawn(64, 1, 512)
    same = check_sample_level(0.1 * drawn(32, 1, 512, seed=1), data)
    assert same.verdict == "ok" and abs(same.figures["difference, dB"]) < 0.2
    for gain, verdict in ((0.75, "ok"), (0.5, "suspicious"), (2.0, "suspicious"), (0.1, "wrong")):
        finding = check_sample_level(gain * data, data)
        assert finding.verdict == verdict
        assert finding.figures["difference, dB"] == pytest.approx(20 * log10(gain), abs=1e-4)
    # Equal levels leave nothing to chance, levels that vary by 10 dB do.
    assert finding.figures["allowed difference, dB"] == pytest.approx(3, abs=0.2)
    varied = data * 10 ** torch.linspace(-1, 0.5, 64)[:, None, None]
    assert check_sample_level(varied[:8], varied).figures["allowed difference, dB"] > 5


def test_only_what_applies_is_named_against_a_wrong_level():
    data = 0.1 * drawn(64, 1, 512)
    plain = check_sample_level(0.5 * data, data).remedy
    assert "train longer first" in plain
    assert "normalizer" not in plain and "guidance" not in plain
    both = check_sample_level(0.5 * data, data, scaled=True, guided=True).remedy
    assert "model.fit_normalizer" in both and "guidance" in both
    model = exact_model(0.1)
    quiet = white_clips(0.001, 64)
    labels = torch.arange(32)[:, None]
    for guidance, named in ((3.0, True), (1.0, False)):
        found = examine_sampling(
            model,
            lambda n, steps, generator, guidance=guidance: sampling_of(
                model, labels=labels[:n], guidance=guidance
            )(n, steps, generator),
            quiet, RATE, seconds=0.0,
        )  # fmt: skip
        level = next(f for f in found if f.check == "level of the samples")
        assert level.verdict == "wrong" and ("guidance" in level.remedy) is named
        assert "normalizer" not in level.remedy


def test_a_value_and_its_bound_never_look_equal():
    assert beside(15.02, 15.0) == ("15.02", "15.00")
    assert beside(15.2, 15.0) == ("15.2", "15.0")
    assert beside(-3.04, 3.0, sign=True) == ("-3.04", "3.00")
    assert beside(4.0, 3.0, sign=True) == ("+4.0", "3.0")
    data = 0.1 * drawn(64, 1, 512).sign()  # every sound has the same level: 3 dB are allowed
    said = check_sample_level(10 ** (3.03 / 20) * data, data)
    assert said.verdict == "suspicious" and "+3.03 dB (right is within 3.00 dB)" in said.message


def test_one_silent_sample_is_counted_but_does_not_decide_the_level():
    data = 0.1 * drawn(40, 1, 256)
    samples = data.clone()
    samples[0] = 0
    assert check_sample_level(samples, data).verdict == "ok"
    assert check_sample_silence(samples, data).figures["silent samples, share"] == 1 / 40
    assert check_sample_silence(samples, data).verdict == "ok"
    samples[:8] = 1e-4 * data[:8]
    assert check_sample_silence(samples, data).verdict == "suspicious"
    assert check_sample_silence(0 * samples, data).verdict == "wrong"
    assert check_sample_silence(data, 0 * data).verdict == "ok"  # silent data: nothing is quieter
    assert check_sample_level(data, 0 * data).verdict == "wrong"


def test_shares_beyond_full_scale():
    data = 0.1 * drawn(16, 1, 4096)
    assert check_sample_clipping(data, data).verdict == "ok"
    loud = check_sample_clipping(drawn(16, 1, 4096, seed=1), data)
    assert loud.verdict == "wrong"
    assert loud.figures["values at full scale or beyond, share"] == pytest.approx(0.317, abs=0.01)
    half = check_sample_clipping(0.5 * drawn(16, 1, 4096, seed=1), data)  # beyond two deviations
    assert half.figures["values at full scale or beyond, share"] == pytest.approx(0.0455, abs=0.003)
    assert half.verdict == "suspicious"
    assert check_sample_clipping(drawn(16, 1, 4096), drawn(16, 1, 4096, seed=2)).verdict == "ok"


def test_offsets_over_the_level():
    data = notes(16)
    assert check_sample_dc(data, data).verdict == "ok"
    finding = check_sample_dc(data + 0.02, data)
    assert finding.figures["offset over rms of the samples"] == pytest.approx(0.196, abs=0.01)
    assert finding.verdict == "suspicious"
    assert check_sample_dc(data + 0.1, data).verdict == "wrong"
    assert check_sample_dc(data + 0.1, data + 0.1).verdict == "ok"  # as the data has it
    assert check_sample_dc(0 * data, data).verdict == "ok"


def test_samples_that_are_no_numbers_are_counted():
    samples = drawn(5, 2, 8)
    assert check_finite_samples(samples).verdict == "ok"
    samples[1, 0, 3], samples[4, 1, 0] = float("nan"), float("inf")
    finding = check_finite_samples(samples)
    assert finding.verdict == "wrong" and finding.message.startswith("2 of 5 samples")


def test_variety_is_that_of_the_data_or_less():
    data = notes(24)
    assert check_sample_variety(notes(12, first=0.5), data).verdict == "ok"
    same = check_sample_variety(data[:1].repeat(8, 1, 1), data)
    assert same.verdict == "wrong" and same.figures["mean distance of samples, dB"] == 0
    one_of_nine = torch.cat([data[:1].repeat(8, 1, 1), data[12:13]])
    few = check_sample_variety(one_of_nine, data)
    assert few.verdict == "suspicious"
    one = check_sample_variety(data[:1].repeat(8, 1, 1), data[:1].repeat(4, 1, 1))
    assert one.verdict == "ok" and "one sound" in one.message
    assert check_sample_variety(notes(1), data).verdict == "wrong"  # a single sample has none
    stereo = torch.cat([data, -data], 1)  # cancels in a mix of both channels
    finding = check_sample_variety(stereo, stereo)
    assert finding.figures["share"] == pytest.approx(1) and finding.verdict == "ok"


def test_copies_of_training_clips_are_counted():
    train, unseen, new = notes(24), notes(12, first=0.4), notes(12, first=0.6)
    assert check_memorisation(new, train, unseen).verdict == "ok"
    copied = check_memorisation(train[::2], train, unseen)
    assert copied.verdict == "suspicious" and copied.figures["copies, share"] == 1
    some = check_memorisation(torch.cat([new, train[:2]]), train, unseen)
    assert some.verdict == "suspicious" and some.figures["copies, share"] == pytest.approx(2 / 14)
    # Without held-back clips each training clip stands beside all others.
    assert check_memorisation(train[::2], train).figures["copies, share"] == 1
    rough = new + 0.02 * drawn(12, 1, 4096)
    assert check_memorisation(rough, train).verdict == "ok"
    assert check_memorisation(train[:2], train[:1].repeat(3, 1, 1)).verdict == "ok"  # all equal
    assert check_memorisation(new, train[:1]).verdict == "ok"
    longer = check_memorisation(train[::2], torch.cat([train, train], -1), unseen)
    assert longer.figures["nearest sample, dB"] < 1e-3


def test_the_spectral_distance_of_a_gain_is_that_gain():
    data = 0.1 * drawn(32, 1, 4096)
    for decibels in (0.0, 6.0, -12.0):
        louder = data * 10 ** (decibels / 20)
        assert spectral_distance(louder, data, RATE) == pytest.approx(abs(decibels), abs=0.05)


def test_noise_in_place_of_sounds_is_far_off():
    data = notes(24)
    assert check_sample_spectrum(notes(24, first=0.5), data, RATE).verdict == "ok"
    noise = 0.1 * drawn(16, 1, 4096)
    assert check_sample_spectrum(noise, data, RATE).verdict == "wrong"
    assert check_sample_spectrum(noise, data, RATE, notes(12, first=0.3)).verdict == "wrong"
    assert check_sample_spectrum(noise, noise + 0, RATE).verdict == "ok"


def test_the_sweep_over_steps_knows_when_it_is_enough_too_few_and_worse():
    model, data = exact_model(), 0.1 * drawn(16, 1, 4096)

    def sweep(gain_at, **options):
        def sampling(num, steps, generator):
            return 0.1 * drawn(num, 1, 4096, seed=1) * gain_at(steps)

        return check_step_sweep(model, sampling, data, RATE, **options)

    fine = sweep(lambda steps: 1 if steps > 4 else 0.01, num_steps=30)
    assert fine.verdict == "ok" and fine.figures["steps that are enough"] == 8
    assert [sound.title for sound in fine.sounds] == [f"{n} steps" for n in (2, 8, 30, 200)]
    few = sweep(lambda steps: 1 if steps > 4 else 0.01, num_steps=4)
    assert few.verdict == "suspicious" and "sample.steps=8" in few.remedy
    worse = sweep(lambda steps: 2.0 ** (steps / 30), num_steps=30)
    assert worse.verdict == "wrong" and worse.message.startswith("more steps make it worse")
    broken = sweep(lambda steps: 1 if steps < 60 else float("nan"))
    assert broken.verdict == "wrong" and "60 steps" in broken.message


def test_the_sweep_over_steps_stops_in_time_and_says_so():
    ticks = []

    def sampling(num, steps, generator):
        ticks.append(steps)
        torch.randn(2_000_000)  # some milliseconds
        return notes(num)

    finding = check_step_sweep(exact_model(), sampling, notes(8), RATE, seconds=0.0)
    assert ticks == [2] and "stopped before 4 steps" in finding.message
    assert finding.verdict == "ok" and finding.figures["left out"].startswith("stopped before 4")


def test_solvers_rank_by_their_order_and_the_sampler_keeps_its_own():
    model = exact_model(0.3)
    own = model.sampler.solver
    finding = check_solver_sweep(model, sampling_of(model), num_steps=30)
    errors = finding.figures
    assert model.sampler.solver is own
    assert errors["UniPC at 32 calls, dB"] < errors["Euler at 32 calls, dB"] - 10
    assert errors["Euler at 32 calls, dB"] < errors["Euler at 8 calls, dB"] - 6
    assert finding.verdict == "ok" and "Euler as used, 30 steps" in finding.message
    # The first order leaves an error of half per doubling: 8 steps of Euler may be too rough.
    rough = check_solver_sweep(model, sampling_of(model), num_steps=2)
    assert rough.verdict == "suspicious" and "solver=" in rough.remedy


def test_the_best_solver_is_not_recommended_in_its_own_place():
    model = exact_model(0.3)
    model.sampler.solver = UniPC()
    rough = check_solver_sweep(model, sampling_of(model), num_steps=2)
    assert rough.verdict == "suspicious"
    assert rough.remedy == "take more sampling steps (sample.steps=32)"


def test_solvers_that_cannot_be_compared_are_left_out():
    model = exact_model()
    assert check_solver_sweep(model, sampling_of(model, solver=Euler())) is None  # fixed
    assert check_solver_sweep(model, sampling_of(model), seconds=0.0) is None
    plain = exact_model()
    del plain.sampler.solver
    assert check_solver_sweep(plain, sampling_of(plain)) is None
    random = exact_model(sampler_solver=Ancestral())
    finding = check_solver_sweep(random, sampling_of(random))
    assert "own error, dB" not in finding.figures and finding.verdict == "ok"


def test_a_seed_is_a_sound():
    model = exact_model()
    assert check_repeatability(model, sampling_of(model)).verdict == "ok"
    state = torch.get_rng_state()
    stochastic = exact_model(sampler_solver=Ancestral())
    drawn_here = check_repeatability(stochastic, sampling_of(stochastic))
    assert drawn_here.verdict == "ok"
    astray = check_repeatability(
        stochastic, sampling_of(stochastic, step_noise=fresh_noise())
    )  # noise that no generator rules
    assert astray.verdict == "suspicious" and "right is to the last bit" in astray.message
    deaf = check_repeatability(model, lambda n, s, g: notes(n))
    assert deaf.verdict == "wrong" and deaf.message.startswith("another seed gives the same")
    assert torch.equal(state, torch.get_rng_state())


def test_an_item_alone_is_compared_only_where_that_is_claimed():
    model = exact_model()

    def shared(num, steps, generator):
        return drawn(num, 1, 64, seed=int(generator.initial_seed()) * 100 + num)

    assert check_repeatability(model, shared).verdict == "ok"
    assert check_repeatability(model, shared, alone=True).verdict == "suspicious"

    def by_item(num, steps, generator):
        seed = int(generator.initial_seed())
        return torch.cat([drawn(1, 1, 64, seed=seed * 100 + place) for place in range(num)])

    assert check_repeatability(model, by_item, alone=True).verdict == "ok"


def test_examine_sampling_says_all_of_a_perfect_model_and_stops_at_no_numbers():
    model, clips = exact_model(0.1), white_clips(0.1, 48)
    findings = examine_sampling(model, sampling_of(model), clips, RATE, num_items=16)
    assert worst(findings) == "ok" and len(findings) == 15
    assert len({finding.check for finding in findings}) == 15
    broken = sampling_of(model, constraint=Each(lambda x: x * float("nan")))
    findings = examine_sampling(model, broken, clips, RATE, num_items=4)
    assert findings[-1].check == "finite samples" and findings[-1].verdict == "wrong"
