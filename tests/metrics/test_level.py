"""Levels of sounds whose level is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from audio_diffusion_pytorch.metrics import (
    LevelRatio,
    crest,
    dc_offset,
    peak_db,
    rms_db,
    silent_share,
)

TIME = torch.arange(16000, dtype=torch.float64) / 16000
SINE = torch.sin(2 * math.pi * 100 * TIME)
SQUARE = torch.where(SINE >= 0, 1.0, -1.0).double()


def test_sine_square_and_silence():
    clips = torch.stack([SINE, SQUARE, torch.zeros_like(SINE), 0.5 * SINE])[:, None]
    half = 20 * math.log10(0.5)
    root = 10 * math.log10(0.5)
    for found, expected in (
        (rms_db(clips), [root, 0, -200, root + half]),
        (peak_db(clips), [0, 0, -200, half]),
        (crest(clips), [-root, 0, 0, -root]),
    ):
        torch.testing.assert_close(found, torch.tensor(expected, dtype=found.dtype))


def test_rms_takes_all_channels_together():
    stereo = torch.stack([SINE, torch.zeros_like(SINE)])[None]
    assert float(rms_db(stereo)) == pytest.approx(20 * math.log10(0.5))


def test_offset_is_that_of_the_worst_channel():
    clips = torch.stack([torch.stack([SINE + 0.1, SINE - 0.25]), torch.stack([SINE, SINE])])
    torch.testing.assert_close(dc_offset(clips), torch.tensor([-0.25, 0], dtype=clips.dtype))
    torch.testing.assert_close(dc_offset(clips[:, 0]), torch.tensor([0.1, 0], dtype=clips.dtype))


def test_silent_share_counts_clips_under_the_threshold():
    clips = torch.stack([SINE, 1e-4 * SINE, torch.zeros_like(SINE), 0.1 * SINE])
    assert silent_share(clips) == 0.5
    assert silent_share(clips, threshold_db=-10) == 0.75


def test_level_ratio_is_the_gain_whatever_the_batches():
    real = torch.stack([SINE, 0.2 * SINE, 0.6 * SINE])[:, None]
    metric = LevelRatio()
    assert math.isnan(metric.compute())
    metric.update(2 * real, real[:1])
    metric.update(2 * real, real[1:])
    assert metric.compute() == pytest.approx(20 * math.log10(2))
    metric.reset()
    metric.update(torch.zeros_like(real), real)
    assert metric.compute() < -190


def test_levels_of_half_precision_are_computed_in_single():
    assert float(rms_db(torch.full((1, 70000), 0.25).bfloat16())) == pytest.approx(
        -12.0412, abs=1e-3
    )


def test_a_sound_without_samples_or_batch_is_refused():
    for audio in (torch.zeros(2, 0), torch.zeros(9)):
        with pytest.raises(ValueError, match="at least one sample"):
            rms_db(audio)
