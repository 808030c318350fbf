"""The samplers on data whose answers are known, and on a U-Net: same sound in any batch."""

import copy
import math
import pickle
from itertools import pairwise

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.diffusion.closed_form import OVERLAPPING, SEPARATED, GaussianMixture
from audio_diffusion_pytorch.diffusion.constraints import Inpainting
from audio_diffusion_pytorch.diffusion.grids import EvenLevels, LinearSchedule
from audio_diffusion_pytorch.diffusion.guidance import CFGPlusPlus, ClassifierFreeGuidance
from audio_diffusion_pytorch.diffusion.noise import GaussianNoise
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    DiscreteBetas,
    HalfCircle,
    InputScaled,
    Laplace,
    LinearBeta,
    Sigmoid,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.objectives import FlowDiffusion, VDiffusion
from audio_diffusion_pytorch.diffusion.samplers import DiffusionSampler, VSampler
from audio_diffusion_pytorch.diffusion.solvers import DPMpp2M, Euler, EulerAncestral, Heun
from audio_diffusion_pytorch.nets import UNetV0
from audio_diffusion_pytorch.protocols import State


class Halved(HalfCircle):
    """A schedule of one's own that halves the clean signal: clean is `x0 / 2`."""

    def alpha_sigma(self, time):
        alpha, sigma = super().alpha_sigma(time)
        return alpha / 2, sigma

    def log_snr(self, time):
        return super().log_snr(time) - math.log(4)

    def time_at(self, log_snr):
        return super().time_at(log_snr + math.log(4))


GAUSSIAN = GaussianMixture((1.0,), (0.3,), (0.7,))
SCHEDULES = {
    "half circle": HalfCircle(),
    "straight": StraightPath(),
    "linear beta": LinearBeta(),
    "exploding": VarianceExploding(sigma_max=80.0, rho=7.0),
    "scaled input": InputScaled(HalfCircle(), 0.5),
    "scaled flow": InputScaled(StraightPath(), 2.0),
    "halved": Halved(),
}


class Known:
    """A training method that has learnt a mixture perfectly: all a sampler needs of one."""

    def __init__(self, data, schedule):
        self.data, self.schedule = data, schedule

    def denoiser(self):
        return self.data.denoiser(self.schedule)


class Grid64(LinearSchedule):
    """Equal steps in float64."""

    def forward(self, num_steps, device="cpu"):
        return torch.linspace(self.start, self.end, num_steps, device=device, dtype=torch.float64)


