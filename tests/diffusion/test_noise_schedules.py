"""Noise schedules: their ends, inverses and formulas, and parity with what peers compute."""

import copy
import pickle
from math import exp, inf, log, pi

import pytest
import torch

from audio_diffusion_pytorch.diffusion.noise_schedules import (
    DiscreteBetas,
    HalfCircle,
    InputScaled,
    Interpolated,
    Laplace,
    LinearBeta,
    Shifted,
    Sigmoid,
    StraightPath,
    VarianceExploding,
)

FULL_RANGE = {
    "half circle": HalfCircle(),
    "straight path": StraightPath(),
    "zero terminal": DiscreteBetas.linear().with_zero_terminal_snr(),
    "two steps": DiscreteBetas([0.2, 1.0]),
    "sigmoid": Sigmoid(),
    "sigmoid, steep": Sigmoid(-3, 3, 0.1),
    "sigmoid, lopsided": Sigmoid(0, 3, 0.3),
    "laplace": Laplace(),
    "laplace, wide": Laplace(1.0, 2.0),
    "shifted circle": Shifted(HalfCircle(), -3.0),
    "shifted line": Shifted(StraightPath(), 2.0),
    "interpolated circle": Interpolated(HalfCircle(), Shifted(HalfCircle(), 2.0)),
    "noisier late": Interpolated(StraightPath(), Shifted(StraightPath(), -3.0)),
    "full range late": Interpolated(DiscreteBetas.linear(), HalfCircle()),
    "sigmoid, far": Sigmoid(1500, 1501),
}
SOME_SIGNAL_LEFT = {
    "linear beta": LinearBeta(),
    "constant beta": LinearBeta(5.0, 5.0),
    "linear": DiscreteBetas.linear(),
    "scaled linear": DiscreteBetas.scaled_linear(),
    "cosine": DiscreteBetas.cosine(),
    "fifty steps": DiscreteBetas.linear(50, 1e-4, 0.05),
    "one step": DiscreteBetas([0.5]),
    "exploding": VarianceExploding(),
    "noisier linear beta": Shifted(LinearBeta(), -2.0),
    "cleaner linear beta": Shifted(LinearBeta(), 2.0),
    "noisier exploding": Shifted(VarianceExploding(), -2.0),
    "scaled cosine": InputScaled(DiscreteBetas.cosine(), 0.3),
    "some signal late": Interpolated(Laplace(), LinearBeta()),
    "interpolated exploding": Interpolated(VarianceExploding(40.0), VarianceExploding(200.0)),
}
SCHEDULES = FULL_RANGE | SOME_SIGNAL_LEFT
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())

DENSE = torch.cat(
    [
        torch.zeros(1, dtype=torch.float64),
        torch.logspace(-14, -2.1, 60, dtype=torch.float64),
        torch.linspace(0.01, 0.99, 800, dtype=torch.float64),
        1 - torch.logspace(-2.1, -14, 60, dtype=torch.float64),
        torch.ones(1, dtype=torch.float64),
    ]
)


@every_schedule
def test_time_at_inverts_log_snr_up_to_the_ends(schedule):
    back = schedule.time_at(schedule.log_snr(DENSE))
    assert (back - DENSE).abs().max() <= 1e-10


@every_schedule
def test_log_snr_falls_and_is_that_of_alpha_and_sigma(schedule):
    log_snr = schedule.log_snr(DENSE)
    assert (log_snr.diff() < 0).all()
    alpha, sigma = schedule.alpha_sigma(DENSE)
    assert (alpha.diff() <= 0).all() and (sigma.diff() >= 0).all()
    inner = slice(1, -1)
    torch.testing.assert_close(
        2 * (alpha / sigma).log()[inner], log_snr[inner], rtol=1e-12, atol=1e-12
    )


@every_schedule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_time_zero_is_exactly_clean_and_nothing_is_nan(schedule, dtype):
    time = torch.linspace(0, 1, 1001, dtype=dtype)
    alpha, sigma = schedule.alpha_sigma(time)
    log_snr = schedule.log_snr(time)
    assert alpha[0] == 1 and sigma[0] == 0 and log_snr[0] == inf
    assert (log_snr.diff() < 0).all()
    assert (log_snr[1:-1].isfinite()).all()
    for values in (alpha, sigma, schedule.time_at(log_snr)):
        assert values.isfinite().all() and values.dtype == dtype
    torch.testing.assert_close(schedule.time_at(log_snr), time, rtol=0, atol=3e-7)


