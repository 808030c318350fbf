"""`train.debug_numerics`: a failing step is repeated and the module is named; off, nothing runs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.diagnostics.numerics import NumericsWatch
from audio_diffusion_pytorch.training import TrainConfig, TrainingError, diffusion_loss, fit, loop
from audio_diffusion_pytorch.training.debug_numerics import NumericsDebugger


class Spoiler(nn.Module):
    """Passes everything on, until its call number `at`; then by what is asked for."""

    def __init__(self, at, spoil):
        super().__init__()
        self.at, self.spoil, self.calls, self.seen = at, spoil, 0, []

    def forward(self, x):
        self.calls += 1
        self.seen.append(x.detach().clone())
        return self.spoil(x) if self.calls > self.at else x


class _NaNBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.nan


def test_the_module_of_a_bad_loss_is_named(tone_training, tones, tmp_path, capsys):
    model = tone_training.TinyModel()
    model.net.dropout = spoiler = Spoiler(6, lambda x: x / 0.0)
    config = tone_training.small_config(max_steps=9, accumulate=2, debug_numerics=True)
    with pytest.raises(TrainingError) as caught:
        fit(model, tone_training.Tones(tones), config, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("the loss is not finite at step 3, on tone_")
    assert ": net.dropout (Spoiler) made them: " in message and "of inputs up to " in message
    assert "look into net.dropout (Spoiler), look at these files, or try a" in message
    assert "train.debug_numerics" not in message
    # The first micro-batch of the step is run again with the very same noise.
    assert spoiler.calls == 9 and torch.equal(spoiler.seen[6], spoiler.seen[8])
    said = capsys.readouterr().out
    assert "the largest numbers that modules said:" in said
    largest = float(spoiler.seen[8].abs().max())
    assert any("net.inside" in line and float(line.split()[0]) > 0 for line in said.splitlines())
    assert f"{largest:.4g}" in message
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


def test_the_module_of_a_bad_gradient_is_named(tone_training, tones, tmp_path, capsys):
    model = tone_training.TinyModel()
    model.net.dropout = Spoiler(4, _NaNBack.apply)
    config = tone_training.small_config(max_steps=9, debug_numerics=True)
    with pytest.raises(TrainingError) as caught:
        fit(model, tone_training.Tones(tones), config, tmp_path)
    message = str(caught.value)
    assert message.startswith("the gradient is not finite at step 4, on tone_")
    assert ": the gradient of net.dropout (Spoiler) made them: " in message
    assert "the largest gradients of weights:" in capsys.readouterr().out


def test_weights_that_overflowed_are_named(tone_training, tones, tmp_path):
    config = tone_training.small_config(
        max_steps=9, learning_rate=1e30, warmup_steps=0, debug_numerics=True
    )
    with pytest.raises(TrainingError, match=r"\) made them: .* of inputs up to "):
        fit(tone_training.TinyModel(), tone_training.Tones(tones), config, tmp_path)


def test_a_loss_of_its_own_making_blames_no_module(tone_training, tones, tmp_path):
    def loss(model, batch, generator, times=None):
        return diffusion_loss(model, batch, generator, times).neg().log()

    config = tone_training.small_config(max_steps=3, debug_numerics=True)
    with pytest.raises(TrainingError) as caught:
        fit(tone_training.TinyModel(), tone_training.Tones(tones), config, tmp_path, loss=loss)
    assert "no module made them" in str(caught.value)
    assert "look for a division, root or logarithm in the loss, look at" in str(caught.value)


def test_a_step_that_fails_only_once_is_said(tone_training, tones, tmp_path):
    model = tone_training.TinyModel()
    model.net.dropout = Spoiler(2, lambda x: x / 0.0 if model.net.dropout.calls == 3 else x)
    config = tone_training.small_config(max_steps=9, debug_numerics=True)
    with pytest.raises(TrainingError, match="repeated, the step was finite: the machine"):
        fit(model, tone_training.Tones(tones), config, tmp_path)


def test_off_nothing_is_watched_and_the_error_says_how_to_be_told(
    tone_training, tones, tmp_path, monkeypatch
):
    def never(*_):
        raise RuntimeError("must not be made")

    monkeypatch.setattr(loop, "NumericsDebugger", never)
    model = tone_training.TinyModel()
    model.net.dropout = spoiler = Spoiler(4, lambda x: x / 0.0)
    config = tone_training.small_config(max_steps=9)
    with pytest.raises(TrainingError) as caught:
        fit(model, tone_training.Tones(tones), config, tmp_path)
    assert "set train.debug_numerics=true to be told the module, look at these" in str(caught.value)
    assert "net.dropout" not in str(caught.value) and spoiler.calls == 5


def test_the_health_of_the_blocks_is_logged_and_nothing_is_changed(tone_training, tones, tmp_path):
    ends, logged = [], []
    for on in (False, True):
        model, rows = tone_training.TinyModel(), tone_training.Rows()
        config = tone_training.small_config(max_steps=6, log_every=3, debug_numerics=on)
        fit(model, tone_training.Tones(tones), config, tmp_path / str(on), loggers=[rows])
        ends.append((tone_training.digest(model), rows.losses()))
        logged.append(rows.rows)
        for module in model.modules():
            assert not module._forward_hooks
    assert ends[0] == ends[1]
    assert list(logged[1]) == [3, 6]
    assert not any(name.startswith("health/") for name in logged[0][3])
    health = {name: value for name, value in logged[1][6].items() if name.startswith("health/")}
    names = {name.removeprefix("health/").rpartition("/")[0] for name in health}
    assert names == {"net.inside", "net.time", "net.outside"}
    for name in names:
        low, high, mean, deviation = (
            health[f"health/{name}/{figure}"] for figure in ("min", "max", "mean", "std")
        )
        assert low < mean < high and 0 < deviation < high - low
    assert health["health/net.inside/max"] != logged[1][3]["health/net.inside/max"]


def test_it_does_not_go_with_compile():
    with pytest.raises(ValueError, match=r"train\.debug_numerics=true looks into modules that"):
        TrainConfig(debug_numerics=True, compile=True)


def test_all_batches_of_a_step_are_repeated_until_one_fails():
    model, repeated = nn.Linear(2, 2), []
    debugger = NumericsDebugger(model, 1)
    debugger.batches = ["first", "second", "third"]

    def repeat(batch, number):
        repeated.append((batch, number))
        return model(torch.full((1, 2), math.inf if number else 1.0)).sum(1)

    where, remedy = debugger.locate(repeat, lambda line: None)
    assert repeated == [("first", 0), ("second", 1)]
    assert where == "the model itself (Linear) was given them: 2 infinite of 2 numbers"
    assert remedy == "look into the model itself (Linear), "
    with NumericsWatch(model) as watch:
        assert watch.culprit is None
