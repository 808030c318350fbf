"""The training loss against its closed form."""

import math

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.diffusion.coupling import OptimalTransport
from audio_diffusion_pytorch.diffusion.noise_schedules import (
    HalfCircle,
    LinearBeta,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.objectives import (
    FlowDiffusion,
    GaussianDiffusion,
    KDiffusion,
    VDiffusion,
    VKDiffusion,
    per_item_mse,
)
from audio_diffusion_pytorch.diffusion.parameterizations import (
    CleanPrediction,
    EDMPreconditioning,
    EpsilonPrediction,
    FlowPrediction,
    VPrediction,
)
from audio_diffusion_pytorch.diffusion.times import (
    Distribution,
    LogNormalDistribution,
    Stratified,
)
from audio_diffusion_pytorch.diffusion.weights import LearnedUncertainty, MinSNR

HEADS = {
    "eps": EpsilonPrediction(),
    "x0": CleanPrediction(),
    "v": VPrediction(),
    "flow": FlowPrediction(),
    "edm": EDMPreconditioning(0.7),
}
SCHEDULES = [HalfCircle(), StraightPath(), LinearBeta(), VarianceExploding(80.0)]


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
        Zero(),
        HalfCircle(),
        VPrediction(),
        weight=lambda loss, log_snr, c_out: loss * torch.sigmoid(log_snr) * c_out**2,
    )
    times = torch.linspace(0.1, 0.9, 8)
    kept = {"times": times, "noise": torch.ones_like(x), "reduction": "none"}
    # sigmoid(log alpha^2 / sigma^2) = alpha^2 on the unit circle, and c_out^2 = sigma^2
    expected = plain(x, **kept) * torch.sin(times * math.pi).square() / 4
    torch.testing.assert_close(weighted(x, **kept), expected)
    positions = times[:, None, None].expand(8, 1, x.shape[2])  # a time per position: by the mean
    torch.testing.assert_close(weighted(x, **{**kept, "times": positions}), expected)


def test_condition_and_noisy_input_reach_the_net():
    x, net = tones(), Recorder()
    VDiffusion(net)(x, times=torch.zeros(8), noise=torch.ones_like(x), labels="kept")
    seen, time, cond = net.asked
    torch.testing.assert_close(seen, x)  # time 0 is clean
    assert cond == {"labels": "kept"}
    assert time.tolist() == [0.0] * 8


class Doubled(VDiffusion):
    """Its net has another call than most, which `predict` alone knows."""

    def predict(self, x, time, **cond):
        return 2 * self.net(x=x, when=time, **cond)


class Named(nn.Module):
    def forward(self, *, x, when, label):
        return 0.1 * x + when[:, None, None] * label


def test_predict_is_the_one_place_that_asks_the_net():
    x = tones()
    ours = Doubled(Named())
    theirs = VDiffusion(lambda x, time, label: 2 * Named()(x=x, when=time, label=label))
    draws = {"times": torch.linspace(0.1, 0.9, len(x)), "noise": x.flip(0)}
    assert torch.equal(ours(x, label=0.3, **draws), theirs(x, label=0.3, **draws))
    for made in (
        ours.denoise(x, draws["times"], label=0.3),
        ours.denoiser(label=0.3)(x, draws["times"]),
    ):
        assert torch.equal(made, theirs.denoise(x, draws["times"], label=0.3))


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
        ({"times": torch.full((8,), 1.5)}, r"times must lie in 0 .*1\.5"),
        ({"times": torch.full((8,), math.nan)}, "times must lie in"),
        ({"times": torch.zeros(8, 2, 512)}, "times"),
        ({"mask": torch.ones(8, 512)}, "mask"),
        ({"mask": torch.ones(8, 1, 500)}, r"\(8, 1, 512\)"),
        ({"reduction": "sum"}, "'sum'"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words) as error:
        VDiffusion(Zero())(tones(), **arguments)
    assert "\n" not in str(error.value)


def test_generator_of_another_device_is_named():
    class Elsewhere:
        device = torch.device("cuda")

    with pytest.raises(ValueError, match="generator must be on the device"):
        VDiffusion(Zero())(tones(), generator=Elsewhere())
    with pytest.raises(ValueError, match="generator must be on the device"):
        VDiffusion(Zero())(tones(), generator=Elsewhere(), times=torch.zeros(8))


def test_a_sampler_of_sigmas_is_told_apart():
    """LogNormalDistribution without a schedule gives sigmas: refused at the first batch."""
    with pytest.raises(ValueError, match=r"from LogNormalDistribution.*noise_schedule"):
        VDiffusion(Zero(), LogNormalDistribution(0.0, 2.0))(tones())
    timed = LogNormalDistribution(0.0, 2.0, HalfCircle())
    assert VDiffusion(Zero(), timed)(tones()).isfinite()