@every_schedule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_levels_beyond_the_ends_give_the_nearest_end(schedule, dtype):
    levels = torch.tensor([inf, 1e9, -1e9, -inf], dtype=dtype)
    assert schedule.time_at(levels).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_time_one_is_pure_noise_or_finite(name, dtype):
    one = torch.ones(1, dtype=dtype)
    alpha, sigma = SCHEDULES[name].alpha_sigma(one)
    log_snr = SCHEDULES[name].log_snr(one)
    if name in FULL_RANGE:
        assert (alpha.item(), sigma.item(), log_snr.item()) == (0, 1, -inf)
    else:
        assert alpha > 0 and log_snr.isfinite()


@every_schedule
def test_elementwise_in_any_shape(schedule):
    time = torch.linspace(0, 1, 12).reshape(2, 1, 6)
    together = (*schedule.alpha_sigma(time), schedule.log_snr(time), schedule.time_at(3 - 6 * time))
    alone = [
        torch.stack(values).reshape(2, 1, 6)
        for values in zip(
            *[
                (*schedule.alpha_sigma(t), schedule.log_snr(t), schedule.time_at(3 - 6 * t))
                for t in time.flatten()
            ],
            strict=True,
        )
    ]
    for values, single in zip(together, alone, strict=True):
        torch.testing.assert_close(values, single, rtol=1e-6, atol=1e-7)
    turned = time.permute(2, 0, 1)  # not contiguous
    assert torch.equal(schedule.time_at(turned), schedule.time_at(time).permute(2, 0, 1))


@every_schedule
@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_stays_on_the_device_of_the_times(schedule, device):
    time = torch.linspace(0, 1, 12, device=device).reshape(2, 1, 6)
    for values in (*schedule.alpha_sigma(time), schedule.log_snr(time), schedule.time_at(time)):
        assert values.device == time.device and values.shape == (2, 1, 6)


@every_schedule
def test_copies_mean_the_same(schedule):
    for twin in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert torch.equal(twin.log_snr(DENSE), schedule.log_snr(DENSE))
        assert repr(twin) == repr(schedule)


@every_schedule
def test_gains_are_the_levels_of_a_log_snr(schedule):
    time = torch.linspace(0.02, 0.98, 97, dtype=torch.float64)
    found = schedule.gains(schedule.log_snr(time))
    torch.testing.assert_close(found, schedule.alpha_sigma(time), rtol=1e-9, atol=1e-12)


def test_half_circle_keeps_its_values_and_is_exact_at_one():
    for dtype in (torch.float32, torch.float64):
        time = torch.linspace(0, 1, 10001, dtype=dtype)[:-1]
        alpha, sigma = HalfCircle().alpha_sigma(time)
        angle = time * (pi / 2)
        assert torch.equal(alpha, angle.cos()) and torch.equal(sigma, angle.sin())
        assert torch.equal(HalfCircle().log_snr(time), -2 * angle.tan().log())
        near = torch.nextafter(torch.ones(1, dtype=dtype), torch.zeros(1, dtype=dtype))
        assert HalfCircle().alpha_sigma(near)[0] > 0 and HalfCircle().log_snr(near).isfinite()


