"""Floors of the loss against closed forms, against brute force, and against figures of users."""

import math

import pytest
import torch

from audio_diffusion_pytorch.diffusion.floors import (
    mean_absolute,
    power_spectrum,
    previous_shares,
    target_shares,
    wiener_loss,
    zero_loss,
)
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    DiscreteBetas,
    HalfCircle,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.parameterizations import (
    CleanPrediction,
    EDMPreconditioning,
    EpsilonPrediction,
    FlowPrediction,
    VPrediction,
)

HEADS = [
    EpsilonPrediction(), CleanPrediction(), VPrediction(), FlowPrediction(), EDMPreconditioning()
]  # fmt: skip
WHITE = torch.ones(1, dtype=torch.float64)
TIME = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)


def test_unit_white_data_on_the_circle():
    """eps: alpha^2, x0: sigma^2, v: 1 (nothing to be gained)."""
    alpha, sigma = HalfCircle().alpha_sigma(TIME)
    for head, wanted in (
        (EpsilonPrediction(), alpha**2),
        (CleanPrediction(), sigma**2),
        (VPrediction(), torch.ones_like(TIME)),
    ):
        shares = target_shares(head, alpha, sigma)
        torch.testing.assert_close(wiener_loss(shares, alpha, sigma, WHITE), wanted)
        torch.testing.assert_close(zero_loss(shares, WHITE), torch.ones_like(TIME))


