"""Grids: they fall, begin and end where they say, and give the levels that peers give."""

import copy
import pickle
from math import exp, inf, log

import pytest
import torch

from audio_diffusion_pytorch.diffusion.grids import (
    ExponentialSchedule,
    KarrasSchedule,
    LinearSchedule,
    ListSchedule,
    ShiftedSchedule,
)
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    DiscreteBetas,
    HalfCircle,
    Laplace,
    LinearBeta,
    Shifted,
    Sigmoid,
    StraightPath,
    VarianceExploding,
)

CPU = torch.device("cpu")
NOISE_SCHEDULES = {
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
    "shifted": Shifted(HalfCircle(), -3.0),
}
every_schedule = pytest.mark.parametrize(
    "schedule", NOISE_SCHEDULES.values(), ids=NOISE_SCHEDULES.keys()
)


def grids(schedule):
    return [
        LinearSchedule(),
        LinearSchedule(0.7, 0.1),
        KarrasSchedule(0.002, 10.0, noise_schedule=schedule),
        ExponentialSchedule(schedule),
        ShiftedSchedule(),
        ShiftedSchedule(3.0, schedule),
        ShiftedSchedule(0.3, schedule, LinearSchedule(0.9)),
        ListSchedule([1.0, 0.5, 0.2, 0.0], interpolate=True),
    ]


@every_schedule
@pytest.mark.parametrize("num_steps", [1, 2, 3, 50, 1001])
def test_grid_falls_strictly_in_float32(schedule, num_steps):
    for grid in grids(schedule):
        times = grid(num_steps, CPU)
        assert times.shape == (num_steps,) and times.dtype == torch.float32
        assert ((times >= 0) & (times <= 1)).all() and (times.diff() < 0).all(), grid


@every_schedule
def test_grids_over_levels_end_clean(schedule):
    for grid in grids(schedule)[2:6]:
        assert grid(2, CPU)[-1] == 0 and grid(1001, CPU)[-1] == 0
        assert torch.equal(grid(1, CPU), grid(30, CPU)[:1])  # one time is the start


@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_times_come_on_the_device_asked_for(device):
    for schedule in (HalfCircle(), DiscreteBetas.cosine()):
        for grid in [*grids(schedule), KarrasSchedule(0.01, 50.0)]:
            assert grid(5, torch.device(device)).device.type == device
            assert grid(5, device).device.type == device


def in_float64(grid, num_steps):
    """The times of a grid, unrounded."""
    torch.set_default_dtype(torch.float64)
    try:
        return grid(num_steps, CPU)
    finally:
        torch.set_default_dtype(torch.float32)


def test_karras_without_a_noise_schedule_is_that_of_release_0_0_96():
    """`KarrasSchedule(...)(num_steps, device)` of 0.0.96: n levels in float32, and a 0."""
    for grid, wanted in (
        (KarrasSchedule(0.01, 50.0), [
            49.9999885559082, 17.28887939453125, 4.941533088684082, 1.0739188194274902,
            0.15206389129161835, 0.009999996051192284, 0.0,
        ]),
        (KarrasSchedule(0.002, 80.0, 5.0), [80.0, 4.408065319061279, 0.001999996602535248, 0.0]),
    ):  # fmt: skip
        found = grid(len(wanted) - 1, CPU)
        torch.testing.assert_close(found, torch.tensor(wanted), rtol=5e-7, atol=0)
    torch.testing.assert_close(KarrasSchedule(0.01, 50.0)(1, CPU), torch.tensor([50.0, 0.0]))


# k-diffusion's `get_sigmas_karras(6, 0.01, 50.)` and `get_sigmas_exponential(6, 0.01, 50.)`,
# computed in float64 and without the 0 they append.
KARRAS = [50.0, 17.288881658, 4.941536483, 1.073919452, 0.152063971, 0.01]
EXPONENTIAL = [50.0, 9.102821015, 1.657227009, 0.301708817, 0.054928027, 0.01]


