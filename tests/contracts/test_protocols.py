"""Every public class that answers a protocol keeps what the protocol promises.

Classes are found by their methods. One that needs arguments takes a line in `ARGUMENTS`.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

import audio_diffusion_pytorch as adp
from audio_diffusion_pytorch import protocols
from audio_diffusion_pytorch.diffusion import (
    ClassifierFreeGuidance,
    Distribution,
    Euler,
    HalfCircle,
    Schedule,
    sample,
)
from audio_diffusion_pytorch.diffusion.guidance import BaseGuidance

KNOWN = torch.randn(2, 1, 30, generator=Generator().manual_seed(3))
MASK = torch.arange(30)[None, None] < 10


def denoise(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    """Guess a tenth of what is seen, moved by the label: no threshold is near."""
    del time
    return 0.1 * x + 0.01 * label[:, None, None].to(x)


# How to make those that cannot be made without arguments, by dotted name below the package.
ARGUMENTS: dict[str, Callable[[type], Any]] = {
    "autoencoders.companding.Companded": lambda cls: cls(adp.MDCT(8)),
    "autoencoders.stft.STFT": lambda cls: cls(8, 4, channels=2),
    "autoencoders.transforms.MDCT": lambda cls: cls(8, channels=2),
    "diffusion.constraints.continuation.Continuation": lambda cls: cls(KNOWN[..., :10], 30, 2),
    "diffusion.constraints.repaint.RePaint": lambda cls: cls(KNOWN, MASK, 2),
    "diffusion.constraints.replacement.Inpainting": lambda cls: cls(KNOWN, MASK),
    "diffusion.guidance.adaptive_projected.AdaptiveProjectedGuidance": lambda cls: cls(3.0),
    "diffusion.guidance.autoguidance.Autoguidance": lambda cls: cls(denoise, 2.0),
    "diffusion.guidance.cfg_plus_plus.CFGPlusPlus": lambda cls: cls(0.6),
    "diffusion.guidance.classifier_free.ClassifierFreeGuidance": lambda cls: cls(3.0),
    "diffusion.guidance.interval.Interval": lambda cls: cls(ClassifierFreeGuidance(3.0), 0.2, 0.8),
    "diffusion.guidance.rescale.Rescale": lambda cls: cls(ClassifierFreeGuidance(3.0)),
    "diffusion.noise.BrownianNoise": lambda cls: cls(HalfCircle(), range(3)),
    "diffusion.noise.GaussianNoise": lambda cls: cls(seeds=range(3)),
    "diffusion.thresholding.DynamicThreshold": lambda cls: cls(ClassifierFreeGuidance(3.0)),
    "diffusion.thresholding.StaticThreshold": lambda cls: cls(ClassifierFreeGuidance(3.0)),
    "diffusion.grids.even_levels.EvenLevels": lambda cls: cls(HalfCircle()),
    "diffusion.grids.explicit.ListSchedule": lambda cls: cls([1.0, 0.5, 0.0], interpolate=True),
    "diffusion.grids.exponential.ExponentialSchedule": lambda cls: cls(HalfCircle()),
    "diffusion.grids.karras.KarrasSchedule": lambda cls: cls(
        0.01, 80.0, noise_schedule=HalfCircle()
    ),
    "diffusion.noise_schedules.discrete_betas.DiscreteBetas": lambda cls: cls.linear(),
    "diffusion.noise_schedules.input_scaled.InputScaled": lambda cls: cls(HalfCircle(), 0.5),
    "diffusion.noise_schedules.interpolated.Interpolated": lambda cls: cls(
        HalfCircle(), adp.diffusion.Shifted(HalfCircle(), 2.0)
    ),
    "diffusion.noise_schedules.shifted.Shifted": lambda cls: cls(HalfCircle(), -1.0),
    "diffusion.times.bell.LogNormalDistribution": lambda cls: cls(noise_schedule=HalfCircle()),
    "diffusion.times.tangent.VKDistribution": lambda cls: cls(noise_schedule=HalfCircle()),
}


def public_classes() -> dict[str, type]:
    prefix = "audio_diffusion_pytorch."
    modules = [importlib.import_module(i.name) for i in pkgutil.walk_packages(adp.__path__, prefix)]
    return {
        f"{module.__name__}.{name}".removeprefix(prefix): cls
        for module in modules
        for name, cls in vars(module).items()
        if inspect.isclass(cls)
        and cls.__module__ == module.__name__
        and module is not protocols
        and not name.startswith("_")
    }


CLASSES = public_classes()


def answering(*methods: str) -> list[str]:
    """Return the names of the classes that have all these methods."""
    return [
        name
        for name, cls in CLASSES.items()
        if all(callable(getattr(cls, method, None)) for method in methods)
    ]


def below(base: type) -> list[str]:
    """Return the names of the classes derived from a base."""
    return [name for name, cls in CLASSES.items() if issubclass(cls, base) and cls is not base]


def made(name: str) -> Any:
    return ARGUMENTS.get(name, lambda cls: cls())(CLASSES[name])


NOISE_SCHEDULES = answering("alpha_sigma", "log_snr", "time_at")
PARAMETERIZATIONS = answering("coefficients", "target")
TIME_SAMPLERS = below(Distribution)
GRIDS = below(Schedule)
SOLVERS = [name for name in answering("step") if name.startswith("diffusion.solvers.")]
AUTOENCODERS = [name for name in answering("encode", "decode") if name.startswith("autoencoders.")]
GUIDANCES = below(BaseGuidance)
CONSTRAINTS = answering("plan", "apply")
LOSS_WEIGHTS = [name for name in CLASSES if name.startswith("diffusion.weights.")]
NOISE_SOURCES = [name for name in CLASSES if name.startswith("diffusion.noise.")]
KINDS = {
    "Guidance": GUIDANCES,
    "Constraint": CONSTRAINTS,
    "LossWeight": LOSS_WEIGHTS,
    "NoiseSource": NOISE_SOURCES,
    "NoiseSchedule": NOISE_SCHEDULES,
    "Parameterization": PARAMETERIZATIONS,
    "TimeSampler": TIME_SAMPLERS,
    "Grid": GRIDS,
    "Solver": SOLVERS,
    "Autoencoder": AUTOENCODERS,
}
SHAPES = [(6,), (2, 1, 3)]  # a time per item, and a time per position


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_found(kind):
    assert KINDS[kind], f"no class answers {kind} any more: the search above is wrong"


@pytest.mark.parametrize("name", sorted({name for names in KINDS.values() for name in names}))
def test_copies_and_pickles(name):
    part = made(name)
    for twin in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        assert type(twin) is type(part) and twin is not part


@pytest.mark.parametrize("name", NOISE_SCHEDULES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_noise_schedule(name, shape, dtype):
    schedule = made(name)
    time = torch.linspace(0.05, 0.95, 6, dtype=dtype).reshape(shape)
    alpha, sigma = schedule.alpha_sigma(time)
    log_snr = schedule.log_snr(time)
    for value in (alpha, sigma, log_snr):
        assert value.shape == shape and value.dtype == dtype
    torch.testing.assert_close(log_snr, 2 * (alpha / sigma).log(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(schedule.time_at(log_snr), time, rtol=1e-4, atol=1e-5)
    assert (log_snr.flatten().diff() < 0).all()


@pytest.mark.parametrize("name", PARAMETERIZATIONS)
@pytest.mark.parametrize("schedule_name", NOISE_SCHEDULES)
def test_a_perfect_answer_gives_the_clean_signal(name, schedule_name):
    part, schedule = made(name), made(schedule_name)
    clean, noise = torch.randn(2, 6, 1, 10, generator=seeded(), dtype=torch.float64)
    time = torch.linspace(0.05, 0.95, 6, dtype=torch.float64)[:, None, None]
    alpha, sigma = schedule.alpha_sigma(time)
    c_skip, c_out, _, _ = part.coefficients(time, alpha, sigma)
    answer = part.target(clean, noise, alpha, sigma)
    torch.testing.assert_close(c_skip * (alpha * clean + sigma * noise) + c_out * answer, clean)


@pytest.mark.parametrize("name", TIME_SAMPLERS)
def test_time_sampler(name):
    times = made(name)
    first = times(200, torch.device("cpu"), seeded())
    assert first.shape == (200,)
    assert ((first >= 0) & (first <= 1)).all()
    assert torch.equal(first, times(200, torch.device("cpu"), seeded()))
    assert not torch.equal(first, times(200, torch.device("cpu"), seeded(1)))
    state = torch.get_rng_state()
    times(3, torch.device("cpu"), seeded())
    assert torch.equal(state, torch.get_rng_state())  # a generator spares the global one


@pytest.mark.parametrize("name", GRIDS)
def test_grid_falls(name):
    grid = made(name)
    for num_steps in (1, 2, 50):
        times = grid(num_steps, torch.device("cpu"))
        assert times.shape == (num_steps,)
        assert times.isfinite().all()
        assert (times.diff() < 0).all()


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("num_steps", [1, 2, 20])
def test_solver_lands_on_the_only_sound_there_is(name, num_steps):
    """If the data are a single sound, every solver must end on it, in any number of steps."""
    sound = torch.randn(2, 1, 30, generator=seeded())
    noise = torch.randn(2, 1, 30, generator=seeded(1))
    times = torch.linspace(1, 0, num_steps + 1)
    fixed: Tensor = torch.randn(2, 1, 30, generator=seeded(2))
    result = sample(
        lambda x, time: sound, noise, times, made(name), HalfCircle(), noise=lambda *_: fixed
    )
    torch.testing.assert_close(result, sound, rtol=0, atol=1e-4)
    assert result.dtype == noise.dtype


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_order_is_declared(name):
    solver = made(name)
    assert solver.order is None or solver.order >= 1
    assert isinstance(solver, protocols.Solver)


@pytest.mark.parametrize("name", GUIDANCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_guidance_changes_nothing_where_the_condition_changes_nothing(name, dtype):
    """Whatever the kind: two equal guesses leave nothing to move away from."""
    label = torch.tensor([1.0, 2.0])
    noise = torch.randn(2, 1, 30, generator=seeded(1), dtype=dtype)
    plain, guided = (
        sample(denoiser, noise, torch.linspace(1, 0, 6), Euler(), HalfCircle())
        for denoiser in (
            lambda x, time: denoise(x, time, label=label),
            made(name)(denoise, {"label": label}, {"label": label}),
        )
    )
    assert guided.dtype == dtype
    torch.testing.assert_close(guided, plain)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraint_plans_a_walk_and_keeps_what_is_known(name):
    """The plan goes on from where it is, visits every time, ends at the last; the end is kept."""
    constraint, times = made(name), torch.linspace(1, 0, 6)
    assert isinstance(constraint, protocols.Constraint)
    plan = list(constraint.plan(times))
    assert plan[0][0] == 0 and plan[-1][1] == 5
    assert all(before[1] == after[0] for before, after in pairwise(plan))
    assert {there for _, there in plan} >= {1, 2, 3, 4, 5}
    noise = torch.randn(2, 1, 30, generator=seeded(1))
    result = sample(
        lambda x, time: 0.1 * x, noise, times, Euler(), HalfCircle(), constraint=constraint
    )
    assert torch.equal(result[..., :10], KNOWN[..., :10])
    assert not torch.equal(result[..., 10:], KNOWN[..., 10:])


@pytest.mark.parametrize("name", LOSS_WEIGHTS)
def test_loss_weight(name):
    """One finite loss for each, which rises with the error, up to infinite log-SNRs."""
    weight = made(name)
    log_snr = torch.tensor([-torch.inf, -8.0, 0.0, 8.0, torch.inf], dtype=torch.float64)
    c_out = -torch.sigmoid(-log_snr).sqrt()  # of a velocity
    losses = torch.linspace(0.5, 1.5, 5, dtype=torch.float64)
    weighted = weight(losses, log_snr, c_out)
    assert weighted.shape == (5,) and weighted.isfinite().all()
    assert (weight(losses + 1, log_snr, c_out) >= weighted).all()
    assert (weight(losses + 1, log_snr, c_out) > weighted).any()


@pytest.mark.parametrize("name", NOISE_SOURCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_noise_source(name, dtype):
    """Unit variance, the type of the signal, and the same again from the same seeds."""
    x = torch.zeros(3, 2, 4000, dtype=dtype)
    time, next_time = torch.full((3,), 0.7), torch.full((3,), 0.4)
    noise = made(name)(x, time, next_time)
    assert noise.shape == x.shape and noise.dtype == dtype
    assert noise.std().item() == pytest.approx(1, abs=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.03)
    assert torch.equal(noise, made(name)(x, time, next_time))
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("length", [64, 50, 1])
def test_autoencoder_shapes(name, length):
    autoencoder = made(name)
    assert isinstance(autoencoder, protocols.Autoencoder)
    x = torch.randn(3, getattr(autoencoder, "channels", 1), length, generator=seeded())
    z = autoencoder.encode(x)
    frames = -(-length // autoencoder.downsample_factor)
    assert z.shape == (3, autoencoder.latent_channels, frames)
    assert autoencoder.decode(z).shape == (*x.shape[:2], frames * autoencoder.downsample_factor)
    decoded, losses = autoencoder(x)
    assert decoded.shape == x.shape
    assert all(isinstance(value, Tensor) for value in losses.values())