@pytest.mark.parametrize("schedule", [HalfCircle(), StraightPath(), VarianceExploding()], ids=str)
@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_floor_is_that_of_the_regression_of_the_target_on_the_input(schedule, head):
    """Brute force: least squares over covariances, frequency by frequency."""
    spectrum = torch.tensor([3.0, 0.7, 0.01, 0.0], dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(TIME)
    clean, noise, fresh = target_shares(head, alpha, sigma)
    assert not fresh.any()
    wanted = torch.zeros_like(TIME)
    for power in spectrum:
        x_x = alpha**2 * power + sigma**2
        x_f = alpha * clean * power + sigma * noise
        f_f = clean**2 * power + noise**2
        wanted += (f_f - x_f**2 / x_x) / len(spectrum)
    found = wiener_loss((clean, noise, fresh), alpha, sigma, spectrum)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_knowing_more_never_costs(head):
    """Spectrum <= loudness <= zero, and the first two are one where the spectrum is flat."""
    alpha, sigma = StraightPath().alpha_sigma(TIME)
    shares = target_shares(head, alpha, sigma)
    spectrum = torch.logspace(1, -3, 50, dtype=torch.float64)
    loudness = spectrum.mean()[None]
    best, louder = (wiener_loss(shares, alpha, sigma, power) for power in (spectrum, loudness))
    assert (best < louder).all() and (louder <= zero_loss(shares, spectrum) + 1e-12).all()
    flat = torch.full((50,), 0.3, dtype=torch.float64)
    torch.testing.assert_close(
        wiener_loss(shares, alpha, sigma, flat), wiener_loss(shares, alpha, sigma, flat[:1])
    )


def chain(schedule, steps):
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha, sigma = schedule.alpha_sigma(time)
    return alpha[1:], sigma[1:], alpha[:-1], sigma[:-1]


def test_previous_state_of_unit_white_data_hides_just_beta():
    """All states have unit variance and correlation sqrt(1 - beta)."""
    schedule = DiscreteBetas.linear(100, 1e-4, 0.3)
    levels = chain(schedule, 100)
    floor = wiener_loss(previous_shares(*levels), *levels[:2], WHITE)
    torch.testing.assert_close(floor, schedule.betas, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(zero_loss(previous_shares(*levels), WHITE), torch.ones(100).double())


def test_previous_state_of_known_data_hides_the_posterior_variance():
    """With x0 known (here: zero) what is left is beta (1 - abar') / (1 - abar), DDPM's eq. 7."""
    schedule = DiscreteBetas.linear(100, 1e-4, 0.3)
    levels = chain(schedule, 100)
    floor = wiener_loss(previous_shares(*levels), *levels[:2], 0 * WHITE)
    kept = torch.cat([WHITE, schedule.alphas_cumprod])
    wanted = schedule.betas * (1 - kept[:-1]) / (1 - kept[1:])
    torch.testing.assert_close(floor, wanted, rtol=1e-9, atol=1e-12)


def test_previous_state_after_the_last_signal_is_gone():
    levels = chain(DiscreteBetas.linear(20).with_zero_terminal_snr(), 20)
    assert wiener_loss(previous_shares(*levels), *levels[:2], WHITE)[-1].item() == pytest.approx(1)


def test_shares_of_the_previous_state_are_those_of_a_simulated_chain():
    """One step of the chain, 400 000 draws: powers and correlations within 1 %."""
    generator = torch.Generator().manual_seed(0)
    alpha, sigma, less, little = (torch.tensor([v]) for v in (0.5, 0.9, 0.8, 0.6))
    clean, before, new = torch.randn(3, 400_000, generator=generator)
    previous = less * clean + little * before
    kept = alpha / less
    x = kept * previous + (sigma**2 - (kept * little) ** 2).sqrt() * new
    noise = (x - alpha * clean) / sigma
    shares = previous_shares(alpha, sigma, less, little)
    for share, part in zip(shares[:2], (clean, noise), strict=True):
        assert (previous * part).mean().item() == pytest.approx(share.item(), abs=0.01)
    rest = previous - shares.clean * clean - shares.noise * noise
    assert rest.square().mean().item() == pytest.approx(shares.fresh.item() ** 2, rel=0.01)
    assert (rest * x).mean().abs() < 0.01


def eps_floor(schedule, first=1, std=1.0):
    """(L1, MSE) of the best noise predictor for white data, over the steps from `first` on."""
    alpha, sigma, _, _ = (v[first - 1 :] for v in chain(schedule, len(schedule.betas)))
    errors = wiener_loss(
        target_shares(EpsilonPrediction(), alpha, sigma), alpha, sigma, std**2 * WHITE
    )
    return mean_absolute(errors).mean().item(), errors.mean().item()


@pytest.mark.parametrize(
    ("steps", "figure"), [(50, 0.651), (500, 0.279), (1000, 0.197), (2000, 0.139)]
)
def test_floor_of_a_users_loss_curve(steps, figure):
    """The plateaus of a user who trained on 1e-4..0.05 and took them for progress."""
    floor, _ = eps_floor(DiscreteBetas.linear(steps, 1e-4, 0.05), first=2)
    assert round(floor, 3) == figure


def test_more_floors_of_users():
    quiet = [eps_floor(DiscreteBetas.linear(1000, 1e-4, 0.05), std=std)[0] for std in (0.2, 0.25)]
    assert [round(value, 3) for value in quiet] == [0.083, 0.095]
    assert round(eps_floor(DiscreteBetas.linear(1000, 1e-5, 0.005), 2)[0], 3) == 0.559
    assert round(eps_floor(DiscreteBetas.linear(1000, 0.0015, 0.0195), 2)[0], 3) == 0.274
    assert round(eps_floor(DiscreteBetas.cosine(), std=0.2)[1], 3) == 0.160
    assert round(eps_floor(DiscreteBetas.linear(), std=0.2)[1], 3) == 0.081


def test_mean_absolute_of_a_gaussian():
    draws = torch.randn(400_000, generator=torch.Generator().manual_seed(1))
    wanted = mean_absolute(torch.tensor(9.0)).item()
    assert (3 * draws).abs().mean().item() == pytest.approx(wanted, rel=0.01)


def test_spectrum_holds_the_power_of_the_audio_at_its_frequencies():
    t = torch.arange(16384)
    tone = 0.5 * torch.sin(2 * math.pi * 40 / 256 * t)
    audio = torch.stack([tone, 2 * tone])[:, None]
    power = power_spectrum(audio, 256)
    assert power.shape == (256,) and power.mean().item() == pytest.approx(
        audio.square().mean().item()
    )
    near = torch.tensor([39, 40, 41, 215, 216, 217])  # both signs, as wide as the window
    assert power[near].sum() > 0.99 * power.sum()
    assert not power_spectrum(torch.zeros(1, 1, 1000), 256).any()


def test_white_noise_has_a_flat_spectrum():
    noise = torch.randn(16, 1, 16384, generator=torch.Generator().manual_seed(2))
    power = power_spectrum(noise, 64)
    assert (power - 1).abs().max() < 0.06