def test_empty_batch_and_wrong_net_output_are_named():
    with pytest.raises(ValueError, match="at least one"):
        VDiffusion(Zero())(torch.zeros(0, 1, 8))
    with pytest.raises(ValueError, match="at least one"):
        VDiffusion(Zero())(torch.zeros(3, 1, 0))
    with pytest.raises(ValueError, match="int16"):
        VDiffusion(Zero())(torch.zeros(3, 1, 8, dtype=torch.int16))

    class Short(nn.Module):
        def forward(self, x, time):
            return x[..., :-1]

    with pytest.raises(ValueError, match="shape of its input"):
        VDiffusion(Short())(tones())


class Oracle(nn.Module):
    """Answers what turns the noisy input into the clean signal it was made from."""

    def __init__(self, head, schedule, clean, times):
        super().__init__()
        alpha, sigma = schedule.alpha_sigma(times)
        self.coefficients = head.coefficients(times, alpha, sigma)
        self.clean = clean

    def forward(self, x, time):
        skip, out, scale, said = (c[:, None, None] for c in self.coefficients)
        torch.testing.assert_close(time, said[:, 0, 0])
        return (self.clean - skip * x / scale) / out


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_a_perfect_answer_has_no_loss(head, schedule):
    """The target is the answer that the denoiser turns into the clean signal."""
    x = tones().double()
    times = torch.linspace(0.2, 0.8, 8, dtype=torch.float64)
    net = Oracle(HEADS[head], schedule, x, times)
    objective = GaussianDiffusion(net, schedule, HEADS[head])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    scale = HEADS[head].target(x, noise, *(v[:, None, None] for v in schedule.alpha_sigma(times)))
    assert objective(x, times=times, noise=noise) < 1e-12 * scale.square().mean()
    assert objective(x + 0.1, times=times, noise=noise) > 1e-6 * scale.square().mean()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize(
    "weight", [None, MinSNR(), LearnedUncertainty()], ids=lambda weight: type(weight).__name__
)
def test_loss_and_gradient_are_finite_at_both_ends(head, schedule, weight):
    net = nn.Conv1d(1, 1, 1)
    x = tones()[:2]
    objective = GaussianDiffusion(timeless(net), schedule, HEADS[head], weight=weight)
    losses = objective(x, times=torch.tensor([0.0, 1.0]), reduction="none")
    losses.sum().backward()
    assert losses.isfinite().all()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def timeless(net):
    class Timeless(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x, time):
            return self.net(x)

    return Timeless()


def test_times_per_position_noise_each_position_by_its_own():
    x, net = tones(), Recorder()
    times = torch.zeros(8, 1, 512)
    times[..., 256:] = 1.0  # the second half is pure noise
    noise = torch.full_like(x, 3.0)
    GaussianDiffusion(net, HalfCircle(), VPrediction())(x, times=times, noise=noise)
    torch.testing.assert_close(net.asked[0][..., :256], x[..., :256])
    torch.testing.assert_close(net.asked[0][..., 256:], noise[..., 256:])
    assert net.asked[1].shape == (8, 1, 512)


@pytest.mark.parametrize("filler", [math.nan, math.inf, 1e30])
def test_whatever_stands_in_the_padding_has_no_effect(filler):
    """Padding of an item may hold anything; an item of nothing but padding has no loss."""
    x = tones(3, 20)
    mask = torch.ones(3, 1, 20, dtype=torch.bool)
    mask[0, :, 10:] = mask[1] = False
    kept = {"times": torch.full((3,), 0.4), "noise": torch.ones_like(x), "reduction": "none"}
    model = VDiffusion(timeless(nn.Conv1d(1, 1, 5, padding=2)))  # looks around
    loss = model(x.masked_fill(~mask, filler), mask, **kept)
    torch.testing.assert_close(loss, model(x.masked_fill(~mask, 0.0), mask, **kept))
    assert loss.isfinite().all() and loss[1] == 0 and loss[0] > 0
    loss.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("value", [1.0, 0.05, 1e-6])
def test_only_the_ratios_of_a_soft_mask_count(value, dtype):
    """Also where they sum to less than 1."""
    target = torch.linspace(0, 1, 16, dtype=dtype).reshape(2, 1, 8)
    mask = torch.full((2, 1, 8), value, dtype=dtype)
    found = per_item_mse(torch.zeros_like(target), target, mask)
    torch.testing.assert_close(found, per_item_mse(torch.zeros_like(target), target))


