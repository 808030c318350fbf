"""The sampling loop, DDIM and guidance on data whose answers are known in closed form."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.diffusion import (
    ClassifierFreeGuidance,
    Euler,
    GaussianNoise,
    HalfCircle,
    Inpainting,
    LinearSchedule,
    VSampler,
    bind_denoiser,
    sample,
)
from audio_diffusion_pytorch.diffusion.parameterizations import VPrediction


def gaussian_denoiser(std):
    """E[x0 | x] for N(0, std^2) data on the half circle."""

    def denoise(x, time):
        alpha, sigma = (v[:, None, None] for v in HalfCircle().alpha_sigma(time.double()))
        return (alpha * std**2 / (alpha**2 * std**2 + sigma**2) * x.double()).to(x.dtype)

    return denoise


def grid(steps, start=1.0, end=0.0):
    return torch.linspace(start, end, steps + 1, dtype=torch.float64)


def test_schedule_inverts_and_stays_on_the_circle():
    time = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    schedule = HalfCircle()
    alpha, sigma = schedule.alpha_sigma(time)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(time))
    torch.testing.assert_close(schedule.log_snr(time), (alpha**2 / sigma**2).log())
    torch.testing.assert_close(schedule.time_at(schedule.log_snr(time)), time, atol=1e-10, rtol=0)


def test_euler_has_order_one_on_a_gaussian():
    """Error against the exact flow x -> x std / sqrt(alpha^2 std^2 + sigma^2) halves with steps."""
    std = 0.5
    x = torch.linspace(-2, 2, 41, dtype=torch.float64).reshape(1, 1, 41)
    errors = []
    for steps in (32, 64, 128, 256):
        made = sample(gaussian_denoiser(std), x, grid(steps), Euler(), HalfCircle())
        errors.append((made - std * x).abs().max().item())
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(abs(slope - Euler.order) < 0.1 for slope in slopes)


def test_walk_ends_at_the_last_time_and_counts_calls():
    calls = []

    def denoiser(x, time):
        calls.append(time[0].item())
        return torch.zeros_like(x)

    x = torch.ones(2, 1, 4, dtype=torch.float64)
    times = grid(3, 0.9, 0.3)
    made = sample(denoiser, x, times, Euler(), HalfCircle())
    assert calls == pytest.approx([0.9, 0.7, 0.5])
    # With x0 = 0 only the noise shrinks: by sigma(0.3) / sigma(0.9).
    ratio = math.sin(0.3 * math.pi / 2) / math.sin(0.9 * math.pi / 2)
    torch.testing.assert_close(made, x * ratio)


def test_steps_and_start_at_any_level_are_exact_for_a_known_clean_signal():
    clean = torch.randn(2, 1, 16, dtype=torch.float64)
    noise = torch.randn(2, 1, 16, dtype=torch.float64)
    schedule = HalfCircle()
    for start in (1.0, 0.6, 0.2):
        alpha, sigma = schedule.alpha_sigma(torch.tensor(start, dtype=torch.float64))
        x = alpha * clean + sigma * noise
        made = sample(lambda x, t: clean, x, grid(5, start), Euler(), schedule)
        torch.testing.assert_close(made, clean)


def test_times_per_position_walk_each_position_on_its_own():
    std = 0.5
    x = torch.randn(2, 1, 6, dtype=torch.float64)
    times = torch.stack([grid(8, start) for start in torch.linspace(0.5, 1.0, 6)], dim=-1)
    times = times[:, None, None, :].expand(9, 2, 1, 6)

    def denoiser(x, time):
        alpha, sigma = HalfCircle().alpha_sigma(time)
        return alpha * std**2 / (alpha**2 * std**2 + sigma**2) * x

    together = sample(denoiser, x, times, Euler(), HalfCircle())
    for i, start in enumerate(torch.linspace(0.5, 1.0, 6)):
        alone = sample(denoiser_at(std), x[..., i : i + 1], grid(8, start), Euler(), HalfCircle())
        torch.testing.assert_close(together[..., i : i + 1], alone)


def denoiser_at(std):
    return gaussian_denoiser(std)


def test_callback_and_progress_do_not_change_the_result(capsys):
    seen = []
    x = torch.randn(1, 1, 8, dtype=torch.float64)
    plain = sample(gaussian_denoiser(0.5), x, grid(4), Euler(), HalfCircle())
    told = sample(
        gaussian_denoiser(0.5), x, grid(4), Euler(), HalfCircle(),
        callback=lambda state: seen.append(state.index), show_progress=True,
    )  # fmt: skip
    assert torch.equal(plain, told)
    assert seen == [1, 2, 3, 4]
    assert "sampling" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (torch.tensor([1.0]), "at least 1 step"),
        (torch.tensor([0.0, 1.0]), "fall"),
        (torch.tensor([1.0, 1.0, 0.0]), "fall"),
        (torch.tensor([1.5, 0.0]), "0..1"),
        (torch.tensor([1.0, float("nan")]), "0..1"),
    ],
)
def test_grids_that_cannot_be_walked_are_refused(times, words):
    with pytest.raises(ValueError, match=words):
        sample(gaussian_denoiser(1.0), torch.zeros(1, 1, 4), times, Euler(), HalfCircle())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": torch.ones(1, 1, 4, dtype=torch.int64)}, "floating-point numbers, got torch.int64"),
        ({"times": [1.0, 0.5, 0.0]}, r"must be a tensor \(n \+ 1,\) for n steps, got list"),
        ({"times": torch.tensor(1.0)}, "got one without axes"),
        ({"solver": Euler}, r"got the class Euler: say Euler\(...\)"),
        ({"noise": torch.Generator()}, r"GaussianNoise\(generator\)"),
        ({"noise": GaussianNoise}, "got the class GaussianNoise"),
        ({"constraint": Inpainting}, "got the class Inpainting"),
    ],
)
def test_calls_that_cannot_work_are_refused_in_one_line(change, words):
    call = {
        "denoiser": gaussian_denoiser(1.0), "x": torch.zeros(1, 1, 4), "solver": Euler(),
        "times": torch.linspace(1, 0, 3), "schedule": HalfCircle(), **change,
    }  # fmt: skip
    with pytest.raises(ValueError, match=words) as caught:
        sample(**call)
    assert "\n" not in str(caught.value)


class Affine(nn.Module):
    """A net whose answer depends on x, time and its condition in a known way."""

    calls = 0

    def forward(self, x, time, *, labels=None):
        self.calls += 1
        shift = 0 if labels is None else labels[:, None, None].to(x.dtype)
        return 0.3 * x + time[:, None, None] + 0.1 * shift


def upstream_v_sampling(net, x, steps):
    """Upstream's arithmetic, written out: v-DDIM on equal angles."""
    sigmas = torch.linspace(1, 0, steps + 1)
    for now, then in pairwise(sigmas):
        v = net(x, now.expand(len(x)))
        alpha, beta = torch.cos(now * math.pi / 2), torch.sin(now * math.pi / 2)
        clean, noise = alpha * x - beta * v, beta * x + alpha * v
        x = torch.cos(then * math.pi / 2) * clean + torch.sin(then * math.pi / 2) * noise
    return x