# alphas_cumprod of diffusers 0.42.1 after steps 1, 2, 10, 100, 500, 750, 900, 999 and 1000:
# `DDPMScheduler(1000, beta_schedule=..., beta_start=..., beta_end=...).alphas_cumprod`, and for
# the second of a pair `(1 - rescale_zero_terminal_snr(betas.double())).cumprod(0)`.
STEPS = torch.tensor([1, 2, 10, 100, 500, 750, 900, 999, 1000], dtype=torch.float64)
DIFFUSERS = {
    "linear": (
        DiscreteBetas.linear(),
        [0.999899983, 0.999780059, 0.998105168, 0.897017956, 0.078587234, 0.003350551,
         0.000275206, 4.1182e-05, 4.0358e-05],
        [0.9999, 0.999779325, 0.998093734, 0.896378308, 0.076028747, 0.002689522, 0.00010613,
         4e-09, 0.0],
    ),
    "scaled_linear": (
        DiscreteBetas.scaled_linear(),
        [0.999149978, 0.998296022, 0.991321087, 0.895462453, 0.27766943, 0.056623448,
         0.014298668, 0.004716696, 0.004660095],
        [0.99915, 0.998233446, 0.990748442, 0.888085898, 0.242359172, 0.033171487, 0.003033073,
         1.97e-07, 0.0],
    ),
    "squaredcos_cap_v2": (
        DiscreteBetas.cosine(),
        [0.999958694, 0.99991256, 0.999368668, 0.972092688, 0.493843466, 0.144272104,
         0.024091722, 2.429e-06, 2e-09],
        [0.999958716, 0.999912574, 0.999368689, 0.972091373, 0.493823001, 0.144248885,
         0.024078801, 2.278e-06, 0.0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFUSERS)
def test_betas_give_the_levels_of_diffusers(name):
    schedule, figures, rescaled = DIFFUSERS[name]
    for chain, wanted in ((schedule, figures), (schedule.with_zero_terminal_snr(), rescaled)):
        alpha, sigma = chain.alpha_sigma(STEPS / 1000)
        wanted = torch.tensor(wanted, dtype=torch.float64)
        torch.testing.assert_close(alpha**2, wanted, rtol=0, atol=1e-6)
        torch.testing.assert_close(sigma**2, 1 - wanted, rtol=0, atol=1e-6)
        index = STEPS.long() - 1
        torch.testing.assert_close(chain.alphas_cumprod[index], wanted, rtol=0, atol=1e-6)


def test_betas_are_the_product_at_every_step_and_an_even_turn_between():
    betas = torch.linspace(1e-4, 0.3, 37, dtype=torch.float64)
    schedule = DiscreteBetas(betas)
    time = torch.arange(38, dtype=torch.float64) / 37
    alpha, sigma = schedule.alpha_sigma(time)
    power = torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)])
    torch.testing.assert_close(alpha**2, power, rtol=1e-12, atol=0)
    angle = torch.atan2(sigma, alpha)
    between = schedule.alpha_sigma((time[1:] + time[:-1]) / 2)
    torch.testing.assert_close(torch.atan2(*between[::-1]), (angle[1:] + angle[:-1]) / 2)


def test_last_levels_of_betas_are_exact_in_float32():
    """A quarter turn rounds to 1e-7, hundreds of times the signal left by the cosine betas."""
    one = torch.ones(1)
    schedule = DiscreteBetas.cosine()
    alpha = schedule.alpha_sigma(one)[0].double()
    torch.testing.assert_close(alpha**2, schedule.alphas_cumprod[-1:], rtol=1e-6, atol=0)


def test_betas_from_float32_tensors_and_lists_agree():
    betas = [0.125, 0.25, 0.5]  # exact in float32
    time = torch.linspace(0, 1, 11)
    for other in (torch.tensor(betas), torch.tensor(betas, requires_grad=True), tuple(betas)):
        assert torch.equal(DiscreteBetas(other).log_snr(time), DiscreteBetas(betas).log_snr(time))