@pytest.mark.parametrize("name", ["half circle", "straight path", "linear", "exploding", "laplace"])
def test_levels_are_those_of_k_diffusion(name):
    schedule = NOISE_SCHEDULES[name]
    low, high = -2 * log(50.0), -2 * log(0.01)
    for grid, wanted in (
        (KarrasSchedule(0.01, 50.0, noise_schedule=schedule), KARRAS),
        (ExponentialSchedule(schedule, low, high), EXPONENTIAL),
    ):
        times = in_float64(grid, 7)
        assert times[-1] == 0
        sigmas = torch.exp(-schedule.log_snr(times[:-1]) / 2)
        torch.testing.assert_close(
            sigmas, torch.tensor(wanted, dtype=torch.float64), rtol=1e-6, atol=1e-9
        )


@every_schedule
def test_exponential_steps_are_even_in_log_snr(schedule):
    grid = ExponentialSchedule(schedule)
    levels = schedule.log_snr(in_float64(grid, 33)[:-1])
    torch.testing.assert_close(levels.diff(), levels.diff().mean().expand(31), rtol=1e-6, atol=0)
    assert levels[-1].item() == pytest.approx(10.0)
    noisiest = schedule.log_snr(torch.ones(1, dtype=torch.float64)).item()
    if noisiest > -10:
        assert levels[0].item() == pytest.approx(noisiest)  # all that the schedule has
    elif not isinstance(schedule, Laplace):
        assert levels[0].item() == pytest.approx(-10.0)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_shifted_grid_is_that_of_stable_diffusion_3(factor):
    time = torch.linspace(1, 0, 11)
    wanted = factor * time / (1 + (factor - 1) * time)
    for noise_schedule in (None, StraightPath()):
        found = ShiftedSchedule(factor, noise_schedule)(11, CPU)
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)


@every_schedule
@pytest.mark.parametrize("factor", [0.4, 3.0])
def test_shifted_grid_multiplies_the_ratio_and_keeps_the_ends(schedule, factor):
    moved = in_float64(ShiftedSchedule(factor, schedule), 41)
    plain = torch.linspace(1, 0, 41, dtype=torch.float64)
    assert moved[0] == 1 and moved[-1] == 0
    before, after = (torch.exp(-schedule.log_snr(t[1:-1]) / 2) for t in (plain, moved))
    end = torch.exp(-schedule.log_snr(torch.ones(1, dtype=torch.float64)) / 2)
    torch.testing.assert_close(
        after, factor * before / (1 + (factor - 1) * before / end), rtol=1e-9, atol=0
    )


def test_shifted_grid_gives_the_levels_of_a_shifted_schedule():
    """Walking a schedule on a shifted grid is walking the shifted schedule on the plain one."""
    times = in_float64(ShiftedSchedule(3.0, HalfCircle()), 21)[1:-1]
    plain = torch.linspace(1, 0, 21, dtype=torch.float64)[1:-1]
    shifted = Shifted(HalfCircle(), -2 * log(3.0))
    torch.testing.assert_close(HalfCircle().log_snr(times), shifted.log_snr(plain))


def test_list_gives_its_times_and_only_those():
    grid = ListSchedule([1.0, 0.4, 0.1, 0.0])
    torch.testing.assert_close(grid(4, CPU), torch.tensor([1.0, 0.4, 0.1, 0.0]))
    with pytest.raises(ValueError, match=r"holds 4 times, for 3 steps.* for 6 times \(5 steps\)"):
        grid(6, CPU)


def test_list_of_levels_means_the_same_in_sigmas_log_snrs_and_times():
    schedule = DiscreteBetas.linear()
    sigmas = [100.0, 3.0, 0.2, 0.0]
    times = schedule.time_at(-2 * torch.tensor(sigmas, dtype=torch.float64).log())
    log_snrs = [-2 * log(sigma) if sigma else inf for sigma in sigmas]
    for grid in (
        ListSchedule.from_sigmas(sigmas, schedule),
        ListSchedule.from_sigmas(torch.tensor(sigmas, dtype=torch.float64), schedule),
        ListSchedule.from_log_snrs(log_snrs, schedule),
        ListSchedule(times),
    ):
        torch.testing.assert_close(grid(4, CPU), times.float())


def test_interpolated_list_goes_along_the_line():
    grid = ListSchedule([1.0, 0.4, 0.0], interpolate=True)
    torch.testing.assert_close(grid(5, CPU), torch.tensor([1.0, 0.7, 0.4, 0.2, 0.0]))
    torch.testing.assert_close(grid(3, CPU), torch.tensor([1.0, 0.4, 0.0]))