@pytest.mark.parametrize("steps", [1, 2, 10, 50])
def test_vsampler_equals_upstreams_arithmetic(steps):
    x = torch.randn(3, 2, 64)
    torch.testing.assert_close(
        VSampler(Affine())(x, steps), upstream_v_sampling(Affine(), x, steps), atol=2e-6, rtol=1e-5
    )


def test_vsampler_refuses_no_steps():
    with pytest.raises(ValueError, match="num_steps must be at least 1, got 0"):
        VSampler(Affine())(torch.zeros(1, 1, 4), 0)


def test_linear_schedule_falls_from_start_to_end():
    times = LinearSchedule(0.8, 0.2)(4, torch.device("cpu"))
    torch.testing.assert_close(times, torch.tensor([0.8, 0.6, 0.4, 0.2]))


def test_guidance_extrapolates_in_one_batched_call():
    """null + scale (cond - null), by one call on twice the batch."""
    net, x, time = Affine(), torch.randn(2, 1, 8), torch.tensor([0.3, 0.6])
    labels, null = torch.tensor([3, 5]), torch.tensor([-1, -1])

    def denoise(x, time, **cond):
        return bind_denoiser(net, HalfCircle(), VPrediction(), **cond)(x, time)

    guided = ClassifierFreeGuidance(3.0)(denoise, {"labels": labels}, {"labels": null})(x, time)
    assert net.calls == 1
    with_label, without = denoise(x, time, labels=labels), denoise(x, time, labels=null)
    torch.testing.assert_close(guided, without + 3.0 * (with_label - without))


def test_guidance_of_scale_one_is_a_single_plain_call():
    net, x, time = Affine(), torch.randn(2, 1, 8), torch.tensor([0.3, 0.6])

    def denoise(x, time, **cond):
        return bind_denoiser(net, HalfCircle(), VPrediction(), **cond)(x, time)

    labels = torch.tensor([3, 5])
    guided = ClassifierFreeGuidance(1.0)(denoise, {"labels": labels}, {})(x, time)
    assert net.calls == 1
    assert torch.equal(guided, denoise(x, time, labels=labels))
    with pytest.raises(ValueError, match="null condition"):
        ClassifierFreeGuidance(2.0)(denoise, {"labels": labels}, {})
