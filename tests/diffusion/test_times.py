"""The laws of training times, alone and over the parts of one batch."""

import copy
import math
import pickle

import pytest
import torch
import torch.distributed as dist
from scipy import stats
from torch import nn

from audio_diffusion_pytorch.diffusion.noise_schedules import (
    HalfCircle,
    StraightPath,
    VarianceExploding,
)
from audio_diffusion_pytorch.diffusion.times import (
    Distribution,
    LogitNormal,
    LogNormalDistribution,
    Sobol,
    Stratified,
    UniformDistribution,
    VKDistribution,
    draw_times,
    shared_strata,
)

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sigma_of_half_circle(sigma):
    """The cumulative distribution of `tan(pi u / 2)`, u even."""
    return 2 / math.pi * torch.atan(torch.as_tensor(sigma)).numpy()


LAWS = {
    "uniform": (UniformDistribution(), stats.uniform.cdf),
    "range": (UniformDistribution(0.2, 0.6), stats.uniform(0.2, 0.4).cdf),
    "stratified": (Stratified(), stats.uniform.cdf),
    "sobol": (Sobol(), stats.uniform.cdf),
    "sobol, range": (Sobol(0.2, 0.6), stats.uniform(0.2, 0.4).cdf),
    "logit-normal, sobol": (
        LogitNormal(0.5, 0.8, draws=Sobol()),
        lambda t: stats.norm(0.5, 0.8).cdf(torch.logit(torch.as_tensor(t)).numpy()),
    ),
    "logit-normal": (
        LogitNormal(0.5, 0.8),
        lambda t: stats.norm(0.5, 0.8).cdf(torch.logit(torch.as_tensor(t)).numpy()),
    ),
    "log-normal": (LogNormalDistribution(), stats.lognorm(1.2, scale=math.exp(-1.2)).cdf),
    "log-normal, stratified": (
        LogNormalDistribution(draws=Stratified()),
        stats.lognorm(1.2, scale=math.exp(-1.2)).cdf,
    ),
    "log-normal in times": (
        LogNormalDistribution(0.0, 1.0, HalfCircle()),  # log tan(pi t / 2) is normal
        lambda t: stats.norm.cdf(torch.log(torch.tan(torch.as_tensor(t) * math.pi / 2)).numpy()),
    ),
    "tangent": (VKDistribution(), sigma_of_half_circle),
}


@pytest.mark.parametrize("name", LAWS)
def test_law(name):
    """Kolmogorov-Smirnov: under its law a p-value is below 1e-4 once in ten thousand seeds."""
    sampler, law = LAWS[name]
    times = sampler(4096, CPU, seeded(3))
    assert times.dtype == torch.float32
    assert stats.kstest(times.double().numpy(), law).pvalue > 1e-4
    other = stats.kstest((times.double() ** 1.2).numpy(), law).pvalue
    assert other < 1e-4  # the test can tell


def test_sigmas_and_times_are_the_same_levels():
    """With a schedule the samplers give the times at which `sigma / alpha` is the sigma drawn."""
    for schedule in (HalfCircle(), StraightPath(), VarianceExploding(1e4)):
        for kind in (LogNormalDistribution, VKDistribution):
            sigmas = kind()(64, CPU, seeded(1))
            alpha, sigma = schedule.alpha_sigma(kind(noise_schedule=schedule)(64, CPU, seeded(1)))
            torch.testing.assert_close(sigma / alpha, sigmas, rtol=1e-4, atol=0)


def test_levels_beyond_a_schedule_are_its_ends():
    times = LogNormalDistribution(20.0, 0.1, VarianceExploding(80.0))(8, CPU)
    assert times.tolist() == [1.0] * 8


def test_range_of_the_tangent():
    sigmas = VKDistribution(0.1, 5.0, sigma_data=0.5)(4096, CPU, seeded())
    assert 0.1 <= sigmas.min() < 0.11 and 4.9 < sigmas.max() <= 5.0
    assert VKDistribution(draws=lambda n, *_: torch.ones(n))(3, CPU).isfinite().all()


def test_extreme_even_draws_stay_finite():
    ends = LogNormalDistribution(draws=lambda n, *_: torch.tensor([0.0, 1.0]))
    assert ends(2, CPU).log().isfinite().all()
    assert ends(2, CPU).diff() > 0


def parts_of(samplers, size, seed):
    """What each part of a batch draws, from generators of their own, (parts, size)."""
    return torch.stack(
        [s(size, CPU, seeded(1000 * seed + number)) for number, s in enumerate(samplers)]
    )


