"""The Frechet distance equals its closed forms, and orders sets of sounds as ears do."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import scipy.linalg
import torch
from torch import Generator

from audio_diffusion_pytorch import protocols
from audio_diffusion_pytorch.metrics import (
    FrechetDistance,
    Moments,
    SpectralEmbedding,
    feature_moments,
    frechet_distance,
    frechet_distance_without_bias,
    gaussian_frechet_distance,
)

RATE = 16000


def draw(*shape, seed=0):
    return torch.randn(shape, generator=Generator().manual_seed(seed), dtype=torch.float64)


def whitened(n, d, seed=0):
    """Features whose sample mean is 0 and sample covariance exactly the identity."""
    x = draw(n, d, seed=seed)
    left, _, right = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    return (left @ right) * math.sqrt(n - 1)


def test_axis_aligned_gaussians_have_their_closed_form():
    """`|m - m'|^2 + sum (s - s')^2`, whatever rotation both share."""
    d = 6
    rotation = torch.linalg.qr(draw(d, d)).Q
    one, other = torch.rand(2, d, dtype=torch.float64) + 0.1
    shift = draw(d, seed=1)
    real = whitened(50, d) * one @ rotation.T
    generated = (whitened(80, d, seed=2) * other + shift) @ rotation.T
    expected = float(shift.square().sum() + (one - other).square().sum())
    assert frechet_distance(real, generated) == pytest.approx(expected, rel=1e-10)


def test_any_gaussians_agree_with_the_matrix_square_root():
    covariances = [a @ a.T for a in draw(2, 7, 9)]
    moments = [Moments(m, c) for m, c in zip(draw(2, 7, seed=1), covariances, strict=True)]
    root = scipy.linalg.sqrtm((covariances[0] @ covariances[1]).numpy())
    expected = (moments[0].mean - moments[1].mean).square().sum() + sum(
        c.trace() for c in covariances
    )
    expected -= 2 * root.trace().real
    assert gaussian_frechet_distance(*moments) == pytest.approx(float(expected), rel=1e-9)
    assert gaussian_frechet_distance(*moments[::-1]) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(300, 5), (5, 40), (2, 3)])
def test_equal_sets_have_no_distance_also_without_full_rank(n, d):
    x = 100 * draw(n, d)
    x[:, 0] = 7.0  # a constant feature
    assert frechet_distance(x, x) < 1e-9
    assert frechet_distance(x, x.flip(0)) < 1e-9


def test_sets_without_full_rank_have_their_closed_form():
    """Two lines at a right angle: nothing is shared, so all the variance counts."""
    line = whitened(6, 1)
    real, generated = (
        torch.cat(c, 1) for c in ((3 * line, 0 * line), (0 * line, 4 * line))
    )  # fmt: skip
    assert frechet_distance(real, generated) == pytest.approx(9 + 16, rel=1e-12)
    assert frechet_distance(real, 2 * real) == pytest.approx(9, rel=1e-7)


def test_order_and_batches_do_not_matter():
    real, generated = 1e4 + draw(40, 5), 1e4 + 2 * draw(70, 5, seed=1)
    whole = frechet_distance(real, generated)
    shuffled = frechet_distance(real[torch.randperm(40)], generated[torch.randperm(70)])
    assert shuffled == pytest.approx(whole, rel=1e-9)
    metric = FrechetDistance()
    assert math.isnan(metric.compute())
    metric.update(generated[:1], real)
    assert math.isnan(metric.compute())  # one item has no covariance
    for some in generated[1:].split(13):
        metric.update(some, real[:0])
    assert metric.compute() == pytest.approx(whole, rel=1e-9)
    again = pickle.loads(pickle.dumps(copy.deepcopy(metric)))
    assert again.compute() == metric.compute()
    metric.reset()
    assert math.isnan(metric.compute())
    assert isinstance(metric, protocols.Metric)


@pytest.mark.parametrize("d", [4, 12])
def test_extrapolation_takes_the_bias_of_small_sets_away(d):
    """Both sets from one Gaussian: the true distance is 0; a mean over trials, as it is random."""
    plain, free = [], []
    for seed in range(8):
        real, generated = draw(120, d, seed=2 * seed), draw(120, d, seed=2 * seed + 1)
        plain.append(frechet_distance(real, generated))
        generator = Generator().manual_seed(seed)
        free.append(frechet_distance_without_bias(real, generated, generator=generator))
    expected = (d + d * d / 4) * 2 / 120
    assert sum(plain) / 8 == pytest.approx(expected, rel=0.35)
    assert abs(sum(free) / 8) < 0.35 * expected


def test_extrapolation_repeats_under_a_generator_and_keeps_a_true_distance():
    real, generated = draw(400, 3), 2 + draw(400, 3, seed=1)
    found = [
        frechet_distance_without_bias(real, generated, generator=Generator().manual_seed(5))
        for _ in range(2)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-9)  # BLAS does not repeat its last digit
    assert found[0] == pytest.approx(12, rel=0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: frechet_distance(draw(1, 3), draw(5, 3)), "at least 2 items, got 1"),
        (lambda: frechet_distance(draw(5, 3), draw(5, 4)), "got 3 and 4"),
        (lambda: frechet_distance(draw(5, 3, 2), draw(5, 3)), r"\(b, d\), got \(5, 3, 2\)"),
        (lambda: frechet_distance(draw(5, 3) / 0, draw(5, 3)), "finite"),
        (lambda: frechet_distance_without_bias(draw(5, 3), draw(9, 3)), "at least 8 items"),
        (lambda: SpectralEmbedding(0), "sample_rate >= 1"),
        (lambda: SpectralEmbedding(16000, low=9000.0), "low < sample_rate / 2"),
        (lambda: SpectralEmbedding(16000)(torch.zeros(2, 1, 0)), "at least one sample"),
        (lambda: SpectralEmbedding(16000)(torch.zeros(8)), "at least one sample"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_moments_are_mean_and_unbiased_covariance():
    x = draw(30, 4)
    moments = feature_moments(x.float())
    torch.testing.assert_close(moments.covariance, x.T.cov(), rtol=1e-5, atol=1e-6)
    assert moments.covariance.dtype == torch.float64


@pytest.mark.parametrize("shape", [(3, 1), (3, 2, 500), (2, 1, 40000)])
def test_embedding_takes_any_length(shape):
    features = SpectralEmbedding(RATE, bands=10)(0.1 * draw(*shape).float())
    assert features.shape == (shape[0], 30) and features.isfinite().all()


def test_embedding_says_the_level_of_a_sine_in_its_band():
    embedding = SpectralEmbedding(RATE, bands=8, low=100.0, high=8000.0)
    time = torch.arange(RATE) / RATE
    edges = embedding.edges()
    for band in range(8):
        centre = float(edges[band : band + 2].mean())
        sine = 0.5 * torch.sin(2 * math.pi * centre * time)
        means = embedding(sine[None])[0, :8] * math.sqrt(8)
        assert means.argmax() == band
        assert means[band].item() == pytest.approx(-6.02, abs=0.3)


def test_a_gain_of_g_db_is_at_distance_g_squared():
    embedding = SpectralEmbedding(RATE, high=8000.0)
    noise = 0.05 * torch.randn(40, 1, 4000, generator=Generator().manual_seed(0))
    real, louder = embedding(noise), embedding(2 * noise)
    assert frechet_distance(real, louder) == pytest.approx((20 * math.log10(2)) ** 2, rel=1e-3)


def test_silence_and_one_item_are_finite():
    silence = SpectralEmbedding(RATE)(torch.zeros(4, 1, 800))
    assert frechet_distance(silence, silence) == 0


def test_embedding_hardly_depends_on_the_sample_rate(piano):
    import torchaudio

    some = piano.audio[::6]
    faster = torchaudio.functional.resample(some, RATE, 44100)
    same = frechet_distance(SpectralEmbedding(RATE)(some), SpectralEmbedding(44100)(faster))
    halves = SpectralEmbedding(RATE)(piano.audio[1::6])
    assert same < 0.1 * frechet_distance(SpectralEmbedding(RATE)(some), halves)


def test_piano_notes_rank_by_noise(piano):
    """Other notes of the same piano are nearest; the distance grows as the SNR falls."""
    embedding = SpectralEmbedding(RATE)
    real, others = embedding(piano.audio[::2]), piano.audio[1::2]
    noise = torch.randn(others.shape, generator=Generator().manual_seed(0))
    noise = noise * others.square().mean(1, keepdim=True).sqrt()
    found = [
        frechet_distance(real, embedding(others + noise * 10 ** (-snr / 20)))
        for snr in (math.inf, 40, 30, 20, 10, 0)
    ]
    assert found == sorted(found) and found[1] > 1.5 * found[0] and found[-1] > 50 * found[0]


def test_piano_notes_rank_by_filter_and_move_with_pitch(piano):
    embedding = SpectralEmbedding(RATE)
    real, others = embedding(piano.audio[::2]), piano.audio[1::2]

    def muffled(cut):
        spectrum = torch.fft.rfft(others)
        frequency = torch.fft.rfftfreq(others.shape[-1], 1 / RATE)
        gain = (1 + (frequency / cut) ** 4) ** -0.5
        return torch.fft.irfft(spectrum * gain, others.shape[-1])

    filtered = [frechet_distance(real, embedding(muffled(cut))) for cut in (7e3, 4e3, 2e3, 1e3)]
    plain = frechet_distance(real, embedding(others))
    assert [plain, *filtered] == sorted([plain, *filtered]) and filtered[-1] > 5 * plain

    def shifted(ratio):
        size = 2 * round(others.shape[-1] / ratio / 2)
        return torch.nn.functional.interpolate(others[:, None], size, mode="linear")[:, 0]

    pitched = [frechet_distance(real, embedding(shifted(r))) for r in (1.06, 1.5, 2.0)]
    assert [plain, *pitched] == sorted([plain, *pitched])


def test_metric_embeds_sounds(piano):
    embedding = SpectralEmbedding(RATE, bands=8)
    real, generated = piano.audio[:20, None], piano.audio[20:50, None]
    metric = FrechetDistance(embedding)
    metric.update(generated, real)
    expected = frechet_distance(embedding(real), embedding(generated))
    assert metric.compute() == pytest.approx(expected, rel=1e-9)
