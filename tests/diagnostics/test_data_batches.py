"""What becomes of clips on their way into the diffusion: batches, scale, and what is examined."""

from __future__ import annotations

from math import atan, pi

import pytest
import soundfile
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from audio_diffusion_pytorch.data import AudioFolder, Clip
from audio_diffusion_pytorch.diagnostics import (
    check_batch_dependence,
    check_distinct,
    check_input_scale,
    check_min_max,
    examine_data,
    measure_clips,
)
from audio_diffusion_pytorch.diagnostics.data_health.input_scale import useful_share
from audio_diffusion_pytorch.diffusion import (
    EDMPreconditioning,
    GaussianDiffusion,
    HalfCircle,
    InputScaled,
    VDiffusion,
    VPrediction,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def squashed(batch: Tensor, low: float = -1.0) -> Tensor:
    return (batch - batch.min()) / (batch.max() - batch.min()) * (1 - low) + low


class Net(nn.Module):
    """Stands for a network."""

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return x * time[:, None, None]


def test_min_max_by_batch_is_recognised():
    batch = noise(8, 1, 500)
    assert check_min_max([batch]).verdict == "ok"
    by_batch = check_min_max([squashed(batch), squashed(noise(8, 1, 500, seed=1))])
    assert by_batch.verdict == "wrong" and "every batch" in by_batch.message
    to_one = check_min_max([squashed(batch, 0.0)])
    assert to_one.verdict == "wrong" and "silence is no longer 0" in to_one.message
    by_clip = check_min_max([torch.stack([squashed(clip) for clip in batch])])
    assert by_clip.verdict == "suspicious" and "every clip" in by_clip.message


def test_peaks_of_one_and_clipped_clips_are_no_min_max():
    batch = noise(16, 1, 500)
    peaks = batch / batch.abs().amax(2, keepdim=True)
    clipped = (2 * batch).clamp(-1, 1)
    assert peaks.min() == -1 and peaks.max() == 1
    for other in (peaks, clipped, torch.zeros(8, 1, 9), peaks[:1], torch.zeros(0, 1, 9)):
        assert check_min_max([other]).verdict == "ok"
    assert check_min_max([]).verdict == "ok"


def test_one_batch_of_many_that_fills_the_range_is_chance():
    assert check_min_max([squashed(noise(8, 1, 500)), noise(8, 1, 500)]).verdict == "ok"


def test_an_item_alone_and_in_a_batch():
    batch = noise(6, 2, 100)
    assert check_batch_dependence(lambda x: 3 * x - 1, batch).verdict == "ok"
    # Twice the batch's deviation where an item has its own: what is found is how far they differ.
    found = check_batch_dependence(lambda x: x / x.std(), batch * torch.arange(1, 7)[:, None, None])
    assert found.verdict == "wrong" and found.figures["items that depend on the batch"] == 6
    assert check_batch_dependence(lambda x: x - x.mean(0), batch).verdict == "wrong"


def test_a_length_that_depends_on_the_batch_is_told():
    def pad(items: list[Tensor]) -> Tensor:
        return nn.utils.rnn.pad_sequence(items, batch_first=True)

    items = [torch.ones(3), torch.ones(5)]
    assert check_batch_dependence(pad, items).verdict == "wrong"
    assert check_batch_dependence(pad, [torch.ones(5), torch.ones(5)]).verdict == "ok"


def test_chance_is_no_dependence():
    noisy = check_batch_dependence(lambda x: x + 0.1 * torch.randn_like(x), noise(6, 1, 900))
    assert noisy.verdict == "ok" and "chance" in noisy.message


def test_batch_norm_is_caught_in_training_mode_and_left_as_it_was():
    module = nn.Sequential(nn.BatchNorm1d(2)).eval()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    before = torch.get_rng_state()
    assert check_batch_dependence(module, noise(6, 2, 100)).verdict == "wrong"
    assert check_batch_dependence(module.forward, noise(6, 2, 100)).verdict == "wrong"
    assert not module.training and not module[0].training
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert torch.equal(before, torch.get_rng_state())
    assert check_batch_dependence(nn.GroupNorm(1, 2), noise(6, 2, 100)).verdict == "ok"


@pytest.mark.parametrize("wrap", [list, tuple, lambda x: {"a": x}, lambda x: (["text"], x)])
def test_any_batch_that_holds_floats_is_understood(wrap):
    assert check_batch_dependence(lambda x: wrap([x[0] * 0 + x]), noise(4, 1, 9)).verdict == "ok"
    with pytest.raises(ValueError, match="floats"):
        check_batch_dependence(lambda x: wrap(["text"]), noise(4, 1, 9))


def test_one_item_cannot_be_compared():
    with pytest.raises(ValueError, match="at least 2"):
        check_batch_dependence(lambda x: x, noise(1, 1, 9))


@pytest.mark.parametrize("deviation", [1.0, 0.05, 0.01, 3.0])
def test_the_share_of_useful_levels_has_a_closed_form(deviation: float):
    # 20 dB: |20 log10(deviation / tan(pi t / 2))| < 20.
    exact = 2 / pi * (atan(10 * deviation) - atan(deviation / 10))
    assert useful_share(deviation) == pytest.approx(exact)
    drawn = useful_share(deviation, VDiffusion(Net()))
    assert drawn == pytest.approx(exact, abs=0.02)


def test_the_scale_to_use_makes_it_right():
    space = 0.005 * noise(8, 1, 2000)
    found = check_input_scale(space, VDiffusion(Net()), normalized=False)
    assert found.verdict == "wrong"
    scale = found.figures["input scale to use"]
    assert scale == pytest.approx(200, rel=0.02)
    assert check_input_scale(scale * space, VDiffusion(Net()), normalized=False).verdict == "ok"


def test_a_scaled_schedule_or_its_own_deviation_makes_quiet_data_right():
    space = 0.005 * noise(8, 1, 2000)
    scaled = GaussianDiffusion(Net(), InputScaled(HalfCircle(), 200.0), VPrediction())
    assert check_input_scale(space, scaled, normalized=False).verdict == "ok"
    edm = GaussianDiffusion(Net(), HalfCircle(), EDMPreconditioning(sigma_data=0.5))
    found = check_input_scale(0.5 * noise(8, 1, 2000), edm, normalized=False)
    assert found.figures["standard deviation assumed"] == 0.5
    assert found.figures["input scale to use"] == pytest.approx(1, rel=0.02)


def test_data_of_the_deviation_assumed_are_right_whatever_the_levels_drawn():
    wide = GaussianDiffusion(Net(), InputScaled(HalfCircle(), 200.0), VPrediction())
    for deviation in (0.55, 0.973, 1.9):  # 2 % of these levels are within 20 dB
        space = deviation * noise(8, 1, 4000)
        found = check_input_scale(space, wide, normalized=True)
        assert useful_share(deviation, wide) < 0.1
        assert found.verdict == "ok" and "right is 0.5 to 2 times that" in found.message
    assert check_input_scale(20 * space, wide, normalized=True).verdict == "wrong"


def test_music_at_its_usual_level_is_right_for_raw_samples():
    for deviation in (0.07, 0.2, 0.5):
        assert check_input_scale(deviation * noise(8, 1, 2000), normalized=False).verdict == "ok"


def test_too_loud_and_silent_data():
    assert check_input_scale(4 * noise(8, 1, 2000), normalized=False).verdict == "suspicious"
    assert check_input_scale(40 * noise(8, 1, 2000), normalized=False).verdict == "wrong"
    assert check_input_scale(torch.zeros(2, 1, 9)).verdict == "wrong"


def test_without_a_model_the_scale_is_a_suspicion():
    found = check_input_scale(1e-3 * noise(8, 1, 2000))
    assert found.verdict == "suspicious" and "unless a normaliser" in found.message


def test_distinct_clips_are_told_from_what_was_looked_at():
    clips = measure_clips(noise(20, 1, 4000), 8000)
    assert check_distinct(clips, 1000).figures["distinct clips"] == 1000
    half = check_distinct([*clips[:2], *clips[:2]], 4)
    assert half.verdict == "suspicious" and half.figures["distinct clips"] == 2
    # A few clips of an unknown number are not held against the data.
    assert check_distinct(clips[:4]).verdict == "ok"
    assert check_distinct(clips[:1] * 8).verdict == "wrong"
    assert check_distinct([]).verdict == "wrong"


def test_a_file_cut_into_a_few_clips_is_told_in_the_same_words(tmp_path):
    audio = noise(1, 10 * 8000)
    soundfile.write(tmp_path / "one.wav", 0.1 * audio[0].numpy(), 8000, subtype="FLOAT")
    data = AudioFolder(tmp_path, 8000, 16000)
    clips = default_collate([data[place] for place in range(len(data))])
    folder = examine_data(tmp_path, sample_rate=8000, length=16000)
    all_found = [folder, examine_data(data), examine_data(clips, sample_rate=8000)]
    said = [next(f for f in found if f.check == "distinct clips") for found in all_found]
    assert {finding.verdict for finding in said} == {"suspicious"}
    assert {finding.figures["distinct clips"] for finding in said} <= {4, 5}
    assert all("data.crop" not in finding.remedy for finding in said)
    # Many clips that cover each other are no more of them.
    places = [0, 2000, 4000, 9000, 17000, 30000, 31000]
    audio = torch.stack([0.1 * audio[:, place : place + 16000] for place in places])
    many = Clip(audio, torch.empty(7, 0), [f"one.wav@{place}" for place in places])
    assert (
        check_distinct(measure_clips(many, 8000), 7).figures["distinct clips"] == 3
    )  # 47000 / 16000
    start = check_distinct(measure_clips(clips, 8000), 5, random=False)
    one = check_distinct(measure_clips(clips, 8000)[:1], 1, random=False)
    assert one.verdict == "wrong" and "data.crop=random" in one.remedy
    assert "data.crop=random" in start.remedy


def test_clips_need_their_rate():
    clips = Clip(noise(2, 1, 100), torch.empty(2, 0), ("a", "b"))
    with pytest.raises(ValueError, match="sample_rate"):
        examine_data(clips)


def test_clips_with_nan_are_told_and_nothing_is_guessed_from_them():
    audio = noise(4, 1, 4000)
    audio[0, 0, 0] = torch.nan
    clips = Clip(audio, torch.empty(4, 0), tuple("abcd"))
    found = {finding.check: finding for finding in examine_data(clips, sample_rate=8000)}
    assert found["finite samples"].verdict == "wrong"
    assert "input scale" not in found


def test_silent_stereo_clips_in_half_precision_are_examined():
    clips = Clip(torch.zeros(3, 2, 4000).bfloat16(), torch.empty(3, 0), tuple("abc"))
    found = {finding.check: finding.verdict for finding in examine_data(clips, sample_rate=8000)}
    assert found["silence"] == found["input scale"] == "wrong"


def test_a_model_whose_normaliser_is_not_fitted_has_no_space_yet(piano):
    model = piano.fresh()
    model.normalizer.fitted.fill_(False)
    found = {finding.check for finding in examine_data(piano.train, model=model, sample_rate=8000)}
    assert "level" in found and "input scale" not in found
