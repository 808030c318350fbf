"""Our solvers make the very steps of k-diffusion's samplers and diffusers' schedulers.

The figures are in `tests/golden/solvers_*.npz` (made by `tools/make_solver_golden.py`): whole paths
on the overlapping mixture, in variance-exploding coordinates. Where the peers mean something else,
a test here says what, and how much it changes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audio_diffusion_pytorch.diffusion import sample
from audio_diffusion_pytorch.diffusion.closed_form import OVERLAPPING
from audio_diffusion_pytorch.diffusion.grids import ExponentialSchedule, KarrasSchedule
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    DiscreteBetas,
    HalfCircle,
    LinearBeta,
    Shifted,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.solvers import (
    DEIS,
    DPM2,
    LMS,
    Ancestral,
    DPMpp2M,
    DPMpp2S,
    DPMpp3M,
    DPMppSDE,
    Euler,
    EulerAncestral,
    Heun,
    UniPC,
)

FOLDER = Path(__file__).resolve().parent.parent / "golden"


def load(name):
    with np.load(FOLDER / f"solvers_{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


K_DIFFUSION, DIFFUSERS, TABLES = load("k_diffusion"), load("diffusers"), load("schedules")
GRIDS = ["exponential", "karras", "exponential_zero", "karras_zero"]
SCHEDULES = {  # what the levels are called must not matter
    "exploding": VarianceExploding(),
    "circle": HalfCircle(),
    "straight": StraightPath(),
    "linear_beta": LinearBeta(),
}
EXACT, PLAIN = 1e-10, 1e-5
LOG10 = 2.302585092994046


class Recorded:
    """The recorded noise, a row at each call."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x, time, next_time):
        self.calls += 1
        return K_DIFFUSION["noise"][self.calls - 1].reshape(1, 1, -1)


def walk(solver, schedule, times, x):
    """Return the states at all times `(levels, points)`, in the schedule's own coordinates."""
    path = [x.reshape(1, 1, -1)]
    sample(
        OVERLAPPING.denoiser(schedule),
        path[0],
        times,
        solver,
        schedule,
        noise=Recorded(),
        callback=lambda state: path.append(state.x),
    )
    return torch.stack(path).flatten(1)


def path_of(solver, grid, schedule=SCHEDULES["circle"]):
    """Return the path in variance-exploding coordinates."""
    times = schedule.time_at(-2 * K_DIFFUSION[f"sigmas/{grid}"].log())
    alpha, _ = schedule.alpha_sigma(times)
    return walk(solver, schedule, times, alpha[0] * K_DIFFUSION["x"]) / alpha[:, None]


def furthest(a, b):
    return float((a - b).abs().max())


