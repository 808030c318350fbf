"""What is measured of a sound, and what the checks make of it, in closed form."""

from __future__ import annotations

from math import asin, log10, pi, sqrt

import pytest
import torch
from torch import Tensor

from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    check_clipping,
    check_dc,
    check_finite,
    check_level,
    check_mono_twice,
    check_padding,
    check_peak,
    check_polarity,
    check_silence,
    flat_tops,
    measure_clips,
    measure_sound,
)
from audio_diffusion_pytorch.diagnostics.finding import graded

RATE = 8000


def sine(frequency: float = 440.0, seconds: float = 0.5, rate: int = RATE) -> Tensor:
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return torch.sin(2 * pi * frequency * time).float()[None]


def noise(channels: int = 1, seconds: float = 0.5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(channels, round(seconds * RATE), generator=generator)


def test_a_sine_has_the_level_of_a_sine():
    facts = measure_sound(0.5 * sine(), RATE, "a.wav@70")
    assert facts.rms == pytest.approx(0.5 / sqrt(2), rel=1e-3)
    assert facts.peak == pytest.approx(0.5, rel=1e-2)
    assert facts.rms_db == pytest.approx(20 * log10(0.5 / sqrt(2)), abs=0.01)
    assert facts.offset == pytest.approx(0, abs=1e-3)
    assert facts.file == "a.wav" and facts.seconds == 0.5
    assert torch.allclose(facts.levels, torch.tensor(facts.rms_db), atol=0.1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_any_dtype_is_measured(dtype: torch.dtype):
    facts = measure_sound(sine().to(dtype), RATE)
    assert facts.rms == pytest.approx(1 / sqrt(2), rel=1e-2)


def test_only_a_sound_with_samples_is_measured():
    for audio in (torch.zeros(1, 0), torch.zeros(8), torch.zeros(2, 1, 8)):
        with pytest.raises(ValueError, match=r"\(c, t\)"):
            measure_sound(audio, RATE)
    with pytest.raises(ValueError, match="collate"):
        measure_clips(torch.zeros(1, 8), RATE)
    for count in (1, 7):
        assert measure_sound(torch.ones(1, count), RATE).num_frames == count


def test_clips_keep_their_names():
    clips = Clip(noise(1)[None].expand(2, -1, -1), torch.empty(2, 0), ("a.wav@0", "b.wav@5"))
    assert [facts.file for facts in measure_clips(clips, RATE)] == ["a.wav", "b.wav"]
    assert len(measure_clips(clips.audio, RATE)) == 2


def test_level_tells_the_gain_to_use():
    quiet = check_level([measure_sound(0.001 * sine(), RATE)], normalized=False)
    assert quiet.verdict == "wrong"
    assert quiet.figures["gain to use in dB"] == pytest.approx(-18 + 63.01, abs=0.02)
    loud = check_level([measure_sound(1.4 * sine().sign(), RATE)])
    assert loud.verdict == "suspicious" and "down" in loud.remedy
    # What is turned as told is right.
    turned = 0.001 * quiet.figures["gain to use as a factor"] * sine()
    assert check_level([measure_sound(turned, RATE)]).verdict == "ok"


def test_a_gain_leaves_room_for_the_peak():
    click = torch.zeros(1, 4000)
    click[0, ::400] = 0.01
    gain = check_level([measure_sound(click, RATE)]).figures["gain to use in dB"]
    assert gain == pytest.approx(39, abs=0.01)  # a peak of -1 dBFS, not an rms of -18


def test_the_histogram_shows_each_sound_at_its_level():
    sounds = [measure_sound(gain * sine(), RATE) for gain in (1, 1, 10 ** (-30 / 20), 0)]
    places, counts = check_level(sounds).curves[0].lines["sounds"]
    shown = {place: count for place, count in zip(places, counts, strict=True) if count}
    assert shown == {-3: 2, -33: 1, -99: 1}


def test_a_normaliser_makes_quiet_data_suspicious_only():
    sounds = [measure_sound(0.001 * sine(), RATE)]
    verdicts = [check_level(sounds, normalized).verdict for normalized in (True, None, False)]
    assert verdicts == ["suspicious", "suspicious", "wrong"]


def test_clips_that_normalize_would_leave_alone_are_turned_up_by_hand():
    heard = check_level([measure_sound(0.005 * sine(), RATE)])
    unheard = check_level([measure_sound(0.0005 * sine(), RATE)])  # peak under -60 dBFS
    assert "data.normalize" in heard.remedy and "data.normalize" not in unheard.remedy


def test_peak_over_full_scale_and_integers_that_nobody_divided():
    assert check_peak([measure_sound(sine(), RATE)]).verdict == "ok"
    over = check_peak([measure_sound(1.5 * sine(), RATE), measure_sound(sine(), RATE)])
    assert over.verdict == "suspicious" and over.figures["sounds over full scale"] == 1
    integers = check_peak([measure_sound(20000 * sine(), RATE)])
    assert integers.verdict == "wrong" and "32768" in integers.remedy


@pytest.mark.parametrize("offset, verdict", [(0.01, "ok"), (0.1, "suspicious"), (-0.5, "wrong")])
def test_dc_is_judged_against_the_level(offset: float, verdict: str):
    found = check_dc([measure_sound(sine() + offset, RATE)])
    ratio = abs(offset) / sqrt(0.5 + offset**2)
    assert found.figures["offset over rms"] == pytest.approx(ratio, abs=1e-3)
    assert found.verdict == verdict


def test_offsets_of_either_sign_do_not_cancel():
    sounds = [measure_sound(sine() + offset, RATE) for offset in (0.5, -0.5)]
    assert check_dc(sounds).verdict == "wrong"


def test_an_offset_of_one_channel_is_half_of_it():
    one = measure_sound(torch.cat([sine() + 0.5, sine()]), RATE)
    assert one.offset == pytest.approx(0.5, abs=1e-3)
    assert one.offset_rms == pytest.approx(0.5 / sqrt(2), abs=1e-3)
    walk = measure_sound(torch.cat([torch.ones(1, 9), torch.zeros(1, 9)]), RATE)
    assert check_dc([walk]).figures["offset over rms"] == pytest.approx(1)  # never more


def test_silence_is_a_share_of_the_time():
    half = torch.cat([sine(), torch.zeros(1, 4000)], 1)
    found = check_silence([measure_sound(half, RATE)])
    assert found.figures["share of the time that is silent"] == pytest.approx(0.5)
    assert found.verdict == "suspicious"
    quiet = check_silence([measure_sound(1e-3 * sine(), RATE)])  # quiet all along is no silence
    assert quiet.figures["share of the time that is silent"] == 0
    assert check_silence([measure_sound(torch.zeros(1, 4000), RATE)]).verdict == "wrong"


def test_silent_sounds_are_named():
    sounds = [measure_sound(sine(seconds=2), RATE, f"{i}.wav") for i in range(8)]
    sounds += [measure_sound(torch.zeros(1, 4000), RATE, f"nothing{i}.wav") for i in range(2)]
    found = check_silence(sounds)
    assert found.verdict == "suspicious" and "nothing0.wav" in found.remedy


def test_samples_that_are_no_numbers_are_counted():
    broken = sine().clone()
    broken[0, 5], broken[0, 7] = torch.nan, torch.inf
    sounds = [measure_sound(broken, RATE, "broken.wav"), measure_sound(sine(), RATE)]
    found = check_finite(sounds)
    assert found.verdict == "wrong" and "broken.wav" in found.message
    assert found.figures["samples that are NaN or infinite"] == 2
    assert check_finite(sounds[1:]).verdict == "ok"
    assert sounds[0].rms == pytest.approx(1 / sqrt(2), rel=1e-2)  # the rest is still measured


@pytest.mark.parametrize("level", [1.0, 0.3])
def test_a_clipped_sine_has_flat_tops(level: float):
    # Of a sine of gain g, clipped at 1, the share 1 - 2/pi asin(1/g) lies on the tops.
    gain = 2.0
    clipped = (gain * sine(100.3)).clamp(-1, 1)
    found = flat_tops(level * (clipped * 32768).round() / 32768)
    assert found.share == pytest.approx(1 - 2 / pi * asin(1 / gain), abs=0.02)
    assert found.level == pytest.approx(level, rel=1e-3)
    assert found.runs == pytest.approx(100, abs=2)


def test_a_smooth_top_is_never_flat():
    for frequency in torch.logspace(1, 3.5, 60).tolist():
        for bits in (8, 16, 24):
            steps = 2 ** (bits - 1)
            wave = (0.9 * sine(frequency, rate=44100) * steps).round() / steps
            assert flat_tops(wave).runs == 0, (frequency, bits)


def test_square_waves_silence_and_noise_are_not_clipped():
    for audio in (sine(100.3).sign(), torch.zeros(1, 4000), torch.ones(1, 4000), noise()):
        assert flat_tops(audio).runs == 0


def test_clipping_below_full_scale_is_told():
    clipped = [measure_sound(0.3 * (2 * sine()).clamp(-1, 1), RATE, "cut.wav")] * 3
    found = check_clipping(clipped)
    assert found.verdict == "wrong" and "below full scale" in found.message
    assert "-10.5 dBFS" in found.message and "cut.wav" in found.remedy
    rare = check_clipping([*clipped[:1], *[measure_sound(sine(), RATE)] * 30])
    assert rare.verdict == "ok" and rare.figures["clipped sounds"] == 1


def test_padding_is_zeros_at_the_end():
    padded = torch.cat([torch.zeros(1, 500), noise(), torch.zeros(1, 1500)], 1)
    found = check_padding([measure_sound(padded, RATE)])
    assert found.figures["share of padding"] == pytest.approx(1500 / 6000)
    assert found.verdict == "suspicious"
    assert check_padding([measure_sound(torch.zeros(1, 99), RATE)]).verdict == "wrong"
    assert check_padding([measure_sound(noise(), RATE)]).verdict == "ok"


def test_mono_in_stereo_and_a_channel_upside_down():
    mono = noise()
    twice = measure_sound(mono.expand(2, -1), RATE)
    against = measure_sound(torch.cat([mono, -0.9 * mono]), RATE, "against.wav")
    wide = measure_sound(noise(2), RATE)
    assert twice.agreement == pytest.approx(1) and twice.apart < -150
    assert against.agreement == pytest.approx(-1)
    assert against.apart == pytest.approx(20 * log10(1.9 / 0.1), abs=0.01)
    assert wide.apart == pytest.approx(0, abs=0.3)
    assert check_mono_twice([twice, twice, wide]).verdict == "suspicious"
    assert check_mono_twice([twice, twice, wide], channels=1).verdict == "ok"
    assert check_polarity([against, wide]).verdict == "suspicious"
    mixed = check_polarity([against, wide], channels=1)
    assert mixed.verdict == "wrong" and "against.wav" in mixed.remedy
    for check in (check_mono_twice, check_polarity):
        assert check([wide]).verdict == "ok"
        assert check([measure_sound(mono, RATE)]).verdict == "ok"


def test_a_late_channel_is_not_upside_down():
    time = torch.arange(6000) / RATE
    # Half a period of it is 20 samples; a pure tone would be the same late and upside down.
    tone = torch.sin(2 * pi * 200 * time) + 0.5 * noise(seconds=0.75)[0]
    late = torch.stack([tone[20:5000], tone[:4980]])
    facts = measure_sound(late, RATE)
    assert facts.agreement < -0.95 and facts.shift == 20
    assert measure_sound(late.flip(0), RATE).shift == -20
    assert check_polarity([facts], channels=1).verdict == "ok"
    opposed = measure_sound(torch.stack([tone, -tone]), RATE)
    assert opposed.shift == 0 and check_polarity([opposed], channels=1).verdict == "wrong"
    assert measure_sound(torch.tensor([[1.0], [-1.0]]), RATE).shift == 0


def test_one_silent_channel_is_neither():
    facts = measure_sound(torch.cat([noise(), torch.zeros(1, 4000)]), RATE)
    assert facts.agreement is None and facts.apart is None


@pytest.mark.parametrize(
    "check",
    [check_finite, check_level, check_peak, check_dc, check_silence, check_clipping,
     check_padding, check_mono_twice, check_polarity],
)  # fmt: skip
def test_no_sounds_at_all_raise_nothing(check):
    assert check([]).figures


def test_grades():
    assert [graded(x, 0.1, 0.5) for x in (0.1, 0.2, 0.6)] == ["ok", "suspicious", "wrong"]