class Affine(nn.Module):
    """A net whose answer depends on x, time and its condition in a known way; counts its calls."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x, time, *, labels=None):
        self.calls += 1
        shift = 0 if labels is None else labels[:, None, None].to(x.dtype)
        return 0.3 * x + time[:, None, None] + 0.1 * shift


def small_unet():
    return UNetV0(
        dim=1, in_channels=2, channels=[8, 16], factors=[1, 2], items=[1, 1],
        modulation_features=16, resnet_groups=4,
    ).eval()  # fmt: skip


def points():
    return torch.linspace(-2, 2, 21, dtype=torch.float64).reshape(1, 1, 21)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("data", [GAUSSIAN, OVERLAPPING], ids=["gaussian", "mixture"])
def test_unit_noise_goes_in_and_the_exact_clean_signal_comes_out(name, data):
    """The limit of many steps is the probability-flow map from sigma(1) * noise, undone at 0."""
    schedule = SCHEDULES[name]
    made = DiffusionSampler(Known(data, schedule), solver=Heun(True), grid=Grid64())(points(), 200)
    start, end = torch.tensor([1.0], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64)
    sigma = schedule.alpha_sigma(start)[1]
    exact = data.flow(sigma * points(), schedule, start, end) / schedule.alpha_sigma(end)[0]
    torch.testing.assert_close(made, exact, atol=2e-3, rtol=0)
    assert exact.std() > 0.5  # it is spread as the data are, not collapsed to their mean


@pytest.mark.parametrize("name", ["scaled input", "halved"])
def test_a_scale_of_the_clean_signal_comes_back_undone_but_not_on_the_way(name):
    clean = torch.randn(2, 1, 8, dtype=torch.float64)
    noise = torch.randn(2, 1, 8, dtype=torch.float64)

    class Oracle:
        schedule = SCHEDULES[name]

        def denoiser(self):
            return lambda x, time: clean

    sampler = DiffusionSampler(Oracle(), grid=Grid64())
    torch.testing.assert_close(sampler(noise, 5), clean)
    half = torch.tensor([1.0, 0.5], dtype=torch.float64)
    alpha, sigma = Oracle.schedule.alpha_sigma(half[1:])
    torch.testing.assert_close(sampler(noise, times=half), alpha * clean + sigma * noise)
    # Positions that end clean are undone, positions that stop halfway are not.
    each = torch.stack([half, torch.tensor([1.0, 0.0]).double()], -1)[:, None, None, :]
    each = each.repeat_interleave(4, -1).expand(2, 2, 1, 8)
    made = sampler(noise, times=each)
    torch.testing.assert_close(made[..., :4], (alpha * clean + sigma * noise)[..., :4])
    torch.testing.assert_close(made[..., 4:], clean[..., 4:])


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_walk_starts_at_the_level_of_its_first_time(name):
    seen = []

    class Watch:
        schedule = SCHEDULES[name]

        def denoiser(self):
            def denoiser(x, time):
                seen.append((x, time))
                return torch.zeros_like(x)

            return denoiser

    noise = torch.randn(2, 1, 8, dtype=torch.float64)
    init = torch.randn(2, 1, 8, dtype=torch.float64)
    for start in (1.0, 0.6):
        level = torch.tensor(start, dtype=torch.float64)
        alpha, sigma = Watch.schedule.alpha_sigma(level)
        sampler = DiffusionSampler(Watch(), grid=Grid64(start=start))
        seen.clear()
        sampler(noise, 2)
        assert seen[0][1].tolist() == [start, start]
        torch.testing.assert_close(seen[0][0], sigma * noise)
        seen.clear()
        sampler(noise, 2, init=init)
        torch.testing.assert_close(seen[0][0], alpha * init + sigma * noise)


@pytest.mark.parametrize("name", SCHEDULES)
def test_without_a_choice_every_method_is_sampled_well(name):
    """Mean distance of quantiles below 1 % of the data's deviation in 32 calls, hard modes too.

    A shift is kept, towards much noise too ("scaled input": 2 %).
    """
    schedule = SCHEDULES[name]
    shares = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    noise = (math.sqrt(2) * torch.erfinv(2 * shares - 1)).reshape(1, 1, 400)
    ends = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(ends[1])[0], schedule.alpha_sigma(ends[0])[1]
    for data in (GAUSSIAN, OVERLAPPING, SEPARATED):
        made = DiffusionSampler(Known(data, schedule))(noise, 32)
        exact = data.flow(sigma * noise, schedule, *ends) / alpha
        assert (made - exact).abs().mean() < (0.02 if name == "scaled input" else 0.01) * data.std


@pytest.mark.parametrize("name", [*SCHEDULES, "laplace", "sigmoid", "scaled betas", "cosine"])
def test_even_levels_are_the_straight_paths_own_on_every_schedule(name):
    others = {"laplace": Laplace(), "sigmoid": Sigmoid(), "cosine": DiscreteBetas.cosine()}
    others["scaled betas"] = DiscreteBetas.scaled_linear()
    schedule = (SCHEDULES | others)[name]
    for count in (1, 2, 3, 11, 51, 1001):
        times = EvenLevels(schedule)(count)
        assert len(times) == count
        assert times[0] == 1 or name == "laplace"
        assert bool((times.diff() < 0).all())
        if count > 1:
            assert times[-1] == 0
    base = getattr(schedule, "base", schedule)  # a shift is kept
    assert torch.equal(EvenLevels(schedule)(11), EvenLevels(base)(11))
    alpha, sigma = base.alpha_sigma(EvenLevels(schedule)(11).double())
    share = sigma / (alpha + sigma)
    torch.testing.assert_close(share.diff(), (-share[0] / 10).expand(10), atol=2e-5, rtol=0)
    assert share[0] > 0.9
    lower = EvenLevels(schedule, start=0.5)(6)
    torch.testing.assert_close(lower, EvenLevels(schedule)(11)[5:])
    for start in (0.0, 1.1, -1.0):
        with pytest.raises(ValueError, match=r"above 0 \(clean\) and at most 1"):
            EvenLevels(schedule, start=start)


def test_upstreams_sampler_is_the_general_one_on_its_method():
    net, noise = small_unet(), torch.randn(2, 2, 32)
    for solver in (Euler(), Heun(), DPMpp2M()):
        general = DiffusionSampler(VDiffusion(net), solver=solver, grid=LinearSchedule())
        torch.testing.assert_close(VSampler(net, solver=solver)(noise, 6), general(noise, 6))
    grid = LinearSchedule(0.8, 0.1)
    times = grid(5, torch.device("cpu"))
    assert torch.equal(VSampler(net, grid)(noise, 4), VSampler(net)(noise, times=times))
    # A signal at 0.8 is taken as it is by upstream's sampler.
    alpha, sigma = HalfCircle().alpha_sigma(torch.tensor(0.8))
    mixed = alpha * torch.ones_like(noise) + sigma * noise
    general = DiffusionSampler(VDiffusion(net), solver=Euler(), grid=grid)
    torch.testing.assert_close(
        VSampler(net, grid)(mixed, 4), general(noise, 4, init=torch.ones_like(noise))
    )


def test_every_step_calls_the_net_as_often_as_the_solver_says():
    """Heun's two calls a step are one from pure noise and one to the clean end: 10 in 6 steps."""
    for solver, calls in ((Euler(), 6), (DPMpp2M(), 6), (Heun(), 10)):
        for sampler in both_samplers(Affine(), solver=solver):
            net = sampler.net if isinstance(sampler, VSampler) else sampler.diffusion.net
            net.calls = 0
            sampler(torch.randn(1, 1, 8), 6)
            assert net.calls == calls


