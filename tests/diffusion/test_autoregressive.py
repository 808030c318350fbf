"""AR diffusion: the old release's figures, and sequences whose covariance is known."""

import copy
import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.diffusion import (
    ClassifierFreeGuidance,
    DPMpp2M,
    HalfCircle,
    Heun,
    UniPC,
    VDiffusion,
)
from audio_diffusion_pytorch.diffusion.autoregressive import ARVDiffusion, ARVSampler
from audio_diffusion_pytorch.nets import UNetV0

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "upstream_constraints.npz"
PHI = 0.8


class LevelNet(nn.Module):
    """The net that `tools/make_upstream_constraints_golden.py` uses."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        signal, level = x[:, :2], x[:, 2:]
        neighbours = 0.3 * signal.roll(1, -1) - 0.2 * signal.flip(1) * level
        return torch.tanh(self.gain * signal + neighbours)


class SequenceNet(nn.Module):
    """The perfect velocity for AR(1) sequences, each position at a level of its own.

    `E[x0 | x] = S A (A S A + B^2)^-1 x` with the diagonal matrices A of alpha and B of sigma.
    """

    def __init__(self, length):
        super().__init__()
        index = torch.arange(length, dtype=torch.float64)
        self.covariance = PHI ** (index[:, None] - index).abs()

    def forward(self, x, shift=0.0):
        signal, level = x[:, 0], x[0, 1]  # all items share their levels
        alpha, sigma = HalfCircle().alpha_sigma(level)
        scaled = alpha[:, None] * self.covariance.to(x.dtype)
        gain = torch.linalg.solve(scaled * alpha + torch.diag(sigma**2), scaled)
        clean = signal @ gain
        velocity = (alpha * signal - clean) / sigma.clamp_min(1e-9)
        return torch.where(sigma > 1e-9, velocity, 0)[:, None] + shift


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def figures():
    with np.load(GOLDEN) as file:
        return {name: torch.from_numpy(file[name]) for name in file}


def test_loss_is_that_of_the_old_release():
    torch.manual_seed(0)
    clean = torch.randn(3, 2, 16)
    torch.manual_seed(1)
    loss = ARVDiffusion(LevelNet(), length=16, num_splits=4)(clean)
    torch.testing.assert_close(loss, figures()["loss"], rtol=1e-6, atol=0)


@pytest.mark.parametrize("num_chunks", [4, 7])
def test_samples_are_those_of_the_old_release(num_chunks):
    sampler = ARVSampler(LevelNet(), in_channels=2, length=16, num_splits=4)
    torch.manual_seed(2)
    made = sampler(num_items=3, num_chunks=num_chunks, num_steps=12)
    torch.testing.assert_close(made, figures()[f"chunks_{num_chunks}"], rtol=0, atol=1e-5)


def test_ladder_is_that_of_the_old_release():
    sampler = ARVSampler(LevelNet(), in_channels=2, length=16, num_splits=4)
    torch.testing.assert_close(sampler.ladder(3), figures()["ladder"], rtol=0, atol=0)


@pytest.mark.parametrize("num_splits", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_ladder_rises_by_parts_and_ends_one_part_on(num_splits, steps):
    sampler = ARVSampler(LevelNet(), 2, 3 * num_splits, num_splits)
    ladder = sampler.ladder(steps)
    assert ladder.shape == (steps + 1, 1, 1, 3 * num_splits)
    levels = ladder[:, 0, 0].unflatten(-1, (num_splits, 3))
    assert bool((levels == levels[..., :1]).all())
    levels = levels[..., 0]
    noisy = max(1, num_splits // 2)
    assert bool((levels[:, : num_splits - noisy] == 0).all())
    assert bool((levels[0, -noisy:].diff() > 0).all()) and levels[0, -1] == 1
    assert bool((levels.diff(dim=0) <= 0).all())
    assert levels[-1, num_splits - noisy] == 0
    assert torch.equal(levels[-1, num_splits - noisy + 1 :], levels[0, num_splits - noisy : -1])


def test_each_part_has_a_level_of_its_own():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x[:, :2]

    diffusion = ARVDiffusion(Spy(), length=12, num_splits=3)
    clean, noise = torch.randn(2, 200, 2, 12, generator=seeded())
    per_item = diffusion(clean, noise=noise, generator=seeded(), reduction="none")
    (x,) = seen
    level = x[:, 2:].unflatten(-1, (3, 4))
    assert bool((level == level[..., :1]).all())
    level = level[:, 0, :, 0]
    assert level.unique().numel() == level.numel() and float(level.min()) >= 0
    assert level.mean().item() == pytest.approx(0.5, abs=0.05)
    alpha, sigma = HalfCircle().alpha_sigma(x[:, 2:])
    torch.testing.assert_close(x[:, :2], alpha * clean + sigma * noise)
    error = (x[:, :2] - (alpha * noise - sigma * clean)).square().mean((1, 2))
    torch.testing.assert_close(per_item, error)
    assert diffusion(clean, noise=noise, generator=seeded()).item() == pytest.approx(
        error.mean().item()
    )


def test_starts_are_clean_beginnings_before_one_level():
    diffusion = ARVDiffusion(LevelNet(), length=12, num_splits=3, start_share=0.75)
    times = diffusion.draw_times(2000, torch.device("cpu"), seeded())[:, 0]
    known = (times == 0).sum(1)
    starts = (times[:, -1:].expand(-1, 12) == times).logical_or(times == 0).all(1)
    assert starts.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert bool((times.diff(dim=1)[starts] >= 0).all())  # what is clean comes first
    assert torch.bincount(known[starts], minlength=12).min().item() > 80  # of 125: any length
    parts = times[~starts].unflatten(-1, (3, 4))
    assert bool((parts == parts[..., :1]).all()) and bool((parts > 0).all())


def test_of_what_is_clean_nothing_is_learnt():
    diffusion = ARVDiffusion(LevelNet(), length=12, num_splits=3)
    clean, noise = torch.randn(2, 2, 2, 12, generator=seeded())
    times = torch.full((2, 1, 12), 0.4)
    times[..., :8] = 0
    loss = diffusion(clean, times=times, noise=noise)
    other = torch.cat([torch.randn(2, 2, 8, generator=seeded(1)), noise[..., 8:]], -1)
    assert torch.equal(loss, diffusion(clean, times=times, noise=other))
    assert diffusion(clean, times=torch.zeros(2, 1, 12), noise=noise) == 0
    torch.testing.assert_close(diffusion.denoise(clean, torch.zeros(2, 1, 12)), clean)


def test_one_level_for_all_parts_is_velocity_diffusion():
    class WithTime(nn.Module):
        def forward(self, x, time):
            return LevelNet()(torch.cat([x, time[:, None, None].expand(-1, 1, 16)], 1))

    clean, noise = torch.randn(2, 3, 2, 16, generator=seeded())
    time = torch.tensor([0.1, 0.5, 0.9])
    per_position = time[:, None, None].expand(3, 1, 16)
    mask = torch.arange(16).expand(3, 1, 16) < 10
    ours = ARVDiffusion(LevelNet(), 16, 4)
    theirs = VDiffusion(WithTime())
    for given in (None, mask):
        torch.testing.assert_close(
            ours(clean, given, times=per_position, noise=noise),
            theirs(clean, given, times=time, noise=noise),
        )
    torch.testing.assert_close(ours.denoiser()(clean, time), theirs.denoiser()(clean, time))


@pytest.fixture
def white(monkeypatch):
    """Replace the draws of the sampler by draws of exact moments over the batch.

    All parts of a walk are linear with the perfect net, so the covariances of what comes out are
    those of infinitely many samples: no chance is left in the figures.
    """
    drawn = torch.zeros(96, 0, dtype=torch.float64)

    def draw(shape, **options):
        nonlocal drawn
        more = torch.randn(96, shape[-1], generator=seeded(drawn.shape[1]), dtype=torch.float64)
        drawn = torch.linalg.qr(torch.cat([drawn, more], 1))[0]
        return (drawn[:, -shape[-1] :] * 96**0.5).reshape(shape)

    monkeypatch.setattr("audio_diffusion_pytorch.diffusion.autoregressive.randn", draw)
    return draw


def ar_samples(num_chunks, start=None, *, solver, num_steps=120, **shape):
    sampler = ARVSampler(SequenceNet(shape["length"]), 1, **shape, solver=solver)
    sampler.net.weight = nn.Parameter(torch.zeros((), dtype=torch.float64))  # says the dtype
    return sampler(96, num_chunks, num_steps, start)


def covariance(x):
    return x[:, 0].T @ x[:, 0] / len(x)


@pytest.mark.parametrize(
    ("length", "num_splits", "solver"),
    [(8, 4, Heun()), (8, 4, DPMpp2M()), (8, 4, UniPC()), (9, 3, Heun()), (8, 2, Heun())],
    ids=["heun", "2m", "unipc", "odd", "halves"],
)
@pytest.mark.usefixtures("white")
def test_sequences_are_stationary_over_all_parts(length, num_splits, solver):
    """With the perfect net: every covariance within 3 % of the variance, across all seams."""
    made = ar_samples(7, solver=solver, length=length, num_splits=num_splits)
    assert made.shape == (96, 1, 7 * length // num_splits)
    exact = SequenceNet(made.shape[-1]).covariance
    assert (covariance(made) - exact).abs().max().item() < 0.03


@pytest.mark.parametrize("known", [1, 2, 3, 4, 5, 6, 13, 14])
def test_a_start_is_continued_with_the_right_covariance(known, white):
    """Shorter than the context, as long, longer, and longer than the window; parts of a part."""
    root = torch.linalg.cholesky(SequenceNet(known).covariance)
    start = white((96, 1, known)) @ root.T
    made = ar_samples(known // 2 + 3, start, solver=Heun(), length=8, num_splits=4)
    assert torch.equal(made[..., :known], start)
    exact = SequenceNet(made.shape[-1]).covariance
    assert (covariance(made) - exact).abs().max().item() < 0.03


@pytest.mark.usefixtures("white")
def test_with_one_part_parts_are_independent():
    made = ar_samples(3, solver=Heun(), length=4, num_splits=1)
    exact = torch.block_diag(*3 * [SequenceNet(4).covariance])
    assert (covariance(made) - exact).abs().max().item() < 0.03


def small(num_chunks, start=None, num_steps=7, num_items=2, seed=0, num_splits=4, **options):
    sampler = ARVSampler(LevelNet(), 2, 12, num_splits)
    return sampler(num_items, num_chunks, num_steps, start, generator=seeded(seed), **options)


@pytest.mark.parametrize("num_splits", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("num_chunks", [1, 2, 5, 9])
def test_any_number_of_parts_and_splits(num_splits, num_chunks):
    made = small(num_chunks, num_splits=num_splits)
    assert made.shape == (2, 2, num_chunks * 12 // num_splits) and bool(made.isfinite().all())
    for known in range(1, num_chunks * 12 // num_splits):
        start = torch.randn(1, 2, known, generator=seeded())
        made = small(num_chunks, start, num_splits=num_splits)
        assert made.shape == (2, 2, num_chunks * 12 // num_splits)
        assert torch.equal(made[..., : start.shape[-1]], start.expand(2, -1, -1))


def test_the_start_and_the_generator_decide_the_result():
    start = torch.randn(2, 2, 6, generator=seeded())
    made = small(6, start)
    state = torch.get_rng_state()
    assert torch.equal(made, small(6, start))
    assert torch.equal(state, torch.get_rng_state())
    assert bool((small(6, start, seed=1)[..., 6:] != made[..., 6:]).all())
    assert bool((small(6, -start)[..., 6:] != made[..., 6:]).any())


@pytest.mark.parametrize(("num_steps", "a_shift"), [(12, 3), (13, 4), (15, 4), (2, 1)])
def test_steps_are_rounded_up_not_down(num_steps, a_shift):
    calls = []

    class Counting(LevelNet):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    ARVSampler(Counting(), 2, 12, 4)(1, 6, num_steps, generator=seeded())
    # Of 6 parts the first window makes 4, the last 2 of them for the ladder: 4 shifts are left.
    assert len(calls) == num_steps + 4 * a_shift


def test_guidance_and_conditions_reach_the_net():
    def made(**options):
        sampler = ARVSampler(SequenceNet(8), 1, 8, 4)
        return sampler(2, 6, 4, generator=seeded(), **options)

    def guided(scale):
        cond = {"shift": torch.full((2, 1, 1), 0.5)}
        null = {"shift": torch.zeros(2, 1, 1)}
        return made(guidance=ClassifierFreeGuidance(scale), null_cond=null, **cond)

    torch.testing.assert_close(guided(1.0), made(shift=0.5))
    torch.testing.assert_close(guided(0.0), made())
    torch.testing.assert_close(guided(2.0), made(shift=1.0))


def test_a_unet_learns_and_samples():
    """Upstream's wiring: no time, the level as one more channel."""
    settings = {
        "dim": 1,
        "in_channels": 3,
        "out_channels": 2,
        "channels": [4, 8],
        "factors": [1, 2],
        "items": [1, 1],
        "resnet_groups": 2,
        "use_time_conditioning": False,
        "use_modulation": False,
    }
    net = UNetV0(**settings)
    diffusion = ARVDiffusion(net, length=16, num_splits=4)
    diffusion(torch.randn(2, 2, 16, generator=seeded()), generator=seeded()).backward()
    assert all(weight.grad is not None for weight in net.parameters())
    sampler = ARVSampler(net, in_channels=2, length=16, num_splits=4)
    made = sampler(num_items=2, num_chunks=6, num_steps=4, show_progress=False)
    assert made.shape == (2, 2, 24) and not made.requires_grad
    for part in (diffusion, sampler):
        for twin in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
            assert set(twin.state_dict()) == set(part.state_dict())
    assert all(name.startswith("net.") for name in diffusion.state_dict())


