"""The training loss against its closed form."""

import math

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.diffusion import (
    GaussianDiffusion,
    HalfCircle,
    Stratified,
    UniformDistribution,
    VDiffusion,
    VPrediction,
)


class Zero(nn.Module):
    """Predicts zero."""

    def forward(self, x, time):
        return torch.zeros_like(x)


class Recorder(nn.Module):
    """Predicts zero and keeps what it was asked."""

    def forward(self, x, time, **cond):
        self.asked = (x, time, cond)
        return torch.zeros_like(x)


class PerfectForGaussian(nn.Module):
    """The optimal velocity for unit-variance white data: E[v | x] = 0 at every level."""

    def forward(self, x, time):
        alpha, sigma = HalfCircle().alpha_sigma(time)
        clean = alpha[:, None, None] * x  # E[x0 | x] of N(0, 1) data
        noise = sigma[:, None, None] * x
        return alpha[:, None, None] * noise - sigma[:, None, None] * clean


def tones(items=8, length=512):
    """Sines of falling level, (items, 1, length)."""
    t = torch.arange(length) / length
    level = torch.linspace(1.0, 0.1, items)[:, None, None]
    return level * torch.sin(2 * math.pi * 13 * t)[None, None]


def test_zero_predictor_loss_is_noise_plus_signal_power():
    """E|alpha eps - sigma x0|^2 = alpha^2 + sigma^2 mean(x0^2), exactly with fixed draws."""
    x = tones()
    times = torch.linspace(0.05, 0.95, len(x))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    loss = VDiffusion(Zero())(x, times=times, noise=noise, reduction="none")
    alpha, sigma = torch.cos(times * math.pi / 2), torch.sin(times * math.pi / 2)
    target = alpha[:, None, None] * noise - sigma[:, None, None] * x
    torch.testing.assert_close(loss, target.square().mean((1, 2)))


def test_optimal_net_has_no_gain_on_white_data():
    """White Gaussian data cannot be denoised better in v than by zero: both losses are one."""
    x = torch.randn(64, 1, 2048, generator=torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(3)
    loss = VDiffusion(PerfectForGaussian())(x, generator=generator)
    assert loss.item() == pytest.approx(1.0, abs=0.01)


def test_mean_reduction_is_the_mean_of_the_items():
    x = tones()
    model = VDiffusion(Zero())
    items = model(x, generator=torch.Generator().manual_seed(4), reduction="none")
    mean = model(x, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(items.mean(), mean)


def test_masked_padding_has_no_effect():
    """The loss of a padded clip equals the loss of the clip alone."""
    x, model = tones(4, 300), VDiffusion(Zero())
    times = torch.full((4,), 0.4)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    padded = torch.cat([x, torch.full((4, 1, 100), 7.0)], dim=2)
    padded_noise = torch.cat([noise, torch.ones(4, 1, 100)], dim=2)
    mask = (torch.arange(400) < 300).expand(4, 1, 400)
    alone = model(x, times=times, noise=noise, reduction="none")
    masked = model(padded, mask, times=times, noise=padded_noise, reduction="none")
    torch.testing.assert_close(masked, alone)


def test_custom_loss_sees_velocities():
    x = tones()
    model = VDiffusion(Zero(), loss_fn=nn.functional.l1_loss)
    kept = {"times": torch.full((8,), 0.5), "noise": torch.ones_like(x)}
    target = (torch.ones_like(x) - x) * math.sqrt(0.5)
    torch.testing.assert_close(model(x, **kept), target.abs().mean())
    with pytest.raises(ValueError, match="mask"):
        model(x, torch.ones_like(x), **kept)


def test_weight_multiplies_by_level():
    x = tones()
    plain = GaussianDiffusion(Zero(), HalfCircle(), VPrediction())
    weighted = GaussianDiffusion(
        Zero(), HalfCircle(), VPrediction(), weight=lambda log_snr: torch.sigmoid(log_snr)
    )
    times = torch.linspace(0.1, 0.9, 8)
    kept = {"times": times, "noise": torch.ones_like(x), "reduction": "none"}
    # sigmoid(log alpha^2 / sigma^2) = alpha^2 on the unit circle
    expected = plain(x, **kept) * torch.cos(times * math.pi / 2).square()
    torch.testing.assert_close(weighted(x, **kept), expected)


def test_condition_and_noisy_input_reach_the_net():
    x, net = tones(), Recorder()
    VDiffusion(net)(x, times=torch.zeros(8), noise=torch.ones_like(x), labels="kept")
    seen, time, cond = net.asked
    torch.testing.assert_close(seen, x)  # time 0 is clean
    assert cond == {"labels": "kept"}
    assert time.tolist() == [0.0] * 8


def test_generator_decides_times_and_noise():
    x, model = tones(), VDiffusion(Zero())
    first = model(x, generator=torch.Generator().manual_seed(7))
    torch.rand(3)  # the global generator plays no part
    assert torch.equal(first, model(x, generator=torch.Generator().manual_seed(7)))
    assert not torch.equal(first, model(x, generator=torch.Generator().manual_seed(8)))


def test_upstream_style_distribution_without_generator_works():
    class Half:
        def __call__(self, num_samples, device):
            return torch.full((num_samples,), 0.5, device=device)

    net = Recorder()
    VDiffusion(net, sigma_distribution=Half())(tones())
    assert net.asked[1].tolist() == [0.5] * 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"noise": torch.zeros(1, 1, 4)}, "noise"),
        ({"times": torch.zeros(3)}, "times"),
    ],
)
def test_wrong_shapes_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        VDiffusion(Zero())(tones(), **arguments)


def test_empty_batch_and_wrong_net_output_are_named():
    with pytest.raises(ValueError, match="at least one"):
        VDiffusion(Zero())(torch.zeros(0, 1, 8))

    class Short(nn.Module):
        def forward(self, x, time):
            return x[..., :-1]

    with pytest.raises(ValueError, match="shape of its input"):
        VDiffusion(Short())(tones())


@pytest.mark.parametrize("sampler", [UniformDistribution(), Stratified()])
def test_times_are_uniform(sampler):
    """Kolmogorov-Smirnov distance of 4096 times to the uniform law, far below chance at 1e-6."""
    generator = torch.Generator().manual_seed(9)
    times = sampler(4096, torch.device("cpu"), generator).sort().values
    distance = (times - (torch.arange(4096) + 0.5) / 4096).abs().max()
    assert distance < 2.6 / 4096**0.5
    assert times[0] >= 0 and times[-1] <= 1


def test_stratified_times_fill_every_stratum_and_calm_the_loss():
    times = Stratified()(16, torch.device("cpu"))
    assert (times * 16).floor().sort().values.tolist() == list(range(16))

    def spread(sampler):
        means = [sampler(16, torch.device("cpu")).square().mean() for _ in range(400)]
        return torch.stack(means).var()

    assert spread(Stratified()) < 0.1 * spread(UniformDistribution())
