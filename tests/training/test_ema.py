"""The running mean equals its closed form, and is no other name of the model."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.training import EMA, PowerDecay


class Walker(nn.Module):
    """One weight and one buffer to move by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def walk(self, step: int) -> None:
        with torch.no_grad():
            self.weight.fill_(float(step) ** 1.5)
            self.count.fill_(step)

    def forward(self, x):
        return x * self.weight


def averaged(walker: Walker, decay: PowerDecay, steps: int) -> EMA:
    ema = EMA(walker, decay)
    for step in range(steps):
        walker.walk(step)
        ema.update(walker)
    return ema


@pytest.mark.parametrize("power", [0.0, 2 / 3, 1.0])
def test_mean_is_the_weighted_sum_of_the_walk(power):
    decay = PowerDecay(decay=0.95, power=power, inv_gamma=3.0, warmup_steps=4)
    steps = 60
    ema = averaged(Walker(), decay, steps)
    decays = [0.0] + [decay(step) for step in range(1, steps)]  # the first update copies
    expected = 0.0
    for step in range(steps):
        share = 1.0 - decays[step]
        for later in decays[step + 1 :]:
            share *= later
        expected += share * float(step) ** 1.5
    torch.testing.assert_close(ema.module.weight, torch.full((3,), expected, dtype=torch.float64))


def test_constant_decay_of_a_ramp_lags_by_its_time_constant():
    walker = Walker()
    ema = EMA(walker, PowerDecay(decay=0.9, power=0.0))
    for step in range(300):
        nn.init.constant_(walker.weight, float(step))
        ema.update(walker)
    # A mean with decay d follows a ramp d / (1 - d) steps behind.
    torch.testing.assert_close(ema.module.weight, torch.full((3,), 299.0 - 9.0).double())


def test_power_decay_grows_to_its_cap_and_copies_in_the_warm_up():
    decay = PowerDecay(decay=0.99, power=0.75, inv_gamma=2.0, warmup_steps=10)
    values = [decay(step) for step in range(2000)]
    assert values[:11] == [0.0] * 11
    assert values[10 + 6] == pytest.approx(1 - 4**-0.75)
    assert values == sorted(values) and values[-1] == 0.99


def test_buffers_are_copied_and_the_copy_is_independent():
    walker = Walker()
    ema = averaged(walker, PowerDecay(), 5)
    assert ema.module.count == 4
    before = ema.module.weight.clone()
    nn.init.zeros_(walker.weight)
    assert torch.equal(ema.module.weight, before) and before.abs().sum() > 0
    assert not ema(torch.ones(3)).requires_grad
    assert not ema.train().module.training


def test_state_dict_goes_on_exactly_and_the_mean_pickles():
    walker = Walker()
    ema = averaged(walker, PowerDecay(), 7)
    other = EMA(Walker(), PowerDecay())
    other.load_state_dict(ema.state_dict())
    again = pickle.loads(pickle.dumps(copy.deepcopy(ema)))
    for step in range(7, 12):
        walker.walk(step)
        for mean in (ema, other, again):
            mean.update(walker)
    assert torch.equal(ema.module.weight, other.module.weight)
    assert torch.equal(ema.module.weight, again.module.weight)


@pytest.mark.parametrize("wrong", [{"decay": 1.0}, {"power": -1.0}, {"inv_gamma": 0.0}])
def test_values_that_do_not_average_are_refused(wrong):
    with pytest.raises(ValueError, match="EMA"):
        PowerDecay(**wrong)
