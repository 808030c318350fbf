"""Parameterizations: round trips, published formulas, and one path whatever the net says."""

import copy
import pickle

import pytest
import torch

from audio_diffusion_pytorch.diffusion.closed_form import OVERLAPPING, GaussianMixture
from audio_diffusion_pytorch.diffusion.denoiser import denoise
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    DiscreteBetas,
    HalfCircle,
    InputScaled,
    Laplace,
    LinearBeta,
    Shifted,
    Sigmoid,
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
from audio_diffusion_pytorch.diffusion.sampler import sample
from audio_diffusion_pytorch.diffusion.solvers import Euler

SCHEDULES = {
    "half circle": HalfCircle(),
    "straight path": StraightPath(),
    "linear beta": LinearBeta(),
    "linear": DiscreteBetas.linear(),
    "scaled linear": DiscreteBetas.scaled_linear(),
    "cosine": DiscreteBetas.cosine(),
    "zero terminal": DiscreteBetas.linear().with_zero_terminal_snr(),
    "sigmoid": Sigmoid(),
    "laplace": Laplace(),
    "exploding": VarianceExploding(),
    "shifted line": Shifted(StraightPath(), -2.0),
    "scaled input": InputScaled(HalfCircle(), 0.5),
}
HEADS = [
    EpsilonPrediction(),
    CleanPrediction(),
    VPrediction(),
    FlowPrediction(),
    EDMPreconditioning(),
    EDMPreconditioning(sigma_data=1.0),
]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
every_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)


def signals(*shape):
    return torch.randn(2, *shape, dtype=torch.float64)


@every_head
@every_schedule
def test_round_trip_of_clean_signal_noise_and_answer(head, schedule):
    """The perfect answer gives back x0 and the noise, and they give back the answer, to 1e-12."""
    time = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)[:, None]
    alpha, sigma = schedule.alpha_sigma(time)
    clean, noise = signals(49, 20)
    x = alpha * clean + sigma * noise
    answer = head.target(clean, noise, alpha, sigma)
    c_skip, c_out, _, _ = head.coefficients(time, alpha, sigma)
    guess = c_skip * x + c_out * answer
    least = alpha.clamp(max=1.0)  # eps divides rounding errors by alpha, as it does any error
    assert ((guess - clean) * least).abs().max() <= 1e-12
    share = sigma.clamp(max=1.0)
    assert (((x - alpha * guess) / sigma - noise) * share).abs().max() <= 1e-12
    again = head.target(guess, (x - alpha * guess) / sigma, alpha, sigma)
    assert ((again - answer) * least * share).abs().max() <= 1e-12


@every_head
@every_schedule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_everything_is_finite_at_every_level(head, schedule, dtype):
    time = torch.linspace(0, 1, 1001, dtype=dtype)
    alpha, sigma = schedule.alpha_sigma(time)
    clean, noise = signals(1001).to(dtype)
    coefficients = head.coefficients(time, alpha, sigma)
    for values in (*coefficients, head.target(clean, noise, alpha, sigma)):
        assert values.isfinite().all() and values.shape == time.shape and values.dtype == dtype
    c_skip, c_out, _, _ = (values[0] for values in coefficients)
    guess = c_skip * clean[0] + c_out * head.target(clean, noise, alpha, sigma)[0]
    torch.testing.assert_close(guess, clean[0])  # time 0 is clean: so is the guess


@every_head
@every_schedule
def test_net_sees_unit_variance(head, schedule):
    """`c_in^2 (alpha^2 + sigma^2) = 1`; flow has 1 on the straight path, EDM its own deviation."""
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(time)
    c_in = head.coefficients(time, alpha, sigma)[2]
    if isinstance(head, FlowPrediction):
        torch.testing.assert_close(c_in * (alpha + sigma), torch.ones_like(time))
    else:
        std = getattr(head, "sigma_data", 1.0)
        size = (alpha**2 * std**2 + sigma**2).sqrt()
        torch.testing.assert_close(c_in * size, torch.ones_like(time))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_velocity_on_the_half_circle_is_bit_for_bit_that_of_upstream(dtype):
    time = torch.linspace(0, 1, 20001, dtype=dtype)
    alpha, sigma = HalfCircle().alpha_sigma(time)
    clean, noise = signals(20001).to(dtype)
    for found, wanted in zip(
        VPrediction().coefficients(time, alpha, sigma),
        (alpha, -sigma, torch.ones_like(time), time),
        strict=True,
    ):
        assert torch.equal(found, wanted)
    found = VPrediction().target(clean, noise, alpha, sigma)
    assert torch.equal(found, alpha * noise - sigma * clean)


def test_flow_on_the_straight_path_is_that_of_rectified_flow():
    time = torch.linspace(0, 1, 1001, dtype=torch.float64)
    coefficients = FlowPrediction().coefficients(time, *StraightPath().alpha_sigma(time))
    one = torch.ones_like(time)
    assert all(
        torch.equal(x, y) for x, y in zip(coefficients, (one, -time, one, time), strict=True)
    )


