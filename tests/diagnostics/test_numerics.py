"""A number that is not finite is traced to the module that made it, on the way there and back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics.numerics import (
    BlockHealth,
    NumericsWatch,
    called_blocks,
    check_numerics,
    count_numbers,
)
from audio_diffusion_pytorch.models.clip_loss import diffusion_loss


class Overflow(nn.Module):
    """Says infinity of finite numbers."""

    def forward(self, x):
        return x / (x - x)


class _Poison(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone()
        gradient.flatten()[0] = math.nan
        return gradient


class Poison(nn.Module):
    """Does nothing, but for a NaN in the gradient it passes on."""

    def forward(self, x):
        return _Poison.apply(x)


class Residual(nn.Module):
    """A block whose own step, between its parts, can go wrong."""

    def __init__(self, step=lambda x: x):
        super().__init__()
        self.first, self.second, self.step = nn.Linear(3, 3), nn.Linear(3, 3), step

    def forward(self, x):
        return x + self.second(self.step(self.first(x)))


def step_under_watch(model, x, loss=torch.sum):
    with NumericsWatch(model) as watch:
        loss(model(x)).backward()
    return watch


def test_what_tensors_hold_is_counted_however_nested():
    found = count_numbers(
        {"a": torch.tensor([1.0, math.nan, -7.0]), "b": [(torch.tensor(math.inf), 3), "x"],
         "c": torch.tensor([9])}
    )  # fmt: skip
    assert (found.count, found.nan, found.infinite, found.largest) == (4, 1, 1, 7.0)
    assert found.text == "1 NaN and 1 infinite of 4 numbers" and not found.finite
    assert count_numbers(None).finite and count_numbers(torch.ones(2)).text == "0 NaN of 2 numbers"


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_module_that_overflows_is_named_with_what_it_was_given(index):
    layers = [nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)]
    layers.insert(index, Overflow())
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(*layers))
    found = step_under_watch(model, torch.ones(2, 3)).culprit
    assert (found.where, found.kind, found.during) == (f"1.{index}", "Overflow", "forward")
    assert found.made.infinite == found.made.count == 6 and found.of.finite
    assert 0 < found.of.largest < 10 and not found.weights and not found.passed_by
    assert found.text.startswith(f"1.{index} (Overflow) made them: 6 infinite of 6 numbers, of ")


def test_weights_that_are_not_finite_are_named():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    with torch.no_grad():
        model[1].weight[1, 2] = math.nan
    found = step_under_watch(model, torch.ones(2, 3)).culprit
    assert found.where == "1" and found.made.nan == 2
    assert found.weights == ("weight (1 NaN of 9 numbers)",)
    assert "not finite are its weight (1 NaN of 9 numbers)" in found.text


def test_the_own_step_of_a_block_is_told_from_its_parts():
    model = nn.Sequential(nn.Linear(3, 3), Residual(lambda x: x / 0.0))
    found = step_under_watch(model, torch.ones(2, 3)).culprit
    assert (found.where, found.passed_by) == ("1", "1.second")
    assert "in its own steps, and 1.second met them first" in found.text


def test_what_the_model_is_given_is_not_its_fault():
    found = step_under_watch(nn.Linear(3, 3), torch.full((1, 3), math.nan)).culprit
    assert found.during == "given"
    assert found.text == "the model itself (Linear) was given them: 3 NaN of 3 numbers"


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_gradient_is_traced_to_the_module_that_spoilt_it(index):
    layers = [Residual(), nn.Tanh(), nn.Linear(3, 3)]
    layers.insert(index, Poison())
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(*layers))
    found = step_under_watch(model, torch.ones(2, 3)).culprit
    assert (found.where, found.kind, found.during) == (f"1.{index}", "Poison", "backward")
    assert (found.made.nan, found.of.nan) == (1, 0) and found.of.largest > 0
    assert found.text.startswith(f"the gradient of 1.{index} (Poison) made them: 1 NaN of 6 ")


def test_a_branch_is_blamed_and_not_its_neighbour():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.good, self.bad, self.same = nn.Linear(3, 3), Poison(), nn.Identity()

        def forward(self, x):
            return self.good(x) + self.bad(x) + self.same(x)

    model = nn.Sequential(nn.Linear(3, 3), Two())
    assert step_under_watch(model, torch.ones(2, 3)).culprit.where == "1.bad"


def test_the_gradient_of_a_blocks_own_step_and_of_a_weight():
    def root(x):
        return torch.sqrt(x - x)

    found = step_under_watch(nn.Sequential(nn.Linear(3, 3), Residual(root)), torch.ones(2, 3))
    assert (found.culprit.where, found.culprit.during) == ("1", "backward")
    assert found.culprit.passed_by == "1.first"

    class Gain(nn.Module):  # a gradient that is infinite for the weight alone
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return x + self.gain.sqrt()

    found = step_under_watch(nn.Sequential(nn.Linear(3, 3), Gain()), torch.ones(2, 3))
    assert (found.culprit.where, found.culprit.kind) == ("1", "Gain")
    assert found.culprit.made.infinite == 3


def test_a_loss_that_spoils_finite_answers_blames_nobody():
    watch = step_under_watch(nn.Linear(3, 3), torch.ones(2, 3), lambda y: torch.sqrt((y - y).sum()))
    assert watch.culprit is None and watch.first_met


def test_the_largest_numbers_are_listed_and_nothing_is_changed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Tanh())
    with torch.no_grad():
        model[1].weight.mul_(1000)
    x = torch.ones(2, 3)
    expected = model(x)
    expected.sum().backward()
    gradients = [w.grad.clone() for w in model.parameters()]
    model.zero_grad()
    with NumericsWatch(model) as watch:
        said = model(x)
        said.sum().backward()
    assert torch.equal(said, expected) and watch.culprit is None and not watch.first_met
    for weight, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(weight.grad, gradient)
    name, size = watch.largest(1)[0]
    assert name == "1" and size == pytest.approx(model[1](model[0](x)).abs().max().item())
    assert [name for name, _ in watch.largest()] == ["1", "2", "", "0"] or len(watch.largest()) == 4
    assert {name for name, _ in watch.largest_gradients()} == dict(model.named_parameters()).keys()
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    assert not any(weight._backward_hooks for weight in model.parameters())


def few(clips, count=4):
    return Clip(clips.audio[:count], clips.labels[:count], clips.name[:count])


def test_every_kind_of_part_of_a_unet_is_found(synthetic):
    """A NaN in any one weight of the network names the module that holds it."""
    names = [name for name, w in synthetic.model.net.named_parameters() if w.ndim == 3]
    for name in [*names[:3], names[-1], "time_embedding.to_features.0.weight"]:
        model = synthetic.fresh()
        weights = dict(model.net.named_parameters())
        if name not in weights:
            name = next(key for key in weights if key.startswith("time_embedding"))
        with torch.no_grad():
            weights[name].view(-1)[0] = math.nan
        finding = check_numerics(model, few(synthetic.train))
        assert finding.verdict == "wrong" and finding.check == "finite numbers"
        assert f"net.{name.rpartition('.')[0]} (" in finding.message
        assert f"{name.rpartition('.')[2]} (1 NaN of " in finding.message


def test_a_gradient_that_spoils_in_the_depth_of_a_unet(synthetic):
    model = synthetic.fresh()
    item = model.net.levels[1].items_down[0]
    item.resnet = nn.Sequential(item.resnet, Poison())
    finding = check_numerics(model, few(synthetic.train))
    assert "the gradient of net.levels.1.items_down.0.resnet.1 (Poison)" in finding.message


def test_no_alarm_on_a_healthy_model_and_nothing_is_left_behind(healthy):
    model = healthy.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    finding = check_numerics(model, few(healthy.train, 8))
    assert finding.verdict == "ok", finding.text
    assert "the largest number a module says is" in finding.message
    assert torch.equal(torch.get_rng_state(), state) and not model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_large_numbers_are_suspicious_and_a_bad_loss_is_wrong(synthetic):
    model = synthetic.fresh()
    with torch.no_grad():
        model.net.levels[0].down.conv.weight.mul_(1e6)
    finding = check_numerics(model, few(synthetic.train))
    assert finding.verdict == "suspicious" and "below 1e+04 is right" in finding.message

    def broken(model, batch, generator, times=None):
        return diffusion_loss(model, batch, generator, times).neg().sqrt()

    finding = check_numerics(synthetic.model, few(synthetic.train), loss=broken)
    assert finding.verdict == "wrong" and "look for a division" in finding.remedy


def test_blocks_are_what_is_called_and_their_numbers_are_right(synthetic):
    model = synthetic.model
    blocks = called_blocks(model)
    assert {"net.time_embedding", "net.levels.0.down", "net.levels.1.items_down.0"} <= set(blocks)
    whole = sum(w.numel() for w in model.parameters())
    assert max(sum(w.numel() for w in b.parameters()) for b in blocks.values()) < whole / 2
    kept = {}
    hook = blocks["net.levels.0.down"].register_forward_hook(
        lambda module, args, said: kept.update(said=said)
    )
    with BlockHealth(model) as health, torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        diffusion_loss(model, few(synthetic.train), generator)
    hook.remove()
    figures = health.figures()
    assert {name.rpartition("/")[0] for name in figures} == set(blocks)
    for name in ("min", "max", "mean"):
        wanted = getattr(kept["said"], name)().item()
        assert figures[f"net.levels.0.down/{name}"] == pytest.approx(wanted, abs=1e-6)
    wanted = kept["said"].std(correction=0).item()
    assert figures["net.levels.0.down/std"] == pytest.approx(wanted, rel=1e-5)
