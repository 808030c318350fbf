"""What models are compared with does exactly what it is known to do."""

from __future__ import annotations

import pytest
import torch

RATE = 16000


@pytest.fixture(scope="module")
def predict(import_example):
    return import_example("linear_prediction")


@pytest.fixture(scope="module")
def baselines(import_example):
    return import_example("baselines")


def sines(length, decay=0.0):
    """A sum of two sines, dying away by `decay` a sample."""
    t = torch.arange(length, dtype=torch.float64)
    return (torch.sin(0.1234 * t + 0.3) + 0.5 * torch.sin(0.777 * t)) * torch.exp(-decay * t)


class TestLinearPrediction:
    def test_a_sine_is_continued(self, predict):
        """To the accuracy of 16-bit audio, over a tenth of a second."""
        whole = sines(8000 + 1600)
        made = predict.go_on(whole[None, :8000], 1600, order=256)
        assert made.shape == (1, 1600)
        assert (made[0] - whole[8000:]).abs().max() < 1e-5

    def test_a_decay_goes_on_decaying(self, predict):
        whole = sines(4000 + 800, decay=1e-3)
        made = predict.go_on(whole[:4000], 800, order=256)
        assert (made - whole[4000:]).abs().max() < 0.02 * whole[4000:].abs().max()

    @pytest.mark.parametrize(
        "fill, error", [("fill_from_both_sides", 1e-5), ("fill_least_squares", 1e-3)]
    )
    def test_a_gap_in_sines_is_closed(self, predict, fill, error):
        whole = torch.stack([sines(8000), sines(8000).flip(0)])[None]
        spoilt = whole.clone()
        spoilt[..., 4000:4320] = 7.0  # what stands in the gap is not looked at
        made = getattr(predict, fill)(spoilt, 4000, 4320, order=128)
        assert (made - whole).abs().max() < error
        assert torch.equal(made[..., :4000], whole[..., :4000])
        assert torch.equal(made[..., 4320:], whole[..., 4320:])

    def test_a_gap_at_an_end_is_filled_from_the_other(self, predict):
        whole = sines(8000)[None]
        for start, end in ((0, 320), (7680, 8000)):
            spoilt = whole.clone()
            spoilt[..., start:end] = 0
            made = predict.fill_from_both_sides(spoilt, start, end, order=128)
            assert (made - whole).abs().max() < 1e-5

    def test_weights_of_an_autoregressive_process_are_found(self, predict):
        """x[n] = 1.6 x[n-1] - 0.8 x[n-2] + noise."""
        noise = torch.randn(20000, dtype=torch.float64, generator=torch.manual_seed(0))
        x = noise.clone()
        for n in range(2, len(x)):
            x[n] += 1.6 * x[n - 1] - 0.8 * x[n - 2]
        parts = [x[:9000], x[11000:]]
        assert predict.prediction_weights(parts, 2).tolist() == pytest.approx([1.6, -0.8], abs=0.02)

    @pytest.mark.parametrize("kind", ["noise", "growing", "click", "silence"])
    def test_what_goes_on_never_explodes(self, predict, kind):
        t = torch.arange(2000.0)
        sound = {
            "noise": torch.randn(2000, generator=torch.manual_seed(1)),
            "growing": torch.sin(0.3 * t) * torch.exp(t / 400),
            "click": torch.eye(2000)[1990],
            "silence": torch.zeros(2000),
        }[kind]
        weights = predict.prediction_weights([sound], 64)
        companion = torch.zeros(64, 64, dtype=torch.float64)
        companion[0], companion[1:, :-1] = weights, torch.eye(63)
        assert torch.linalg.eigvals(companion).abs().max() < 1 + 1e-9
        assert predict.go_on(sound, 4000, 64).abs().max() < 3 * sound.abs().max() + 1e-9

    def test_short_sounds_have_a_lower_order(self, predict):
        assert predict.go_on(torch.ones(1, 4), 3).shape == (1, 3)
        assert torch.equal(predict.go_on(torch.ones(1, 1), 3), torch.zeros(1, 3))
        filled = predict.fill_least_squares(torch.ones(1, 1, 9), 4, 6)
        assert torch.isfinite(filled).all()
        with pytest.raises(ValueError, match=r"order must be 1\.\.3 for so short a sound, got 4"):
            predict.prediction_weights([torch.ones(4)], 4)

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 20])
    def test_the_banded_system_is_solved(self, predict, size):
        matching = torch.tensor([3.0, -1.0, 0.5, 0.2], dtype=torch.float64)
        i = torch.arange(size)
        distance = (i[:, None] - i).abs()
        matrix = torch.where(distance < 4, matching[distance.clamp(max=3)], 0.0)
        right = torch.randn(size, dtype=torch.float64, generator=torch.manual_seed(size))
        found = predict.solve_banded(matching, right)
        assert torch.allclose(found, torch.linalg.solve(matrix, right), atol=1e-9)


class TestLinearCode:
    @pytest.fixture
    def clips(self):
        return torch.randn(3, 2, 512, generator=torch.manual_seed(0)).cumsum(-1) / 10

    def test_at_full_rate_nothing_is_lost(self, baselines, clips):
        code = baselines.LinearCode([clips], frame=16, values=32)
        assert code.encode(clips).shape == (3, 32, 32)
        assert torch.allclose(code(clips), clips, atol=1e-5)

    def test_more_values_lose_less_of_any_clip(self, baselines, clips):
        other = torch.randn(1, 2, 512, generator=torch.manual_seed(9)).cumsum(-1) / 10
        kept = [baselines.LinearCode([clips], 16, values)(other) for values in (1, 4, 16, 31)]
        errors = [float((audio - other).square().mean()) for audio in kept]
        assert errors == sorted(errors, reverse=True) and errors[-1] > 1e-9

    def test_what_is_lost_is_the_least_variance(self, baselines, clips):
        """The error of principal components is the sum of the eigenvalues left out."""
        code = baselines.LinearCode([clips[:2], clips[2:]], 16, 5)
        frames = code._frames(clips).flatten(0, 1)
        variances = torch.linalg.eigvalsh(torch.cov(frames.T, correction=0))
        error = (code(clips).double() - clips).square().sum() / len(frames)
        assert float(error) == pytest.approx(float(variances[:-5].sum()), rel=1e-4)

    def test_rates_that_cannot_be(self, baselines, clips):
        with pytest.raises(ValueError, match=r"a frame of 16 samples takes 1\.\.32 values, got 33"):
            baselines.LinearCode([clips], 16, 33)
        with pytest.raises(ValueError, match="needs clips"):
            baselines.LinearCode([], 16, 3)


def test_sinc_interpolation_of_what_the_low_rate_holds(baselines):
    t = torch.arange(4000, dtype=torch.float64) / RATE
    whole = torch.sin(2 * torch.pi * 440 * t)[None, None]
    made = baselines.sinc_interpolation(whole[..., ::4], 4)
    assert made.shape == whole.shape
    inside = slice(400, -400)  # beyond its ends the sound counts as silence
    assert (made - whole)[..., inside].abs().max() < 2e-3
