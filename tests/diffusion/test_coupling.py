"""The cheapest assignment, and noise that meets signals by it."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from audio_diffusion_pytorch.diffusion.coupling import (
    OptimalTransport,
    assign,
    squared_distances,
)
from audio_diffusion_pytorch.diffusion.objectives import FlowDiffusion


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def total(costs, columns):
    assert columns.dtype == torch.int64
    assert sorted(columns.tolist()) == list(range(len(costs)))
    return float(costs[torch.arange(len(costs)), columns].sum())


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_no_permutation_is_cheaper(size):
    for seed in range(20):
        costs = torch.randn(size, size, generator=seeded(seed), dtype=torch.float64)
        best = min(total(costs, torch.tensor(p)) for p in itertools.permutations(range(size)))
        assert total(costs, assign(costs)) == pytest.approx(best, abs=1e-12)


TABLES = {
    "even": lambda n: torch.rand(n, n, generator=seeded(n), dtype=torch.float64),
    "distances": lambda n: torch.cdist(*torch.randn(2, n, 2, generator=seeded(n)).double()) ** 2,
    "huge": lambda n: 1e12 * torch.randn(n, n, generator=seeded(n), dtype=torch.float64),
    "ties": lambda n: torch.randint(0, 4, (n, n), generator=seeded(n)).double(),
    "all equal": lambda n: torch.ones(n, n, dtype=torch.float64),
    "product": lambda n: torch.outer(torch.arange(n), torch.arange(n)).double(),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("size", [2, 17, 64, 200])
def test_as_cheap_as_scipy(table, size):
    costs = TABLES[table](size)
    rows, columns = linear_sum_assignment(costs.numpy())
    cheapest = float(costs.numpy()[rows, columns].sum())
    assert total(costs, assign(costs)) == pytest.approx(cheapest, rel=1e-12, abs=1e-9)
    assert torch.equal(assign(costs), assign(costs.clone()))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(1, 9).flatmap(
        lambda n: st.lists(st.integers(-3, 3), min_size=n * n, max_size=n * n)
    )
)
def test_small_whole_tables(values):
    size = math.isqrt(len(values))
    costs = torch.tensor(values, dtype=torch.float64).reshape(size, size)
    rows, columns = linear_sum_assignment(costs.numpy())
    assert total(costs, assign(costs)) == costs.numpy()[rows, columns].sum()


def test_empty_table_and_bad_ones():
    assert assign(torch.zeros(0, 0)).shape == (0,)
    with pytest.raises(ValueError, match="square"):
        assign(torch.zeros(2, 3))
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            assign(torch.tensor([[0.0, wrong], [0.0, 0.0]]))


def batch(size=24, dtype=torch.float64):
    return torch.randn(2, size, 2, 3, generator=seeded(size), dtype=dtype)


def test_distances():
    x, noise = batch()
    expected = (x[:, None] - noise[None]).square().sum((2, 3))
    torch.testing.assert_close(squared_distances(x, noise), expected)
    mask = torch.rand(24, 1, 3, generator=seeded()) < 0.5
    kept = mask.expand_as(x)
    expected = ((x[:, None] - noise[None]).square() * kept[:, None]).sum((2, 3))
    torch.testing.assert_close(squared_distances(x, noise, kept), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_noise_is_reordered_to_the_least_distance(dtype):
    x, noise = batch(dtype=dtype)
    paired = OptimalTransport()(x, noise, None, {})
    assert paired.dtype == dtype
    rows = {tuple(row.flatten().tolist()) for row in noise}
    assert {tuple(row.flatten().tolist()) for row in paired} == rows  # a permutation of the noise
    costs = squared_distances(x.double(), noise.double())
    _, columns = linear_sum_assignment(costs.numpy())
    torch.testing.assert_close(paired, noise[columns])
    assert (x - paired).square().sum() < 0.8 * (x - noise).square().sum()


def test_in_one_dimension_it_sorts():
    x, noise = torch.randn(2, 50, 1, 1, generator=seeded(), dtype=torch.float64)
    paired = OptimalTransport()(x, noise, None, {})
    assert torch.equal(paired.flatten()[x.flatten().argsort()], noise.flatten().sort().values)
    costs = squared_distances(x, noise)
    least = total(costs, assign(costs))
    assert float((x - paired).square().sum()) == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize(("values", "share"), [(2, 0.08), (16, 0.5), (1024, 0.93)])
def test_what_a_pairing_is_worth(values, share):
    """The mean squared distance of 64 white items to their noise, against chance (2 a value)."""
    ratios = []
    for seed in range(40 if values == 2 else 8):
        x, noise = torch.randn(2, 64, 1, values, generator=seeded(seed))
        ratios.append((x - OptimalTransport()(x, noise, None, {})).square().mean() / 2)
    assert torch.stack(ratios).mean().item() == pytest.approx(share, abs=0.01)


def test_padding_does_not_count():
    x, noise = batch(16)
    mask = torch.tensor([True, True, False]).expand(16, 1, 3)
    expected = OptimalTransport()(x[..., :2], noise[..., :2], None, {})
    loud = torch.where(mask, x, 1e4 * torch.randn(16, 2, 3, generator=seeded()).double())
    assert torch.equal(OptimalTransport()(loud, noise, mask, {})[..., :2], expected)


def test_within_a_condition_noise_stays_in_its_group():
    """Each group is paired as if it were alone, so noise says nothing about the label."""
    x, noise = batch()
    labels = torch.randint(-1, 3, (24, 1), generator=seeded())
    paired = OptimalTransport(within="labels")(x, noise, None, {"labels": labels})
    for value in range(-1, 3):
        group = labels[:, 0] == value
        assert torch.equal(paired[group], OptimalTransport()(x[group], noise[group], None, {}))
    with pytest.raises(ValueError, match="'labels'"):
        OptimalTransport(within="labels")(x, noise, None, {})
    with pytest.raises(ValueError, match="24 items"):
        OptimalTransport(within="labels")(x, noise, None, {"labels": labels[:3]})


class Recorder(torch.nn.Module):
    def forward(self, x, time, labels):
        self.seen = x
        self.labels = labels
        return torch.zeros_like(x)


def test_the_objective_moves_the_noise_and_nothing_else():
    x, _ = batch(16, torch.float32)
    labels = torch.arange(16)
    nets = Recorder(), Recorder()
    plain, coupled = FlowDiffusion(nets[0]), FlowDiffusion(nets[1], coupling=OptimalTransport())
    times = torch.ones(16)  # the net sees pure noise
    for objective in (plain, coupled):
        objective(x, generator=seeded(1), times=times, labels=labels)
    assert torch.equal(nets[1].labels, labels)
    assert torch.equal(nets[1].seen, OptimalTransport()(x, nets[0].seen, None, {}))
    fixed = torch.randn_like(x)
    coupled(x, times=times, noise=fixed, labels=labels)
    assert torch.equal(nets[1].seen, fixed)  # given noise is not touched
