"""Noise sources: Gaussian streams per item, and Brownian paths that every step count shares."""

import copy
import math
import pickle
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

from audio_diffusion_pytorch.diffusion.noise import BrownianNoise, GaussianNoise, _bisect, _mix

inf = math.inf


class LogSNR:
    """A schedule whose times are log-SNRs: the noise sources ask a schedule for nothing else."""

    def alpha_sigma(self, time):
        return torch.sigmoid(time).sqrt(), torch.sigmoid(-time).sqrt()

    def log_snr(self, time):
        return time

    def time_at(self, log_snr):
        return log_snr


def brownian(seed):
    return BrownianNoise(LogSNR(), seed)


def at(level, items=1):
    """One level for every item."""
    return torch.full((items,), float(level), dtype=torch.float64)


def assert_standard(z):
    """Mean 0, variance 1, kurtosis 3, each within five standard errors."""
    n = z.numel()
    z = z.double()
    assert abs(z.mean()) < 5 / math.sqrt(n)
    assert abs(z.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((z**4).mean() - 3) < 5 * math.sqrt(96 / n)


# SNR 1e-8 is -18.4 nats, 1e8 is +18.4: wide steps, narrow ones at both ends and about 0, and ends
STEPS = [
    (-18.4, 18.4), (-18.4, -18.3), (-0.003, 0.003), (0.0, 0.001), (18.3, 18.4), (3.0, 9.0),
    (-inf, -9.0), (-inf, inf), (9.0, inf), (217.0, 218.0),
]  # fmt: skip


@pytest.mark.parametrize(("here", "there"), STEPS)
def test_brownian_noise_has_unit_variance_over_any_step(here, there):
    z = brownian(1)(torch.zeros(1, 1, 100_000), at(here), at(there))
    assert_standard(z)


def test_elements_channels_items_and_seeds_are_independent():
    x = torch.zeros(2, 2, 50_000)
    first, second = brownian(1)(x, at(0.0, 2), at(0.5, 2)), brownian(2)(x, at(0.0, 2), at(0.5, 2))
    rows = torch.cat([first.flatten(0, 1), second.flatten(0, 1), first[0, :1].roll(1)])
    off_diagonal = torch.corrcoef(rows.double()) - torch.eye(9)
    assert off_diagonal.abs().max() < 5 / math.sqrt(50_000)


@pytest.mark.parametrize(
    "levels", [(-18.4, -6.0, 0.0, 5.0, 18.4), (-1.0, -0.99, 0.1, 0.101, 0.3), (-inf, -9, 9, inf)]
)
def test_disjoint_increments_are_independent(levels):
    noise, x = brownian(3), torch.zeros(1, 1, 100_000)
    z = torch.stack([
        noise(x, at(a), at(b)).flatten().double() for a, b in pairwise(levels)
    ])  # fmt: skip
    off_diagonal = torch.corrcoef(z) - torch.eye(len(z))
    assert off_diagonal.abs().max() < 5 / math.sqrt(100_000)


@pytest.mark.parametrize("levels", [(-18.4, -18.0, -17.0), (-3.0, 0.2, 0.21), (5.0, 17.0, 18.4)])
def test_increments_add_up(levels):
    """sqrt(c - a) z(a, c) = sqrt(b - a) z(a, b) + sqrt(c - b) z(b, c), in the clock exp(level)."""
    noise, x = brownian(4), torch.zeros(1, 1, 1000, dtype=torch.float64)
    a, b, c = levels
    weight = {(p, q): math.sqrt(math.exp(q) - math.exp(p)) for p, q in ((a, b), (b, c), (a, c))}
    whole, left, right = (
        weight[p, q] * noise(x, at(p), at(q)) for p, q in ((a, c), (a, b), (b, c))
    )
    torch.testing.assert_close(left + right, whole, rtol=1e-10, atol=1e-10 * weight[a, c])


def test_many_small_steps_add_up_to_the_large_one_whatever_was_asked_before():
    """1000 steps and 1 step see the same path, each from an object of its own."""
    x = torch.zeros(1, 1, 8, dtype=torch.float64)
    levels = torch.linspace(-9, 9, 1001, dtype=torch.float64)
    noise, total = brownian(5), torch.zeros_like(x)
    for a, b in pairwise(levels):
        total = total + (b.exp() - a.exp()).sqrt() * noise(x, at(a), at(b))
    whole = brownian(5)(x, at(-9), at(9)) * math.sqrt(math.exp(9) - math.exp(-9))
    torch.testing.assert_close(total, whole, rtol=1e-9, atol=1e-9)


def test_the_order_of_queries_does_not_matter():
    x = torch.zeros(2, 1, 16)
    steps = [(-4.0, -1.0), (-1.0, 2.0), (2.0, inf), (-4.0, 2.0), (-inf, -4.0)]
    noise = brownian(6)
    forward = [noise(x, at(a, 2), at(b, 2)) for a, b in steps]
    for (a, b), seen in reversed(list(zip(steps, forward, strict=True))):
        assert torch.equal(noise(x, at(a, 2), at(b, 2)), seen)
        assert torch.equal(brownian(6)(x, at(a, 2), at(b, 2)), seen)


def test_going_back_up_meets_the_same_increment():
    x = torch.zeros(1, 1, 16)
    down = brownian(7)(x, at(-2.0), at(1.0))
    assert torch.equal(brownian(7)(x, at(1.0), at(-2.0)), down)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_is_its_items_bit_for_bit(dtype):
    x, seeds = torch.zeros(4, 2, 37, dtype=dtype), [3, -1, 2**70, 3]
    batch = brownian(seeds)(x, at(-1.0, 4), at(0.3, 4))
    for i, seed in enumerate(seeds):
        assert torch.equal(brownian([seed])(x[:1], at(-1.0), at(0.3)), batch[i : i + 1])
    assert torch.equal(batch[0], batch[3])
    assert not torch.equal(batch[0], batch[1])


def test_one_seed_gives_each_item_a_path_of_its_own_in_any_batch():
    x = torch.zeros(4, 1, 32)
    batch = brownian(9)(x, at(0.0, 4), at(1.0, 4))
    assert torch.equal(brownian(9)(x[:2], at(0.0, 2), at(1.0, 2)), batch[:2])
    assert torch.equal(brownian([9])(x[:1], at(0.0), at(1.0)), batch[:1])
    assert not torch.equal(batch[0], batch[1])


def test_levels_per_item_and_per_position_walk_the_same_path():
    """Each position at its own level gets what it would get if all stood at that level."""
    x, noise = torch.zeros(2, 3, 5), brownian(11)
    here = torch.tensor([-inf, -2.0, 0.0, 4.0, 9.0], dtype=torch.float64)
    there = torch.tensor([-3.0, 1.0, 0.5, inf, 9.0], dtype=torch.float64)
    together = noise(x, here.expand(2, 1, 5), there.expand(2, 1, 5))
    assert together.isfinite().all()
    for i in range(5):
        alone = noise(x, at(here[i], 2), at(there[i], 2))
        assert torch.equal(together[..., i], alone[..., i])
    per_item = noise(x, here[1:3], there[1:3])
    for i in range(2):
        assert torch.equal(per_item[i], noise(x, at(here[1 + i], 2), at(there[1 + i], 2))[i])


def test_the_path_is_the_same_in_every_dtype():
    exact = brownian(12)(torch.zeros(1, 1, 64, dtype=torch.float64), at(-1.0), at(1.0))
    for dtype, close in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2)):
        z = brownian(12)(torch.zeros(1, 1, 64, dtype=dtype), at(-1.0), at(1.0))
        assert z.dtype == dtype
        torch.testing.assert_close(z.double(), exact, atol=close, rtol=close)