@pytest.mark.parametrize("std", [0.5, 1.0])
def test_edm_has_the_coefficients_of_its_paper(std):
    """Table 1, with an unscaled signal."""
    time = torch.linspace(0.05, 1, 96, dtype=torch.float64)
    _, s = VarianceExploding().alpha_sigma(time)
    found = EDMPreconditioning(std).coefficients(time, torch.ones_like(s), s)
    root = (s**2 + std**2).sqrt()
    wanted = (std**2 / (s**2 + std**2), s * std / root, 1 / root, (s.log() / 4).clamp(-5, 5))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)


def test_edm_does_not_depend_on_how_the_signal_is_scaled():
    """Its guess of x0 is a function of x / alpha and sigma / alpha alone."""
    ratio = torch.logspace(-2, 2, 41, dtype=torch.float64)
    alpha, sigma = HalfCircle().gains(-2 * ratio.log())
    head, one = EDMPreconditioning(), torch.ones_like(ratio)
    circle = head.coefficients(ratio, alpha, sigma)
    plain = head.coefficients(ratio, one, ratio)
    torch.testing.assert_close(circle[0] * alpha, plain[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(circle[1], plain[1], rtol=1e-10, atol=0)
    torch.testing.assert_close(circle[2] * alpha, plain[2], rtol=1e-10, atol=0)
    torch.testing.assert_close(circle[3], plain[3], rtol=1e-10, atol=1e-12)


def test_edm_on_the_circle_with_unit_data_is_the_negative_velocity():
    time = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    alpha, sigma = HalfCircle().alpha_sigma(time)
    clean, noise = signals(99)
    torch.testing.assert_close(
        EDMPreconditioning(1.0).target(clean, noise, alpha, sigma),
        -VPrediction().target(clean, noise, alpha, sigma),
    )


@every_schedule
def test_targets_of_v_and_edm_have_unit_variance(schedule):
    """For white data of deviation 1 and sigma_data: exactly, from the shares of x0 and noise."""
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(time)
    one, zero = torch.ones_like(time), torch.zeros_like(time)
    for head, std in ((VPrediction(), 1.0), (EDMPreconditioning(0.5), 0.5)):
        of_clean = head.target(one, zero, alpha, sigma) * std
        of_noise = head.target(zero, one, alpha, sigma)
        torch.testing.assert_close(of_clean**2 + of_noise**2, one)


def test_epsilon_knows_nothing_where_no_signal_is_left():
    alpha, sigma = torch.zeros(3), torch.ones(3)
    c_skip, c_out, _, _ = EpsilonPrediction().coefficients(torch.ones(3), alpha, sigma)
    assert not c_skip.any() and not c_out.any()


def perfect_net(head, mixture, schedule):
    """The net that says what `head` asks for, with all that can be known from x."""

    def net(scaled, c_noise):
        time = net.time
        alpha, sigma = (v[:, None, None] for v in schedule.alpha_sigma(time))
        x = scaled / head.coefficients(time[:, None, None], alpha, sigma)[2]
        clean = mixture.denoise(x, alpha, sigma)
        return head.target(clean, (x - alpha * clean) / sigma, alpha, sigma)

    def denoiser(x, time):
        net.time = time
        return denoise(net, schedule, head, x, time)

    return denoiser


@every_schedule
def test_same_path_whatever_the_net_says(schedule):
    """A mixture with a mean of 0.3, from time 0.98 where eps can still see a signal."""
    mixture = GaussianMixture((0.6, 0.4), (-0.3, 1.2), (0.5, 0.4))
    times = torch.linspace(0.98, 0, 17, dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(times[:1])
    x = sigma * torch.linspace(-2, 2, 21, dtype=torch.float64).reshape(1, 1, 21) + alpha * 0.3
    wanted = sample(mixture.denoiser(schedule), x, times, Euler(), schedule)
    for head in HEADS:
        made = sample(perfect_net(head, mixture, schedule), x, times, Euler(), schedule)
        assert (made - wanted).abs().max() <= 1e-10, head


@pytest.mark.parametrize("name", ["half circle", "zero terminal", "sigmoid", "straight path"])
def test_same_path_from_pure_noise_on_centred_data(name):
    schedule = SCHEDULES[name]
    times = torch.linspace(1, 0, 17, dtype=torch.float64)
    x = torch.linspace(-2, 2, 21, dtype=torch.float64).reshape(1, 1, 21)
    wanted = sample(OVERLAPPING.denoiser(schedule), x, times, Euler(), schedule)
    for head in HEADS:
        made = sample(perfect_net(head, OVERLAPPING, schedule), x, times, Euler(), schedule)
        assert (made - wanted).abs().max() <= 1e-10, head


@every_head
def test_copies_and_pickles_keep_the_settings(head):
    time = torch.linspace(0, 1, 11)
    levels = HalfCircle().alpha_sigma(time)
    for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        for x, y in zip(
            twin.coefficients(time, *levels), head.coefficients(time, *levels), strict=True
        ):
            assert torch.equal(x, y)


def test_bad_data_deviation_is_refused():
    with pytest.raises(ValueError, match=r"above 0, got 0\.0"):
        EDMPreconditioning(0.0)