def test_four_ranks_share_the_strata_of_one_batch():
    """64 strata over 4 ranks of 16: each holds exactly one time, at every step."""
    ranks = [Stratified(rank=rank, world_size=4) for rank in range(4)]
    for step in range(20):
        times = parts_of(ranks, 16, step)
        assert (times.flatten() * 64).floor().sort().values.tolist() == list(range(64))
        for mine in times:  # and every rank alone covers all levels
            assert (mine * 16).floor().sort().values.tolist() == list(range(16))


def test_accumulation_shares_them_too():
    """Two ranks of three micro-batches: 6 calls fill 6 times as many strata."""
    ranks = [Stratified(rank=rank, world_size=2, accumulation=3) for rank in range(2)]
    for step in range(5):
        calls = [parts_of(ranks, 8, 10 * step + micro) for micro in range(3)]
        cells = (torch.stack(calls).flatten() * 48).floor().sort().values
        assert cells.tolist() == list(range(48))


@pytest.mark.parametrize("part", [0, 3])
def test_each_time_of_a_part_is_uniform(part):
    """The first and the last rank see all times alike, and so does the first item of each."""
    sampler = Stratified(rank=part, world_size=4)
    times = torch.stack([sampler(2, CPU, seeded(step)) for step in range(4000)])
    assert stats.kstest(times[:, 0].double().numpy(), stats.uniform.cdf).pvalue > 1e-4
    fine = torch.bincount((times.flatten() * 8).long(), minlength=8)  # 8 cells of 1000
    assert stats.chisquare(fine.numpy()).pvalue > 1e-4


def test_shared_strata_say_the_part():
    """A training loop's numbers decide, not the count of calls: a resumed run draws the same."""

    def step(sampler, number):
        times = []
        for part in range(3):
            with shared_strata(seed=number, part=part, parts=3):
                times.append(sampler(4, CPU, seeded(10 * number + part)))
        return torch.stack(times)

    first, resumed = Stratified(), Stratified()
    history = [step(first, number) for number in range(6)]
    for number in range(3, 6):
        assert torch.equal(step(resumed, number), history[number])
    for times in history:
        assert (times.flatten() * 12).floor().sort().values.tolist() == list(range(12))
    assert not torch.equal(history[0], history[1])
    nested = LogNormalDistribution(draws=Stratified())
    with shared_strata(1, 0, 3):
        low = stats.norm.cdf((nested(4, CPU, seeded()).log() + 1.2) / 1.2) * 4
    assert sorted(low.astype(int)) == [0, 1, 2, 3]


def test_one_part_is_drawn_as_it_always_was():
    """`(order + place) / n` from the generator alone, bit for bit, in any call."""
    sampler = Stratified(accumulation=1)
    for seed in range(3):
        generator = seeded(seed)
        order = torch.randperm(16, generator=generator)
        expected = (order + torch.rand(16, generator=generator)) / 16
        assert torch.equal(sampler(16, CPU, seeded(seed)), expected)
        with shared_strata(seed, 0, 1):
            assert torch.equal(sampler(16, CPU, seeded(seed)), expected)


def test_the_process_group_is_read_when_drawing(monkeypatch):
    samplers = [Stratified(), Stratified()]
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    times = []
    for rank, sampler in enumerate(samplers):
        monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
        times.append(sampler(8, CPU, seeded(rank)))
    cells = (torch.stack(times).flatten() * 16).floor().sort().values
    assert cells.tolist() == list(range(16))


@pytest.mark.parametrize("size", [1, 2, 16, 64])
def test_every_piece_of_a_sobol_batch_is_even(size):
    """Each run of `size` items has one time in each of as many strata, down to one item."""
    for seed in range(10):
        runs = Sobol()(64, CPU, seeded(seed)).reshape(-1, size)
        for run in runs:
            assert (run * size).floor().sort().values.tolist() == list(range(size))


def test_halves_of_a_batch_tell_sobol_from_stratified():
    """The mean loss over a quarter of a batch, against independent times."""

    def spread(sampler):
        quarters = [sampler(32, CPU, seeded(seed))[:8] for seed in range(400)]
        return torch.stack([torch.exp(-3 * times).mean() for times in quarters]).var()

    alone = spread(UniformDistribution())
    assert spread(Sobol()) < 0.05 * alone
    assert spread(Stratified()) > 0.5 * alone


@pytest.mark.parametrize("item", [0, 3])
def test_each_time_of_sobol_is_uniform(item):
    times = torch.stack([Sobol()(5, CPU, seeded(seed)) for seed in range(4000)])
    assert times.min() >= 0 and times.max() < 1
    assert stats.kstest(times[:, item].double().numpy(), stats.uniform.cdf).pvalue > 1e-4