def test_the_mixer_is_splitmix64():
    """The first outputs of the generator with seed 0, as published with it."""
    golden = 0x9E3779B97F4A7C15 - 2**64
    made = [_mix(torch.tensor(i) * golden).item() % 2**64 for i in range(3)]
    assert made == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_the_path_of_a_seed_stays_what_it_is():
    """Seeds are for keeping: the figures of the first version, to notice a change of the path."""
    z = brownian(0)(torch.zeros(1, 1, 3, dtype=torch.float64), at(-1.0), at(1.0))
    assert z.flatten().tolist() == pytest.approx([-0.2479682, -0.9182738, -0.9486253], abs=1e-6)


def test_a_kept_level_is_not_computed_again_nor_mistaken_for_another(monkeypatch):
    noise, x, walks = brownian(13), torch.zeros(1, 1, 16), []

    def counted(level, *rest):
        walks.append(level)
        return _bisect(level, *rest)

    monkeypatch.setattr(sys.modules[BrownianNoise.__module__], "_bisect", counted)
    noise(x, at(0.0), at(1.0))
    noise(x, at(1.0), at(2.0))
    assert [level.item() for level in walks] == [0.0, 1.0, 2.0]
    wider = torch.zeros(1, 1, 24)
    assert torch.equal(noise(wider, at(1.0), at(2.0)), brownian(13)(wider, at(1.0), at(2.0)))
    seeds = brownian([1, 2])
    seeds(torch.zeros(2, 1, 4), at(0.0, 2), at(1.0, 2))
    z = seeds(torch.zeros(2, 1, 4), at(1.0, 2), torch.tensor([2.0, 3.0], dtype=torch.float64))
    assert torch.equal(z[0], brownian(1)(torch.zeros(1, 1, 4), at(1.0), at(2.0))[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_sources_copy_and_pickle(copied):
    x, here, there = torch.zeros(2, 1, 8), at(0.0, 2), at(1.0, 2)
    noise = brownian(14)
    noise(x, here, there)
    assert torch.equal(copied(noise)(x, there, at(2.0, 2)), noise(x, there, at(2.0, 2)))
    for noise in (GaussianNoise(torch.Generator().manual_seed(1)), GaussianNoise(seeds=[1, 2])):
        noise(x, here, there)
        assert torch.equal(copied(noise)(x, here, there), noise(x, here, there))


def test_gaussian_noise_follows_its_generator_and_is_fresh_at_each_call():
    x = torch.zeros(2, 1, 50_000)
    noise = GaussianNoise(torch.Generator().manual_seed(0))
    first, second = noise(x, at(0), at(1)), noise(x, at(0), at(1))
    again = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first, again)
    assert_standard(second)
    assert abs((first * second).mean()) < 5 / math.sqrt(x.numel())


def test_gaussian_noise_without_a_generator_is_torchs_global_one():
    x = torch.zeros(2, 1, 8)
    torch.manual_seed(5)
    drawn = GaussianNoise()(x, at(0), at(1))
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.randn(x.shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gaussian_noise_with_seeds_gives_an_item_the_same_in_any_batch(dtype):
    x = torch.zeros(4, 2, 33, dtype=dtype)
    batch = GaussianNoise(seeds=[1, 2, 3, 4])
    singles = [GaussianNoise(seeds=[seed]) for seed in (1, 2, 3, 4)]
    for _ in range(3):
        z = batch(x, at(0), at(1))
        assert z.dtype == dtype
        for i, single in enumerate(singles):
            assert torch.equal(single(x[:1], at(0), at(1)), z[i : i + 1])


def test_bad_seeds_and_generators_are_refused_in_one_line():
    x = torch.zeros(3, 1, 4)
    for noise in (brownian([1, 2]), GaussianNoise(seeds=[1, 2])):
        with pytest.raises(ValueError, match="one seed per item of the batch, got 2 for 3 items"):
            noise(x, at(0, 3), at(1, 3))
    with pytest.raises(ValueError, match="got both"):
        GaussianNoise(torch.Generator(), seeds=[1])
    with pytest.raises(ValueError, match="generator must be on the device of the draw, meta"):
        GaussianNoise(torch.Generator())(x.to("meta"), at(0), at(1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: brownian("12"), "seeds must be whole numbers, one per item, got '12'"),
        (lambda: brownian(None), "got None"),
        (lambda: brownian([1, 2.5]), r"got \[1, 2.5\]"),
        (lambda: brownian(torch.tensor([0.5])), r"got \[0.5\]"),
        (lambda: GaussianNoise(seeds="12"), "got '12'"),
        (lambda: GaussianNoise(seeds=3), r"one seed per item, got the single seed 3.*seeds=\[3\]"),
    ],
)
def test_seeds_that_are_no_whole_numbers_are_refused_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_seeds_may_be_a_tensor_an_array_or_a_range():
    x = torch.zeros(2, 1, 4)
    for make in (brownian, lambda seeds: GaussianNoise(seeds=seeds)):
        wanted = make([1, 2])(x, at(0, 2), at(1, 2))
        for seeds in (torch.tensor([1, 2]), np.array([1, 2]), range(1, 3)):
            assert torch.equal(make(seeds)(x, at(0, 2), at(1, 2)), wanted)
    wanted = brownian(7)(x, at(0, 2), at(1, 2))
    assert torch.equal(brownian(torch.tensor(7))(x, at(0, 2), at(1, 2)), wanted)


@pytest.mark.gpu
def test_a_gpu_walks_the_same_path():
    x, levels = torch.zeros(2, 1, 1000), (at(-1.0, 2), at(0.5, 2))
    z = brownian(15)(x.cuda(), *(level.cuda() for level in levels))
    torch.testing.assert_close(z.cpu(), brownian(15)(x, *levels), atol=1e-4, rtol=1e-4)