@pytest.mark.parametrize(
    "solver", [Euler(), DPMpp2M(), EulerAncestral()], ids=lambda s: type(s).__name__
)
def test_a_batch_of_four_is_four_singles(solver):
    net, noise = small_unet(), torch.randn(4, 2, 32)
    with torch.no_grad():
        for parameter in net.parameters():  # a fresh net hardly listens to what is deep inside
            parameter.mul_(1.5)
    methods = (VDiffusion(net), FlowDiffusion(net))
    samplers = [VSampler(net, solver=solver)]
    samplers += [DiffusionSampler(method, solver=solver) for method in methods]
    for sampler in samplers:
        together = sampler(noise, 5, noise=GaussianNoise(seeds=[3, 4, 5, 6]))
        assert together.std() > 0.1
        for i in range(4):
            alone = sampler(noise[i : i + 1], 5, noise=GaussianNoise(seeds=[3 + i]))
            torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-5)


def both_samplers(net, **changes):
    return [VSampler(net, **changes), DiffusionSampler(VDiffusion(net), **changes)]


@pytest.mark.parametrize("which", [0, 1])
def test_callback_and_progress_do_not_change_the_sound(which, capsys):
    sampler = both_samplers(small_unet())[which]
    noise, states = torch.randn(1, 2, 32), []
    plain = sampler(noise, 4)
    assert capsys.readouterr().err == ""
    told = sampler(noise, 4, show_progress=True, callback=states.append)
    assert torch.equal(plain, told)
    assert "sampling" in capsys.readouterr().err
    assert torch.equal(sampler(noise, 4, True), plain)  # upstream takes it by position
    assert [state.index for state in states] == [1, 2, 3, 4]
    assert all(isinstance(state, State) for state in states)
    assert torch.equal(states[-1].x, plain)
    torch.testing.assert_close(states[-1].clean, plain)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("solver", [Euler(), DPMpp2M()], ids=["euler", "2m"])
