"""Every objective trains a small net that then samples the right law."""

from functools import cache

import pytest
import torch
from scipy import stats
from torch import nn

from audio_diffusion_pytorch.diffusion.closed_form import GaussianMixture
from audio_diffusion_pytorch.diffusion.coupling import OptimalTransport
from audio_diffusion_pytorch.diffusion.noise_schedules import LinearBeta
from audio_diffusion_pytorch.diffusion.objectives import (
    FlowDiffusion,
    GaussianDiffusion,
    KDiffusion,
    VDiffusion,
)
from audio_diffusion_pytorch.diffusion.parameterizations import (
    CleanPrediction,
    EpsilonPrediction,
)
from audio_diffusion_pytorch.diffusion.sampler import sample
from audio_diffusion_pytorch.diffusion.solvers import Euler
from audio_diffusion_pytorch.diffusion.times import (
    LogitNormal,
    LogNormalDistribution,
    Stratified,
)
from audio_diffusion_pytorch.diffusion.weights import LearnedUncertainty, MinSNR

DATA = GaussianMixture((0.3, 0.7), (-1.2, 0.7), (0.25, 0.35))


class Perceptron(nn.Module):
    """Two hidden layers on the value and some waves of the time, each sample by itself."""

    def __init__(self, width=64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, x, time):
        angle = time.reshape(-1, 1, 1)
        waves = [angle, *(wave(k * angle) for k in (1, 2, 4) for wave in (torch.sin, torch.cos))]
        return self.layers(torch.stack([x, *(w.expand_as(x) for w in waves)], -1))[..., 0]


OBJECTIVES = {
    "eps": lambda net: GaussianDiffusion(net, LinearBeta(), EpsilonPrediction(), Stratified()),
    "x0": lambda net: GaussianDiffusion(
        net, LinearBeta(), CleanPrediction(), Stratified(), MinSNR(5.0, soft=True)
    ),
    "v": lambda net: VDiffusion(net, Stratified()),
    "v, learned": lambda net: VDiffusion(net, Stratified(), weight=LearnedUncertainty()),
    "flow": lambda net: FlowDiffusion(net, Stratified()),
    "flow, logit-normal": lambda net: FlowDiffusion(net, LogitNormal(draws=Stratified())),
    "flow, optimal transport": lambda net: FlowDiffusion(net, Stratified(), OptimalTransport()),
    "edm": lambda net: KDiffusion(net, LogNormalDistribution(-0.5, 1.5, draws=Stratified()), 1.0),
}


@cache
def trained(name, steps=300):
    """The objective after some hundred steps, and its losses."""
    torch.manual_seed(0)
    objective = OBJECTIVES[name](Perceptron())
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(objective.parameters(), 2e-2)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(steps):
        loss = objective(DATA.sample((512, 1, 1), generator, torch.float32), generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        losses.append(loss.item())
    return objective, losses


def distance_to_data(objective, steps):
    """Kolmogorov-Smirnov distance of Euler's samples to the law of the data, and the samples."""
    schedule = objective.schedule
    start = torch.randn(4096, 1, 1, generator=torch.Generator().manual_seed(2))
    start = start * schedule.alpha_sigma(torch.ones(()))[1]
    times = torch.linspace(1, 0, steps + 1)
    sounds = sample(objective.denoiser(), start, times, Euler(), schedule).flatten()

    def law(x):
        parts = zip(DATA.weights, DATA.means, DATA.stds, strict=True)
        return sum(weight * stats.norm(mean, std).cdf(x) for weight, mean, std in parts)

    return stats.kstest(sounds.double().numpy(), law).statistic, sounds


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_trained_net_samples_the_law_of_the_data(name):
    objective, losses = trained(name)
    assert sum(losses[-50:]) < sum(losses[:50])
    distance, sounds = distance_to_data(objective, 60)
    assert abs(sounds.mean() - DATA.mean) < 0.1
    assert abs(sounds.std() / DATA.std - 1) < 0.08
    assert distance < 0.11  # a Gaussian of the same mean and deviation is 0.18 off


def test_optimal_transport_straightens_the_paths():
    """In one dimension its paths do not cross, so that few steps do what took many."""
    apart, _ = trained("flow")
    paired, _ = trained("flow, optimal transport")
    for steps in (1, 2):
        assert distance_to_data(paired, steps)[0] < 0.5 * distance_to_data(apart, steps)[0]