def test_signatures_are_upstreams():
    wanted = {
        ARVDiffusion.__init__: ["net", "length", "num_splits"],
        ARVSampler.__init__: ["net", "in_channels", "length", "num_splits"],
        ARVSampler.forward: ["num_items", "num_chunks", "num_steps", "start", "show_progress"],
    }
    for function, names in wanted.items():
        assert list(inspect.signature(function).parameters)[1 : len(names) + 1] == names


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ARVDiffusion(LevelNet(), 10, 4), "multiple of num_splits"),
        (lambda: ARVSampler(LevelNet(), 2, 10, 0), "multiple of num_splits"),
        (lambda: ARVDiffusion(LevelNet(), 16, 4)(torch.zeros(2, 2, 15)), r"\(b, c, 16\)"),
        (lambda: ARVDiffusion(LevelNet(), 4, 4)(torch.zeros(2, 2, 4), reduction="sum"), "reduct"),
        (lambda: small(4, num_steps=0), "at least 1 item, chunk and step"),
        (lambda: small(0), "num_chunks=0"),
        (lambda: small(4, num_items=0), "num_items=0"),
        (lambda: small(4, torch.zeros(3, 2, 6)), r"start must be \(2 or 1, 2, t\)"),
        (lambda: small(4, torch.zeros(2, 1, 6)), r"got \(2, 1, 6\)"),
        (lambda: small(4, torch.zeros(2, 2, 0)), "start must have a sample at least"),
        (lambda: ARVDiffusion(LevelNet(), 16, 4, start_share=1.5), "start_share must be in 0..1"),
        (lambda: small(4, torch.zeros(2, 2, 12)), "num_chunks counts those of start"),
        (lambda: small(4, torch.zeros(2, 2, 6).double()), "as the net is, got torch.float64"),
        (lambda: small(4, torch.zeros(2, 2, 6, device="meta")), "got torch.float32 on meta"),
        (lambda: small(4, num_steps=3.0), "num_steps must be a whole number, got 3.0"),
        (lambda: ARVSampler(LevelNet(), 2, 12, 4, solver=UniPC), "got the class UniPC"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_half_precision_keeps_its_levels_exact():
    """Levels in bfloat16 would stand still for several steps of a long ladder."""
    net = LevelNet().to(torch.bfloat16)
    sampler = ARVSampler(net, 2, 12, 2)
    made = sampler(1, 4, 600, generator=seeded())
    assert made.dtype == torch.bfloat16 and bool(made.isfinite().all())
    ladder = sampler.ladder(300)
    assert ladder.dtype == torch.float32
    assert bool((ladder[:-1, 0, 0, -1].diff() < 0).all())