def test_guidance_of_an_affine_net_is_a_condition_of_scale_times_the_label(which, solver):
    """This net's answer is linear in the label, so null 0 and scale 3 act as a label of 3 times."""
    net, noise = Affine(), torch.randn(2, 1, 8)
    sampler = both_samplers(net, solver=solver)[which]
    labels, null = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0])
    plain = sampler(noise, 5, labels=3 * labels)
    net.calls = 0
    guided = sampler(
        noise, 5, labels=labels, guidance=ClassifierFreeGuidance(3.0), null_cond={"labels": null}
    )
    assert net.calls == 5  # one batched call a step
    torch.testing.assert_close(guided, plain, atol=1e-5, rtol=1e-5)
    net.calls = 0
    one = sampler(noise, 5, labels=labels, guidance=ClassifierFreeGuidance(1.0))
    assert net.calls == 5
    assert torch.equal(one, sampler(noise, 5, labels=labels))


@pytest.mark.parametrize("which", [0, 1])
def test_guidance_that_must_know_the_step_is_told_it(which):
    """CFG++ written out: the guided clean signal, the noise of the unconditional guess."""
    net, x = Affine(), torch.randn(2, 1, 8, dtype=torch.float64)
    sampler = both_samplers(net, solver=Euler())[which]
    labels, null = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0])
    times = torch.linspace(1, 0, 6, dtype=torch.float64)
    made = sampler(
        x, times=times, labels=labels, guidance=CFGPlusPlus(0.6), null_cond={"labels": null}
    )
    guess = VDiffusion(net).denoise
    for here, there in pairwise(times):
        (alpha, sigma), (lower, fainter) = (HalfCircle().alpha_sigma(t) for t in (here, there))
        free, wanted = (guess(x, here.expand(2), labels=given) for given in (null, labels))
        clean = free + 0.6 * (wanted - free)
        x = lower * clean + fainter * (x - alpha * free) / sigma
    torch.testing.assert_close(made, x)


@pytest.mark.parametrize("which", [0, 1])
def test_a_call_may_choose_another_solver_and_grid(which):
    net, noise, grid = small_unet(), torch.randn(1, 2, 32), LinearSchedule(1.0, 0.2)
    fixed = [
        VSampler(net, grid, solver=Heun()),
        DiffusionSampler(VDiffusion(net), solver=Heun(), grid=grid),
    ][which]
    sampler = both_samplers(net)[which]
    assert torch.equal(sampler(noise, 4, solver=Heun(), grid=grid), fixed(noise, 4))
    assert not torch.equal(sampler(noise, 4), fixed(noise, 4))


@pytest.mark.parametrize("which", [0, 1])
def test_a_constraint_is_kept_to(which):
    known, noise = torch.randn(1, 2, 32), torch.randn(1, 2, 32)
    mask = torch.arange(32) < 10
    sampler = both_samplers(small_unet())[which]
    made = sampler(noise, 4, constraint=Inpainting(known, mask.expand(1, 1, 32)))
    assert torch.equal(made[..., mask], known[..., mask])
    assert not torch.isclose(made[..., ~mask], sampler(noise, 4)[..., ~mask]).all()


@pytest.mark.parametrize("which", [0, 1])
def test_sampling_leaves_the_mode_and_the_gradients_of_the_net_alone(which):
    for training in (True, False):
        net = small_unet().train(training)
        sampler = both_samplers(net)[which]
        sampler.train(training)
        made = sampler(torch.randn(1, 2, 32, requires_grad=True), 2)
        assert all(module.training is training for module in sampler.modules())
        assert not made.requires_grad
        assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_dtype_is_kept(dtype):
    net = Affine()
    for sampler in both_samplers(net):
        assert sampler(torch.randn(1, 1, 8, dtype=dtype), 3).dtype == dtype


def test_copies_and_pickles_sample_alike():
    noise = torch.randn(1, 2, 32)
    for sampler in both_samplers(small_unet(), solver=DPMpp2M()):
        other = pickle.loads(pickle.dumps(copy.deepcopy(sampler)))
        assert torch.equal(other(noise, 3), sampler(noise, 3))


