"""Distances between spectra: zero, gain, symmetry, silence, and the order that ears expect."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch.metrics import (
    LogSpectralDistance,
    log_spectral_distance,
    log_spectral_distances,
    log_spectrogram,
    nearest_neighbour,
    spectral_convergence,
)


@pytest.fixture
def noise():
    return 0.1 * torch.randn(5, 2, 8000, generator=Generator().manual_seed(0))


def test_full_scale_sine_is_zero_decibels_and_silence_the_floor():
    time = torch.arange(16000) / 16000
    sine = torch.sin(2 * math.pi * 1000 * time)  # bin 64 of 1024
    levels = log_spectrogram(torch.stack([sine, torch.zeros_like(sine)]))
    inner = levels[0, 4:-4]
    torch.testing.assert_close(inner[:, 64], torch.zeros(len(inner)), rtol=0, atol=1e-3)
    assert (inner.argmax(-1) == 64).all()
    assert levels[0].min() == levels[1].min() == levels[1].max() == -80


def test_equal_sounds_have_no_distance(noise):
    assert log_spectral_distance(noise, noise).tolist() == [0] * 5
    assert spectral_convergence(noise, noise).tolist() == [0] * 5


@pytest.mark.parametrize("gain_db", [-12.0, 6.0])
def test_a_gain_is_its_own_distance(noise, gain_db):
    louder = noise * 10 ** (gain_db / 20)
    distance = log_spectral_distance(louder, noise, floor_db=-200)
    torch.testing.assert_close(distance, torch.full((5,), abs(gain_db)), rtol=1e-4, atol=0)
    error = spectral_convergence(louder, noise)
    torch.testing.assert_close(error, torch.full((5,), abs(10 ** (gain_db / 20) - 1)))


def test_distance_is_the_formula_written_out(noise):
    one, other = noise[:1, 0, :2048], noise[1:2, 0, :2048]
    size, hop = 256, 64
    window = torch.hann_window(size)
    frames = []
    for sound in (one, other):
        padded = torch.cat([torch.zeros(size // 2), sound[0], torch.zeros(size // 2)])
        starts = range(0, len(padded) - size + 1, hop)
        cut = torch.stack([padded[s : s + size] * window for s in starts])
        amplitude = 2 * torch.fft.rfft(cut).abs() / window.sum()
        frames.append(20 * amplitude.clamp(min=1e-4).log10())
    expected = ((frames[0] - frames[1]) ** 2).mean(1).sqrt().mean()
    found = log_spectral_distance(one, other, n_fft=size, hop=hop)
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=0)


def test_distance_is_symmetric_and_obeys_the_triangle(noise):
    mono = noise[:, 0]
    matrix = log_spectral_distances(mono, mono)
    torch.testing.assert_close(matrix, matrix.T)
    assert (matrix[:, None] <= matrix[:, :, None] + matrix[None] + 1e-4).all()


def test_what_lies_under_the_floor_is_silence(noise):
    silence = torch.zeros_like(noise)
    assert log_spectral_distance(noise * 1e-6, silence).max() == 0
    assert log_spectral_distance(noise, silence).isfinite().all()
    torch.testing.assert_close(spectral_convergence(silence, noise), torch.ones(5))


def test_matrix_holds_the_distances_of_pairs(noise):
    mono = noise[:, 0]
    matrix = log_spectral_distances(mono[:2], mono)
    for row in range(2):
        pairs = log_spectral_distance(mono[row].expand(5, -1), mono)
        torch.testing.assert_close(matrix[row], pairs, rtol=1e-4, atol=1e-4)


def test_nearest_neighbour_finds_the_copy(noise):
    corpus = noise[:, 0]
    query = corpus[[3, 0]] * torch.tensor([[1.0], [0.9]])
    distance, index = nearest_neighbour(query, corpus)
    assert index.tolist() == [3, 0]
    assert distance[0] == 0
    assert 0.5 < distance[1] < 1  # 0.9 is -0.92 dB


def test_real_notes_are_nearest_to_their_own_pitch(piano):
    audio = piano.audio[:, :16384]
    matrix = log_spectral_distances(audio, audio)
    matrix.fill_diagonal_(math.inf)
    nearest = matrix.argmin(1)
    assert (piano.notes[nearest] == piano.notes).double().mean() > 0.9
    same = piano.notes[:, None] == piano.notes
    fifth = (piano.notes[:, None] - piano.notes).abs() == 7
    assert matrix[same & matrix.isfinite()].mean() < 0.6 * matrix[fifth].mean()


def test_metric_is_the_mean_over_all_pairs(noise):
    reference = noise.flip(0)
    metric = LogSpectralDistance(n_fft=512, hop=128)
    assert math.isnan(metric.compute())
    metric.update(noise[:2], reference[:2])
    metric.update(noise[2:], reference[2:])
    expected = log_spectral_distance(noise, reference, n_fft=512, hop=128).mean()
    assert metric.compute() == pytest.approx(float(expected), rel=1e-5)
    metric.reset()
    metric.update(noise, noise)
    assert metric.compute() == 0


def test_shapes_that_do_not_fit_are_refused(noise):
    with pytest.raises(ValueError, match="one shape"):
        log_spectral_distance(noise, noise[..., :-1])
    with pytest.raises(ValueError, match="one shape"):
        spectral_convergence(noise[0, 0], noise[0, 0])
    with pytest.raises(ValueError, match="one length"):
        log_spectral_distances(noise[:, 0], noise[:, 0, :-1])
    with pytest.raises(ValueError, match="at least one sound"):
        nearest_neighbour(noise[:, 0], noise[:0, 0])