KD_SOLVERS = {
    "euler": Euler(),
    "heun": Heun(as_published=True),
    "dpm_2": DPM2(),
    "lms2": LMS(2),
    "lms3": LMS(3),
    "lms4": LMS(4),
    "dpmpp_2m": DPMpp2M(),
    "dpmpp_sde_eta0": DPMpp2S(),
    "dpmpp_2m_sde_midpoint_eta0": DPMpp2M("midpoint"),
    "dpmpp_2m_sde_heun_eta0": DPMpp2M("heun"),
    "dpmpp_3m_sde_eta0": DPMpp3M(as_published=True),
    **{
        f"{name}_eta{eta:g}": make(eta)
        for eta in (0.0, 0.5, 1.0)
        for name, make in {
            "euler_ancestral": lambda eta: EulerAncestral(eta=eta),
            "dpm_2_ancestral": lambda eta: DPM2(eta=eta),
            "dpmpp_2s_ancestral": lambda eta: DPMpp2S(eta=eta),
        }.items()
    },
    **{
        f"{name}_eta{eta:g}": make(eta)
        for eta in (0.5, 1.0)
        for name, make in {
            "dpmpp_2m_sde_midpoint": lambda eta: DPMppSDE(2, eta=eta),
            "dpmpp_2m_sde_heun": lambda eta: DPMppSDE(2, eta=eta, form="heun"),
            "dpmpp_3m_sde": lambda eta: DPMppSDE(3, eta=eta, as_published=True),
        }.items()
    },
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", KD_SOLVERS)
def test_steps_of_k_diffusion(name, schedule):
    for grid in GRIDS:
        theirs = K_DIFFUSION[f"{name}/{grid}"]
        ours = path_of(KD_SOLVERS[name], grid, SCHEDULES[schedule])
        if name.startswith("lms") and grid.endswith("zero"):
            theirs, ours = theirs[:-1], ours[:-1]  # see test_lms_ends_with_eulers_step
        assert furthest(ours, theirs) < EXACT, grid


def test_lms_ends_with_eulers_step():
    """Before a last 0 the peers keep the order; ours guesses the clean signal and is done."""
    for grid in ("exponential_zero", "karras_zero"):
        theirs = K_DIFFUSION[f"lms4/{grid}"][-1]
        ours = path_of(LMS(4), grid)[-1]
        assert 1e-2 < furthest(ours, theirs) < 2e-2  # 8 steps: both are that far off


def test_heun_by_a_line_in_lambda_is_nearer():
    """In 8 wide steps EDM's weight, which multiplies the change, errs twice as much."""
    times = SCHEDULES["circle"].time_at(-2 * K_DIFFUSION["sigmas/exponential"].log())
    assert furthest(path_of(Heun(), "exponential"), K_DIFFUSION["heun/exponential"]) > 0.05
    alpha, _ = SCHEDULES["circle"].alpha_sigma(times)
    start = (alpha[0] * K_DIFFUSION["x"]).reshape(1, 1, -1)
    exact = OVERLAPPING.flow(start, SCHEDULES["circle"], times[0], times[-1]).flatten() / alpha[-1]
    theirs = furthest(K_DIFFUSION["heun/exponential"][-1], exact)
    assert furthest(path_of(Heun(), "exponential")[-1], exact) < theirs / 2


DF_SOLVERS = {
    "dpm1_ode": Euler(),
    "dpm1_sde": EulerAncestral(),
    "dpm2_midpoint_ode": DPMpp2M("midpoint"),
    "dpm2_heun_ode": DPMpp2M("heun"),
    "dpm2_midpoint_sde": DPMppSDE(2),
    "dpm2_heun_sde": DPMppSDE(2, form="heun"),
    "edm1_ode": Euler(),
    "edm1_sde": EulerAncestral(),
    "edm2_midpoint_ode": DPMpp2M("midpoint"),
    "edm2_heun_ode": DPMpp2M("heun"),
    "edm2_midpoint_sde": DPMppSDE(2),
    "edm2_heun_sde": DPMppSDE(2, form="heun"),
    **{
        f"unipc{order}_{variant}_{word}": UniPC(order, word == "corrected", variant)
        for order in (1, 2, 3)
        for variant in ("bh1", "bh2")
        for word in ("corrected", "predictor")
    },
    **{f"deis{order}": DEIS(order) for order in (1, 2, 3)},
    "heun": Heun(as_published=True),
    "lms4": LMS(4),
}


@pytest.mark.parametrize("name", DF_SOLVERS)
def test_steps_of_diffusers(name):
    """Its formulas in float64 to 1e-10, and what it returns, float32 inside, to 1e-5."""
    for grid in GRIDS:
        if f"{name}/{grid}/path" not in DIFFUSERS:
            continue
        if (name == "lms4" or name == "unipc3_bh2_corrected") and grid.endswith("zero"):
            continue  # see test_lms_ends_with_eulers_step, test_unipc_before_a_last_zero
        ours = path_of(DF_SOLVERS[name], grid)
        assert furthest(ours, DIFFUSERS[f"{name}/{grid}/path"]) < EXACT, grid
        assert furthest(ours[-1], DIFFUSERS[f"{name}/{grid}/plain"]) < PLAIN, grid


def test_unipc_before_a_last_zero():
    """Diffusers counts the order down, 3, 2, 1; ours keeps 3 until the step to 0."""
    for grid in ("exponential_zero", "karras_zero"):
        theirs = DIFFUSERS[f"unipc3_bh2_corrected/{grid}/path"]
        ours = path_of(UniPC(3), grid)
        assert furthest(ours[:-2], theirs[:-2]) < EXACT
        assert 1e-2 < furthest(ours[-1], theirs[-1]) < 1e-1  # 8 steps: both are that far off


def test_published_third_order_of_diffusers():
    """The same halved second derivative as k-diffusion's, but its second step is the midpoint form.

    After it the two sit on different paths, 2e-3 apart at most.
    """
    for grid in GRIDS:
        theirs = DIFFUSERS[f"dpm3_ode/{grid}/path"]
        ours = path_of(DPMpp3M(as_published=True), grid)
        assert furthest(ours[:2], theirs[:2]) < EXACT
        assert furthest(path_of(DPMpp2M("midpoint"), grid)[:3], theirs[:3]) < EXACT
        assert 5e-4 < furthest(ours, theirs) < 5e-3
        if not grid.endswith("zero"):
            assert furthest(theirs, DIFFUSERS[f"edm3_ode/{grid}/path"]) < EXACT


def test_stochastic_third_order_of_diffusers():
    """Its second-derivative term has the wrong sign: paths differ by 0.2 and more.

    The factor must vanish with the step, and theirs tends to -1. On Gaussian data it leaves the
    deviation 2.9 % too large at 32 steps, k-diffusion's 0.1 %.
    """
    for grid in GRIDS:
        theirs = DIFFUSERS[f"dpm3_sde/{grid}/path"]
        ours = path_of(DPMppSDE(3, as_published=True), grid)
        assert furthest(ours[:2], theirs[:2]) < EXACT
        assert furthest(ours, theirs) > 0.2


def test_true_third_order_is_nearer():
    """What `as_published` gives away, by the exact map: at 64 steps 15 times the error."""
    schedule = SCHEDULES["circle"]
    times = schedule.time_at(2 * torch.linspace(-10, 10, 65, dtype=torch.float64).mul(LOG10 / 10))
    alpha, _ = schedule.alpha_sigma(times)
    start = alpha[0] * K_DIFFUSION["x"]
    exact = OVERLAPPING.flow(start.reshape(1, 1, -1), schedule, times[0], times[-1]).flatten()
    published = furthest(walk(DPMpp3M(as_published=True), schedule, times, start)[-1], exact)
    true = furthest(walk(DPMpp3M(), schedule, times, start)[-1], exact)
    assert published > 5e-5
    assert true < published / 10


LINEAR = DiscreteBetas.linear()
ZERO_SNR = DiscreteBetas.scaled_linear().with_zero_terminal_snr()
STRIDED = torch.linspace(1, 0, 9, dtype=torch.float64)  # every 125th of the 1000 steps, and clean


@pytest.mark.parametrize("schedule", [LINEAR, ZERO_SNR], ids=["ddim", "ddim_zero_snr"])
@pytest.mark.parametrize("eta", [0, 1])
def test_ddim_of_diffusers(schedule, eta):
    """Numbered steps, strided; with a zero terminal SNR the first step starts from pure noise."""
    name = f"{'ddim' if schedule is LINEAR else 'ddim_zero_snr'}/eta{eta}"
    ours = walk(Euler(eta=float(eta)), schedule, STRIDED, K_DIFFUSION["points"])
    assert furthest(ours, DIFFUSERS[f"{name}/path"]) < EXACT
    assert furthest(ours[-1], DIFFUSERS[f"{name}/plain"]) < PLAIN


def test_ddpm_of_diffusers():
    """Both variances; with the large one diffusers' strided walk leaves noise in the sample."""
    for variance in ("small", "large"):
        theirs = DIFFUSERS[f"ddpm/{variance}/path"]
        ours = walk(Ancestral(variance), LINEAR, STRIDED, K_DIFFUSION["points"])
        assert furthest(ours[:-1], theirs[:-1]) < EXACT
        if variance == "small":
            assert furthest(ours[-1], DIFFUSERS["ddpm/small/plain"]) < PLAIN
    _, sigma = LINEAR.alpha_sigma(STRIDED[-2])
    left = sigma * K_DIFFUSION["noise"][7]
    assert furthest(ours[-1] + left, theirs[-1]) < EXACT  # sigma is 0.4: it can be heard
    assert float(sigma) > 0.3


def test_flow_matching_euler_of_diffusers():
    """Its levels are our times on the straight path; its shift moves them as `Shifted` does."""
    for shift in (1.0, 3.0):
        path, times = (DIFFUSERS[f"flow/shift{shift:g}/{key}"] for key in ("path", "sigmas"))
        ours = walk(Euler(), StraightPath(), times, K_DIFFUSION["points"])
        assert furthest(ours, path) < EXACT
    shifted = Shifted(StraightPath(), -2 * torch.tensor(3.0).log().item())
    _, sigma = shifted.alpha_sigma(DIFFUSERS["flow/shift1/sigmas"])
    assert furthest(sigma, DIFFUSERS["flow/shift3/sigmas"]) < 1e-7  # their levels pass float32


def test_rounded_timesteps_of_diffusers():
    """It walks the levels asked for but tells the network whole numbers of the training table.

    A perfect denoiser told the wrong level ends 1e-3 away; ours is told the level it stands at.
    """
    sigmas = DIFFUSERS["rounded/sigmas"]
    schedule = HalfCircle()
    times = schedule.time_at(-2 * sigmas.log())
    ours = walk(DPMpp2M(), schedule, times, K_DIFFUSION["points"])[-1]
    assert furthest(ours, DIFFUSERS["rounded/true"]) < EXACT
    assert 5e-4 < furthest(ours, DIFFUSERS["rounded/rounded"]) < 5e-3


@pytest.mark.parametrize("zero", [False, True], ids=["plain", "zero_snr"])
@pytest.mark.parametrize(
    "name, schedule",
    [
        ("linear", DiscreteBetas.linear()),
        ("scaled_linear", DiscreteBetas.scaled_linear()),
        ("squaredcos_cap_v2", DiscreteBetas.cosine()),
    ],
)
def test_tables_of_diffusers(name, schedule, zero):
    """Power of the signal after steps 1, 10, 19, ..., 1000."""
    theirs = TABLES[f"alphas_cumprod/{name}{'_zero_snr' if zero else ''}"]
    schedule = schedule.with_zero_terminal_snr() if zero else schedule
    alpha, sigma = schedule.alpha_sigma(torch.arange(1, 1001, 9, dtype=torch.float64) / 1000)
    assert furthest(alpha**2, theirs) < 1e-12
    assert furthest(sigma**2, 1 - theirs) < 1e-12


def test_grids_of_the_peers():
    """Levels from 80 to 0.002, then 0: of k-diffusion in float64, of diffusers in float32."""
    schedule = SCHEDULES["circle"]
    low, high = (-2 * torch.tensor(sigma).log().item() for sigma in (80.0, 0.002))
    grids = {
        "karras": KarrasSchedule(0.002, 80.0, noise_schedule=schedule),
        "exponential": ExponentialSchedule(schedule, low, high),
    }
    for spacing, grid in grids.items():
        alpha, sigma = schedule.alpha_sigma(grid(9, torch.device("cpu")).double())
        for peer in ("k_diffusion", "diffusers"):
            theirs = TABLES[f"sigmas/{peer}/{spacing}"].double()
            assert ((sigma / alpha - theirs).abs() <= 1e-5 * theirs).all(), (peer, spacing)
    kept = KarrasSchedule(0.002, 80.0)(8, torch.device("cpu"))  # without one: levels, as in 0.0.x
    torch.testing.assert_close(kept, TABLES["sigmas/k_diffusion/karras"].float())