class Constant(nn.Module):
    def __init__(self, times):
        super().__init__()
        self.times = times

    def forward(self, num_steps, device):
        return self.times


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VSampler(Affine(), solver=Heun), r"got the class Heun: say Heun\(\.\.\.\)"),
        (lambda: DiffusionSampler(VDiffusion(Affine()), solver=Heun), "got the class Heun"),
        (lambda: DiffusionSampler(VDiffusion(Affine()), solver="heun"), "step.*got 'heun'"),
        (lambda: DiffusionSampler(VDiffusion(Affine()), grid=LinearSchedule), "LinearSchedule"),
        (lambda: DiffusionSampler(VDiffusion(Affine()), grid=[1.0, 0.0]), "grid must be"),
        (lambda: VSampler(Affine(), LinearSchedule), "LinearSchedule"),
        (lambda: DiffusionSampler(VDiffusion), "got the class VDiffusion"),
        (lambda: DiffusionSampler(Affine()), "diffusion must be an object with denoiser"),
    ],
)
def test_parts_that_are_not_of_their_kind_are_refused(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"num_steps": -3}, "num_steps must be at least 1, got -3"),
        ({}, "num_steps, or the times"),
        ({"num_steps": 3, "times": torch.tensor([1.0, 0.0])}, "1 steps, got num_steps=3"),
        ({"times": torch.tensor([0.0, 1.0])}, "fall"),
        ({"times": torch.tensor([2.0, 0.0])}, "0..1"),
        ({"times": torch.ones(3, 5, 1, 8)}, "times must have shape"),
        ({"num_steps": 3.0}, "num_steps must be a whole number, got 3.0"),
        ({"times": [1.0, 0.0]}, "must be a tensor .* got list"),
        ({"times": torch.tensor(1.0), "num_steps": 1}, "got one without axes"),
        ({"num_steps": 2, "solver": Heun}, "got the class Heun"),
        ({"num_steps": 2, "grid": LinearSchedule}, "got the class LinearSchedule"),
        ({"num_steps": 2, "guidance": 3.0}, "guidance must be an object.*got 3.0"),
        ({"num_steps": 2, "guidance": ClassifierFreeGuidance}, "got the class"),
        ({"num_steps": 2, "noise": torch.Generator()}, r"GaussianNoise\(generator\)"),
        ({"num_steps": 2, "constraint": torch.ones(1)}, "constraint must be an object"),
    ],
)
def test_calls_that_cannot_work_are_refused_in_one_line(which, call, words):
    with pytest.raises(ValueError, match=words) as caught:
        both_samplers(Affine())[which](torch.randn(2, 1, 8), **call)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (torch.linspace(1, 0, 4), "tensor of 6 times for 5 steps, got \\(4,\\) from Constant"),
        (torch.linspace(0, 1, 6), "fall"),
        (torch.tensor([1.0, 0.8, 0.8, 0.4, 0.2, 0.0]), "fall"),
        ([1.0, 0.0], "got list from Constant"),
    ],
)
def test_grids_that_cannot_be_walked_are_refused_in_one_line(times, words):
    for sampler in (
        VSampler(Affine(), Constant(times)),
        DiffusionSampler(VDiffusion(Affine()), grid=Constant(times)),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            sampler(torch.randn(2, 1, 8), 5)
        assert "\n" not in str(caught.value)


class Elsewhere:
    """Stands for a generator on a GPU, which a machine without one cannot make."""

    device = torch.device("cuda")


def test_a_generator_on_another_device_is_refused_in_one_line():
    for sampler in both_samplers(Affine(), solver=EulerAncestral()):
        with pytest.raises(ValueError, match="device of the draw, cpu, got one on cuda") as caught:
            sampler(torch.randn(1, 1, 8), 2, noise=GaussianNoise(Elsewhere()))
        assert "\n" not in str(caught.value)


def test_an_init_of_another_shape_is_refused():
    sampler = DiffusionSampler(VDiffusion(Affine()))
    with pytest.raises(ValueError, match=r"init must have the shape of the noise, \(2, 1, 8\)"):
        sampler(torch.randn(2, 1, 8), 2, init=torch.randn(2, 1, 9))


def test_noise_of_whole_numbers_is_refused():
    for sampler in both_samplers(Affine()):
        with pytest.raises(ValueError, match=r"floating-point numbers, got torch\.int64"):
            sampler(torch.ones(2, 1, 8, dtype=torch.int64), 2)