@pytest.mark.parametrize(("start", "end", "temperature"), [(-3, 3, 1.0), (0, 3, 0.3)])
def test_sigmoid_is_the_published_formula(start, end, temperature):
    """(v(1) - v(t)) / (v(1) - v(0)), the form in Jabri et al. and Chen, before any clipping."""
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    v = torch.sigmoid((start + (end - start) * time) / temperature)
    alpha, sigma = Sigmoid(start, end, temperature).alpha_sigma(time)
    torch.testing.assert_close(alpha**2, (v[-1] - v) / (v[-1] - v[0]), rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(sigma**2, 1 - alpha**2, rtol=1e-9, atol=1e-13)


def test_laplace_gives_log_snr_the_laplace_distribution():
    """The share of even times whose log-SNR is above L is the upper tail at L."""
    time = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    log_snr = Laplace(0.7, 1.3).log_snr(time)
    for level in (-4.0, 0.0, 0.7, 3.0):
        tail = 0.5 * exp(-abs(level - 0.7) / 1.3)
        wanted = tail if level >= 0.7 else 1 - tail
        assert (log_snr > level).double().mean().item() == pytest.approx(wanted, abs=2e-5)
    assert (log_snr - 0.7).abs().mean().item() == pytest.approx(1.3, rel=1e-3)


def test_linear_beta_is_the_limit_of_many_betas():
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    fine = DiscreteBetas.linear(10_000, 0.1 / 10_000, 20.0 / 10_000)
    torch.testing.assert_close(
        LinearBeta().log_snr(time)[1:], fine.log_snr(time)[1:], rtol=0, atol=0.02
    )
    # k-diffusion's sigmas of the same SDE: sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1)
    alpha, sigma = LinearBeta().alpha_sigma(time)
    wanted = torch.sqrt(torch.exp(19.9 * time**2 / 2 + 0.1 * time) - 1)
    torch.testing.assert_close(sigma / alpha, wanted, rtol=1e-10, atol=1e-7)


def test_exploding_times_are_the_steps_of_karras():
    """rho-th roots of sigma fall in equal steps: eq. 5 with sigma_min = 0."""
    time = torch.linspace(1, 0, 9, dtype=torch.float64)
    alpha, sigma = VarianceExploding(80.0, 7.0).alpha_sigma(time)
    roots = sigma ** (1 / 7)
    torch.testing.assert_close(roots.diff(), roots.diff().mean().expand(8))
    assert sigma[0].item() == pytest.approx(80) and (alpha == 1).all()


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_shift_of_the_straight_path_is_that_of_stable_diffusion_3(factor):
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    alpha, sigma = Shifted(StraightPath(), -2 * log(factor)).alpha_sigma(time)
    wanted = factor * time / (1 + (factor - 1) * time)
    torch.testing.assert_close(sigma, wanted, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(alpha, 1 - wanted, rtol=1e-12, atol=1e-15)


def test_shift_of_the_half_circle_is_that_of_simple_diffusion():
    """logsnr = -2 log tan(pi t / 2) + 2 log(64 / d), alpha^2 = sigmoid(logsnr), d = 256."""
    time = torch.linspace(0, 1, 101, dtype=torch.float64)[1:-1]
    schedule = Shifted.for_length(HalfCircle(), 256 * 256, 64 * 64)
    log_snr = -2 * torch.log(torch.tan(pi * time / 2)) + 2 * log(64 / 256)
    alpha, sigma = schedule.alpha_sigma(time)
    torch.testing.assert_close(alpha, log_snr.sigmoid().sqrt())
    torch.testing.assert_close(sigma, (-log_snr).sigmoid().sqrt())


def test_shift_for_length_keeps_the_snr_of_the_mean_over_repeats():
    """Each value said 8 times: the mean of 8 has the noise power of one over 8."""
    time = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    short, long = StraightPath(), Shifted.for_length(StraightPath(), 8000, 1000)
    alpha, sigma = long.alpha_sigma(time)
    torch.testing.assert_close((alpha**2 / (sigma**2 / 8)).log(), short.log_snr(time))


def test_shift_of_an_exploding_schedule_scales_its_noise():
    time = torch.linspace(0, 1, 11, dtype=torch.float64)
    found = Shifted(VarianceExploding(80.0), -2 * log(3)).alpha_sigma(time)
    torch.testing.assert_close(found, VarianceExploding(240.0).alpha_sigma(time))


def test_shifts_add_up_and_a_zero_shift_changes_nothing():
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    for base in (HalfCircle(), StraightPath(), LinearBeta(), VarianceExploding()):
        twice = Shifted(Shifted(base, -1.5), 0.25)
        torch.testing.assert_close(
            twice.alpha_sigma(time), Shifted(base, -1.25).alpha_sigma(time), rtol=1e-12, atol=0
        )
        torch.testing.assert_close(
            Shifted(base, 0.0).alpha_sigma(time), base.alpha_sigma(time), rtol=1e-9, atol=1e-15
        )


def test_interpolated_half_circles_are_those_of_simple_diffusion():
    """Shift 32 to 256 at 512 pixels: `t logsnr_256 + (1 - t) logsnr_32`, as in the paper."""
    time = torch.linspace(0, 1, 101, dtype=torch.float64)[1:-1]
    ends = [Shifted.for_length(HalfCircle(), 512**2, size**2) for size in (32, 256)]
    cosine = -2 * torch.log(torch.tan(pi * time / 2))
    low, high = (cosine + 2 * log(size / 512) for size in (32, 256))
    wanted = torch.lerp(low, high, time)
    torch.testing.assert_close(Interpolated(*ends).log_snr(time), wanted, rtol=1e-12, atol=1e-12)
    alpha, sigma = Interpolated(*ends).alpha_sigma(time)
    torch.testing.assert_close(alpha, wanted.sigmoid().sqrt())
    torch.testing.assert_close(sigma, (-wanted).sigmoid().sqrt())


def test_a_schedule_interpolated_with_itself_is_itself():
    for schedule in SCHEDULES.values():
        twin = Interpolated(schedule, schedule)
        torch.testing.assert_close(twin.log_snr(DENSE), schedule.log_snr(DENSE))
        back = twin.time_at(schedule.log_snr(DENSE))
        torch.testing.assert_close(back, DENSE, rtol=0, atol=1e-10)


def test_the_time_of_a_level_is_found_to_its_last_digits_near_the_clean_end():
    """Not only to 1e-10 of the whole: half of what float64 holds of a time of 1e-12 too."""
    schedule = SCHEDULES["interpolated circle"]
    time = torch.logspace(-12, -2, 41, dtype=torch.float64)
    found = schedule.time_at(schedule.log_snr(time))
    torch.testing.assert_close(found, time, rtol=1e-12, atol=0)


def test_a_sigmoid_far_out_is_an_exponential():
    """Beyond float64's cosh, at 710: `1 - sigmoid(u)` is `exp(-u)` there."""
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    power = (torch.exp(-time) - exp(-1)) / (1 - exp(-1))
    for start, wanted in ((1500, power), (-1501, 1 - power.flip(0))):
        found = Sigmoid(start, start + 1).alpha_sigma(time)[0] ** 2
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_scaled_input_is_the_papers_state_over_its_deviation():
    """Chen 2023: (b alpha x0 + sigma noise) / std for unit-variance x0; clean again at time 0."""
    time, b = torch.linspace(0, 1, 101, dtype=torch.float64), 0.3
    alpha, sigma = HalfCircle().alpha_sigma(time)
    std = torch.sqrt(b**2 * alpha**2 + sigma**2)
    found = InputScaled(HalfCircle(), b).alpha_sigma(time)
    torch.testing.assert_close(found, (b * alpha / std, sigma / std), rtol=1e-12, atol=1e-15)
    shifted = Shifted(HalfCircle(), 2 * log(b)).alpha_sigma(time)
    assert all(torch.equal(x, y) for x, y in zip(found, shifted, strict=True))


class Foreign:
    """A schedule of a user, with the protocol's three calls only: `alpha = 2 (1 - t)`, `2 t`."""

    def alpha_sigma(self, time):
        return 2 * (1 - time), 2 * time

    def log_snr(self, time):
        return StraightPath().log_snr(time)

    def time_at(self, log_snr):
        return StraightPath().time_at(log_snr)


def test_a_users_schedule_can_be_shifted_along_its_own_curve():
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    alpha, sigma = Shifted(Foreign(), -2 * log(3)).alpha_sigma(time)
    wanted = 3 * time / (1 + 2 * time)
    torch.testing.assert_close(sigma, 2 * wanted, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(alpha, 2 * (1 - wanted), rtol=1e-12, atol=1e-15)


def test_gradients_reach_the_times():
    for schedule in SCHEDULES.values():
        time = torch.linspace(0.1, 0.9, 9, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(schedule.log_snr(time).sum(), time)
        assert (slope < 0).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearBeta(0.0, 20.0), "beta_min=0.0 and beta_max=20.0"),
        (lambda: LinearBeta(20.0, 0.1), "beta_min <= beta_max"),
        (lambda: DiscreteBetas([]), "at least one beta"),
        (lambda: DiscreteBetas([[0.1]]), r"shape \(1, 1\)"),
        (lambda: DiscreteBetas([0.1, 1.0, 0.1]), "the last may be 1"),
        (lambda: DiscreteBetas([0.1, float("nan")]), "betas must lie"),
        (lambda: DiscreteBetas([0.5, 1e-30]), "beta 2 of 2 does not change the level"),
        (lambda: DiscreteBetas.linear(0), "at least 1 step, got 0"),
        (lambda: DiscreteBetas.scaled_linear(10, -1.0), "start=-1.0"),
        (lambda: DiscreteBetas.cosine(10, max_beta=1.5), "max_beta=1.5"),
        (lambda: DiscreteBetas([0.5]).with_zero_terminal_snr(), "at least 2 steps"),
        (lambda: Sigmoid(3, -3), "start < end"),
        (lambda: Sigmoid(-3, 3, 0.001), "below 600"),
        (lambda: Laplace(scale=0.0), "scale above 0"),
        (lambda: VarianceExploding(-1.0), "sigma_max=-1.0"),
        (lambda: Shifted(HalfCircle(), inf), "finite shift"),
        (lambda: Shifted.for_length(HalfCircle(), 0, 10), "lengths above 0, got 0 and 10"),
        (lambda: InputScaled(HalfCircle(), 0.0), "scale above 0, got 0.0"),
        (lambda: Interpolated(HalfCircle(), Shifted(HalfCircle(), 20.0)), "rises at"),
        (lambda: Interpolated(VarianceExploding(), StraightPath()), "one curve"),
        (lambda: Interpolated(HalfCircle, HalfCircle()), r"say HalfCircle\(\) not HalfCircle"),
        (lambda: Interpolated(HalfCircle(), HalfCircle), "late must be an object"),
        (lambda: Shifted(HalfCircle, 1.0), "base must be an object"),
        (lambda: InputScaled(HalfCircle, 1.0), "base must be an object"),
    ],
)
def test_bad_arguments_are_named_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