def test_parts_of_a_batch_share_a_sobol_sequence():
    """Whatever their generators; another batch is another sequence."""

    def step(number, parts):
        times = []
        for part in range(parts):
            with shared_strata(seed=number, part=part, parts=parts):
                times.append(Sobol()(8, CPU, seeded(part)))
        return torch.stack(times)

    times = step(3, 4)
    assert (times.flatten() * 32).floor().sort().values.tolist() == list(range(32))
    for mine in times:
        assert (mine * 8).floor().sort().values.tolist() == list(range(8))
    assert torch.equal(times, step(3, 4)) and not torch.equal(times, step(4, 4))
    assert torch.equal(step(3, 1)[0], Sobol()(8, CPU, seeded(0)))  # alone, the generator says


@pytest.mark.parametrize("size", [12, 16])
def test_the_mean_loss_over_a_sobol_batch_is_ten_times_calmer(size):
    def spread(sampler):
        batches = [sampler(size, CPU, seeded(seed)) for seed in range(400)]
        return torch.stack([torch.exp(-3 * times).mean() for times in batches]).var()

    assert spread(Sobol()) < 0.1 * spread(UniformDistribution())


@pytest.mark.parametrize("parts", [1, 4])
def test_the_mean_loss_is_ten_times_calmer(parts):
    """Variance of a batch's mean of a smooth loss, against independent times."""

    def spread(ranks):
        batches = [parts_of(ranks, 16 // parts, seed) for seed in range(400)]
        return torch.stack([torch.exp(-3 * times).mean() for times in batches]).var()

    shared = [Stratified(rank=rank, world_size=parts) for rank in range(parts)]
    alone = [UniformDistribution() for _ in range(parts)]
    assert spread(shared) < 0.02 * spread(alone)  # 1 / n^2 of it in the limit
    if parts > 1:  # ranks that know nothing of each other do clearly worse
        assert spread(shared) < 0.2 * spread([Stratified() for _ in range(parts)])


def test_copies_draw_the_same():
    sampler = Stratified(rank=1, world_size=4)
    sampler(3, CPU)
    twins = [copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))]
    expected = sampler(3, CPU, seeded())
    for twin in twins:
        assert torch.equal(twin(3, CPU, seeded()), expected)


class Without(Distribution):
    """A sampler as upstream's users wrote them."""

    def __call__(self, num_samples, device):
        return torch.rand(num_samples, device=device) ** 2


class AsModule(nn.Module):
    def forward(self, num_samples, device, generator=None):
        return torch.rand(num_samples, device=device, generator=generator)


def test_samplers_without_a_generator_follow_it_all_the_same():
    state = torch.get_rng_state()
    first = draw_times(Without(), 8, CPU, seeded(1))
    assert torch.equal(first, draw_times(Without(), 8, CPU, seeded(1)))
    assert not torch.equal(first, draw_times(Without(), 8, CPU, seeded(2)))
    assert torch.equal(state, torch.get_rng_state())  # the global generator is put back
    torch.manual_seed(5)
    expected = torch.rand(8) ** 2
    torch.manual_seed(5)
    assert torch.equal(draw_times(Without(), 8, CPU), expected)  # without one it is used
    generator = seeded(4)
    assert torch.equal(
        draw_times(AsModule(), 8, CPU, generator), torch.rand(8, generator=seeded(4))
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: UniformDistribution(0.7, 0.2), "vmin"),
        (lambda: Sobol(0.7, 0.2), "vmin"),
        (lambda: LogitNormal(draws=Stratified), r"draws .* say Stratified\(\) not Stratified"),
        (lambda: LogNormalDistribution(noise_schedule=HalfCircle), "say HalfCircle"),
        (lambda: VKDistribution(noise_schedule=HalfCircle), "say HalfCircle"),
        (lambda: VKDistribution(draws=Sobol), "say Sobol"),
        (lambda: Stratified(rank=2), "world_size"),
        (lambda: Stratified(rank=4, world_size=4), "got 4 of 4"),
        (lambda: Stratified(accumulation=0), "accumulation"),
        (lambda: LogitNormal(0.0, 0.0), "std"),
        (lambda: LogNormalDistribution(std=-1.0), "std"),
        (lambda: VKDistribution(2.0, 1.0), "min_value"),
        (lambda: shared_strata(0, 3, 3).__enter__(), "part 3 of 3"),
        (lambda: draw_times(lambda n, d: torch.zeros(n + 1), 3, CPU), r"\(3,\)"),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", LAWS)
def test_generator_of_another_device_is_named(name):
    class Elsewhere:
        device = torch.device("cuda")

    with pytest.raises(ValueError, match="generator must be on the device"):
        draw_times(LAWS[name][0], 3, CPU, Elsewhere())
    with pytest.raises(ValueError, match="generator must be on the device"):
        LAWS[name][0](3, CPU, Elsewhere())