@pytest.mark.parametrize("name", ["exploding", "scaled linear", "linear beta"])
def test_levels_beyond_the_trained_range_are_refused_and_named(name):
    schedule = NOISE_SCHEDULES[name]
    end = schedule.log_snr(torch.ones(1, dtype=torch.float64)).item()
    beyond = exp(-end / 2) * 1.01
    makers = [
        lambda: KarrasSchedule(0.01, beyond, noise_schedule=schedule),
        lambda: ExponentialSchedule(schedule, end - 0.02),
        lambda: ListSchedule.from_sigmas([beyond, 1.0, 0.0], schedule),
        lambda: ListSchedule.from_log_snrs([end - 0.02, 0.0, inf], schedule),
    ]
    for make in makers:
        with pytest.raises(ValueError, match=f"{beyond:.4g}.*leave these levels out") as error:
            make()
        assert f"below {end:.4g}" in str(error.value) and "\n" not in str(error.value)
    ends = exp(-end / 2)  # the noisiest level itself is in the range, whatever the rounding
    assert KarrasSchedule(0.01, ends, noise_schedule=schedule)(5, CPU)[0].item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearSchedule(0.0, 1.0), "0 <= end < start <= 1, got start=0.0 and end=1.0"),
        (lambda: LinearSchedule()(0), "at least 1 time, got num_steps=0"),
        (lambda: LinearSchedule()(-3), "got num_steps=-3"),
        (lambda: KarrasSchedule(0.1, 10.0)(0), "num_steps=0"),
        (lambda: KarrasSchedule(10.0, 0.1), "sigma_min=10.0, sigma_max=0.1"),
        (lambda: KarrasSchedule(0.1, 10.0, rho=0.0), "rho=0.0"),
        (lambda: ExponentialSchedule(HalfCircle(), 3.0, -3.0), "low=3 and high=-3"),
        (lambda: ExponentialSchedule(HalfCircle(), -inf), "finite low"),
        (lambda: ExponentialSchedule(HalfCircle())(0), "num_steps=0"),
        (lambda: ShiftedSchedule(0.0), "factor above 0, got 0.0"),
        (lambda: ShiftedSchedule()(0), "num_steps=0"),
        (lambda: ListSchedule([]), "at least one of its times"),
        (lambda: ListSchedule([1.0, float("nan")]), "at least one of its times"),
        (lambda: ListSchedule([1.0, 0.5, 0.5]), "got 0.5 and then 0.5 at place 3"),
        (lambda: ListSchedule([0.0, 1.0]), "fall from noise"),
        (lambda: ListSchedule([80.0, 0.0]), r"0\.\.1 .*got 0\.\.80"),
        (lambda: ListSchedule.from_sigmas([1.0, 2.0], HalfCircle()), "got 1 and then 2 at place 2"),
        (lambda: ListSchedule.from_sigmas([1.0, -2.0], HalfCircle()), "at least 0, got -2"),
        (lambda: ListSchedule.from_log_snrs([1.0, -2.0], HalfCircle()), "1 and then -2 at place 2"),
        (lambda: KarrasSchedule(1e-4, 1e9, 7.0, HalfCircle())(100), "round to 1; use fewer"),
    ],
)
def test_bad_arguments_are_named_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


def test_copies_give_the_same_times():
    for schedule in (HalfCircle(), DiscreteBetas.cosine()):
        for grid in grids(schedule):
            for twin in (copy.deepcopy(grid), pickle.loads(pickle.dumps(grid))):
                assert torch.equal(twin(9, CPU), grid(9, CPU))


def test_an_exponential_grid_says_that_the_schedule_begins_too_clean():
    """No `low` was given, so none is blamed."""
    with pytest.raises(ValueError, match=r"begins at a log-SNR of 27\.63, got high=10") as caught:
        ExponentialSchedule(VarianceExploding(1e-6))
    assert "low" not in str(caught.value)
    assert len(ExponentialSchedule(VarianceExploding(1e-6), high=30.0)(4, CPU)) == 4


@pytest.mark.parametrize("grid", [LinearSchedule(), ListSchedule([1.0, 0.5, 0.0])], ids=repr)
def test_a_number_of_times_that_is_not_whole_is_refused(grid):
    with pytest.raises(ValueError, match=r"num_steps must be a whole number, got 3\.0"):
        grid(3.0, CPU)