@pytest.mark.parametrize("value", [-1.0, 1.5, math.nan])
def test_masks_beyond_the_range_are_named(value):
    x, mask = tones(2, 8), torch.ones(2, 1, 8)
    mask[0, 0, 3] = value
    for call in (lambda: per_item_mse(x, x, mask), lambda: VDiffusion(Zero())(x, mask)):
        with pytest.raises(ValueError, match=r"must lie in 0 \(padding\) .. 1 \(real\)") as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VDiffusion(Zero), "net must be an object, got the class Zero"),
        (lambda: VDiffusion(Zero(), Stratified), "sigma_distribution must be an object"),
        (lambda: VDiffusion(Zero(), weight=MinSNR), r"weight .*: say MinSNR\(\) not MinSNR"),
        (lambda: VDiffusion(Zero(), loss_fn=nn.MSELoss), "loss_fn must be an object"),
        (lambda: FlowDiffusion(Zero(), Stratified), r"times .*: say Stratified\(\)"),
        (lambda: FlowDiffusion(Zero(), coupling=OptimalTransport), r"say OptimalTransport\(\)"),
        (lambda: FlowDiffusion(Zero(), schedule=StraightPath), r"schedule .*: say StraightPath"),
        (lambda: GaussianDiffusion(Zero(), HalfCircle, VPrediction()), "say HalfCircle"),
        (lambda: GaussianDiffusion(Zero(), HalfCircle(), VPrediction), "say VPrediction"),
        (
            lambda: KDiffusion(Zero(), sigma_distribution=LogNormalDistribution),
            "sigma_distribution",
        ),
        (lambda: VKDiffusion(Zero(), sigma_distribution=Stratified), "sigma_distribution"),
    ],
)
def test_classes_given_for_objects_are_named(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_soft_mask_weighs_positions():
    x = tones(4, 30)
    mask = torch.rand(4, 1, 30, generator=torch.Generator().manual_seed(1))
    kept = {"times": torch.full((4,), 0.3), "noise": torch.ones_like(x), "reduction": "none"}
    alpha, sigma = math.cos(0.15 * math.pi), math.sin(0.15 * math.pi)
    error = (alpha - sigma * x).square()
    expected = (error * mask).sum((1, 2)) / mask.sum((1, 2))
    torch.testing.assert_close(VDiffusion(Zero())(x, mask, **kept), expected)


def test_evaluation_draws_the_same_times_whatever_came_before():
    """Strata shared between calls would make a validation depend on the calls before it."""
    net = Recorder()
    objective = VDiffusion(net, Stratified(accumulation=4)).eval()

    def times():
        objective(tones(), generator=torch.Generator().manual_seed(1))
        return net.asked[1]

    assert torch.equal(times(), times())
    objective.train()
    assert not torch.equal(times(), times())


def test_users_distribution_works_with_a_generator():
    class Squared(Distribution):
        def __call__(self, num_samples, device):
            return torch.rand(num_samples, device=device) ** 2

    objective = VDiffusion(Zero(), Squared())
    losses = [objective(tones(), generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_modules_among_the_parts_are_registered():
    class Schedule(nn.Module, HalfCircle):
        def __init__(self):
            super().__init__()
            self.register_buffer("kept", torch.ones(1))

    objective = GaussianDiffusion(
        nn.Identity(), Schedule(), VPrediction(), weight=LearnedUncertainty(4)
    )
    assert set(objective.state_dict()) == {"schedule.kept", "weight.amplitudes"}


def test_flow_target_and_custom_loss():
    """noise - x0 on the line between them, by the loss that was given."""
    x = tones()
    kept = {"times": torch.full((8,), 0.25), "noise": torch.ones_like(x)}
    net = Recorder()
    loss = FlowDiffusion(net, loss_fn=nn.functional.l1_loss)(x, **kept)
    torch.testing.assert_close(loss, (1 - x).abs().mean())
    torch.testing.assert_close(net.asked[0], 0.75 * x + 0.25)
    assert net.asked[1].tolist() == [0.25] * 8


class Wave(nn.Module):
    """Some function of the input and the time."""

    def forward(self, x, time):
        return torch.sin(3 * x + time.reshape(-1, 1, 1))


def fixed_sigmas(*values):
    return lambda num_samples, device, generator=None: torch.tensor(values, device=device)


def test_edm_loss_is_that_of_its_paper():
    """Karras et al. 2022, table 1 and eq. 8, in the paper's own words."""
    x = tones().double()
    sigma_data, drawn = 0.3, (1e-3, 0.02, 0.1, 0.5, 1.0, 3.0, 10.0, 79.0)
    sigma = torch.tensor(drawn, dtype=torch.float64)[:, None, None]
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    total = sigma**2 + sigma_data**2
    answer = Wave()((x + sigma * noise) / total.sqrt(), sigma.log() / 4)
    skip, out = sigma_data**2 / total, sigma * sigma_data / total.sqrt()
    clean = skip * (x + sigma * noise) + out * answer
    weight = total / (sigma * sigma_data) ** 2
    expected = (weight * (clean - x).square()).mean((1, 2))
    model = KDiffusion(Wave(), sigma_distribution=fixed_sigmas(*drawn), sigma_data=sigma_data)
    loss = model(x, noise=noise, reduction="none")
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)  # sigmas are drawn in float32
    guess = model.denoise_fn(x + sigma * noise, sigmas=sigma.flatten())
    torch.testing.assert_close(guess, clean.clamp(-1, 1))
    free = KDiffusion(Wave(), sigma_data=sigma_data, dynamic_threshold=None)
    torch.testing.assert_close(free.denoise_fn(x + 200.0, sigma=200.0)[0, 0, :3], above(x, 0.3))


def above(x, sigma_data, sigma=200.0):
    """The guess at a sigma above `sigma_max`, by the paper."""
    total = sigma**2 + sigma_data**2
    noisy = x + sigma
    answer = Wave()(noisy / math.sqrt(total), torch.full((8,), math.log(sigma) / 4))
    guess = sigma_data**2 / total * noisy + sigma * sigma_data / math.sqrt(total) * answer
    return guess[0, 0, :3]


def test_dynamic_threshold_scales_loud_items_back():
    model = KDiffusion(Wave(), sigma_data=5.0, dynamic_threshold=0.95)
    loud = model.denoise_fn(4 * tones(), sigma=0.1)
    assert loud.abs().amax((1, 2))[0] == 1.0
    assert (loud[0].abs() < 1).float().mean() > 0.85  # clipping at 1 would leave far fewer


def test_drawn_sigmas_above_the_highest_train_at_it():
    net = Recorder()
    KDiffusion(net, fixed_sigmas(*[1e4] * 8), sigma_max=50.0)(tones())
    torch.testing.assert_close(net.asked[1], torch.full((8,), math.log(50.0) / 4))


def test_vk_is_v_with_levels_said_as_sigmas():
    x = tones()
    times = torch.linspace(0.01, 0.99, 8)
    sigmas = torch.tan(times * math.pi / 2)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    vk = VKDiffusion(Wave(), sigma_distribution=fixed_sigmas(*sigmas.tolist()))
    expected = VDiffusion(Wave())(x, times=times, noise=noise, reduction="none")
    torch.testing.assert_close(vk(x, noise=noise, reduction="none"), expected)
    torch.testing.assert_close(vk.sigma_to_t(sigmas), times)
    torch.testing.assert_close(vk.t_to_sigma(times), sigmas, rtol=1e-5, atol=0)
    noisy = x + sigmas[:, None, None] * noise
    shrunk = noisy * torch.cos(times * math.pi / 2)[:, None, None]
    clean = VDiffusion(Wave()).denoise(shrunk, times)
    torch.testing.assert_close(vk.denoise_fn(noisy, sigmas=sigmas), clean, rtol=1e-4, atol=1e-5)
    one = vk.denoise_fn(noisy, sigma=float(sigmas[3]))
    torch.testing.assert_close(one[3], clean[3], rtol=1e-4, atol=1e-5)


def test_old_objectives_draw_their_sigmas_by_default():
    for kind in (KDiffusion, VKDiffusion):
        generators = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
        losses = [kind(Wave())(tones(), generator=g) for g in generators]
        assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KDiffusion(Zero(), sigma_data=0.0), "sigma_data"),
        (lambda: KDiffusion(Zero(), dynamic_threshold=1.5), "1.5"),
        (lambda: KDiffusion(Zero(), sigma_max=-1.0), "sigma_max"),
        (
            lambda: KDiffusion(Zero(), LogNormalDistribution(noise_schedule=HalfCircle())),
            "KDiffusion wants sigmas",
        ),
        (lambda: VKDiffusion(Zero()).denoise_fn(tones()), "got none"),
        (
            lambda: VKDiffusion(Zero()).denoise_fn(tones(), sigmas=torch.ones(8), sigma=1.0),
            "got both",
        ),
        (lambda: KDiffusion(Zero()).denoise_fn(tones(), sigmas=torch.ones(3)), r"\(8,\)"),
    ],
)
def test_wrong_arguments_of_the_old_objectives_are_named(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
