"""The checks of learning in closed form: small networks whose answers are known."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from audio_diffusion_pytorch import DiffusionModel
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    check_attention,
    check_batch_norm,
    check_dead_channels,
    check_ema,
    check_gradients,
    check_learning_rate,
    check_noise_level,
    check_output_range,
    check_overfit,
    check_overfitting,
    check_recorded_rate,
    check_weights_moved,
    examine_learning,
    level_errors,
    overfit_finding,
    update_ratio,
)
from audio_diffusion_pytorch.diagnostics.learning import block_weights
from audio_diffusion_pytorch.diagnostics.learning.trial import (
    choose_clips,
    repeat_clips,
    sounding_clips,
    train_copy,
)
from audio_diffusion_pytorch.nn.attention import Attention

SAMPLES = 32


def clips(count=8, channels=1, power=1.0, seed=0):
    generator = torch.Generator().manual_seed(1000 + seed)  # not that of the checks' noise
    audio = torch.randn(count, channels, SAMPLES, generator=generator)
    labels = torch.zeros(count, 0, dtype=torch.int64)
    return Clip(audio * power**0.5, labels, [f"clip_{i}" for i in range(count)])


class Net(nn.Module):
    """A gain and a wave for each noise level, and a slot for something between."""

    def __init__(self, dim=1, in_channels=1, between=None):
        super().__init__()
        torch.manual_seed(0)
        self.inside = nn.Linear(1, 32)
        self.outside = nn.Linear(32, 1 + SAMPLES)
        self.between = nn.Identity() if between is None else between

    def forward(self, x, time, **cond):
        said = self.outside(F.silu(self.inside(4 * time[:, None])))
        return self.between(said[:, None, :1] * x + said[:, None, 1:])


def model(between=None, net_t=Net, **arguments):
    return DiffusionModel(net_t, in_channels=1, **({"between": between} if between else arguments))


def answering(function):
    """A model whose network answers `function(x, time)`; one weight that does nothing."""

    class Answering(nn.Module):
        def __init__(self, dim=1, in_channels=1):
            super().__init__()
            self.nothing = nn.Parameter(torch.zeros(1))

        def forward(self, x, time, **cond):
            return function(x, time[:, None, None]) + 0 * self.nothing

    return DiffusionModel(Answering, in_channels=1)


def wiener(x, time):
    """The best guess of v for white data of unit variance: zero, since x has unit variance."""
    return torch.zeros_like(x)


class TestLevelErrors:
    def test_knowing_only_the_loudness_has_a_share_of_one(self):
        found = level_errors(answering(wiener), clips(64))
        assert found.shares.tolist() == pytest.approx([1.0] * 9, abs=0.08)
        assert found.decibels.tolist() == list(range(-20, 21, 5))

    def test_the_bound_is_that_of_wiener(self):
        batch = clips(4, power=0.25)
        power = float(batch.audio.square().mean())
        found = level_errors(answering(wiener), batch)
        snr = 10 ** (found.decibels.double() / 10)
        assert found.loudness_only.tolist() == pytest.approx(
            (power / (snr * power + 1)).tolist(), rel=1e-4
        )  # power sigma^2 / (alpha^2 power + sigma^2)

    def test_a_perfect_answer_has_a_share_of_zero(self):
        batch = clips(1)

        def perfect(x, time):  # v of a network that knows the clip
            alpha, sigma = (time * math.pi / 2).cos(), (time * math.pi / 2).sin()
            return (alpha * x - batch.audio) / sigma

        assert level_errors(answering(perfect), batch).share < 1e-6


class TestTrainCopy:
    def test_nothing_is_left_behind(self):
        broken, batch = model(nn.Dropout(0.5)), clips()
        broken.eval()
        before = copy.deepcopy(broken.state_dict())
        torch.manual_seed(3)
        state = torch.get_rng_state()
        trial = train_copy(broken, batch, 0.01, 5)
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(before[name], w) for name, w in broken.state_dict().items())
        assert all(w.grad is None for w in broken.parameters())
        assert not broken.training and trial.model.training
        assert not torch.equal(trial.model.net.inside.weight, broken.net.inside.weight)

    def test_the_same_seed_gives_the_same_losses(self):
        one, two, other = (train_copy(model(), clips(), 0.01, 5, seed=s) for s in (0, 0, 1))
        assert one.losses == two.losses != other.losses

    def test_frozen_averaged_weights_are_freed_in_the_copy(self):
        frozen = model().requires_grad_(False)
        assert not train_copy(frozen, clips(), 0.01, 2).without_gradient
        assert not any(w.requires_grad for w in frozen.parameters())

    def test_time_and_ruin_end_it(self):
        assert train_copy(model(), clips(), 0.01, 99, seconds=0).out_of_time
        ruined = train_copy(model(), clips(), 1e9, 99)
        assert ruined.blew_up and ruined.end == math.inf and len(ruined.losses) < 99

    def test_another_optimizer_is_used(self):
        made = []

        def sgd(module, rate):
            made.append(rate)
            return torch.optim.SGD(module.parameters(), lr=rate)

        train_copy(model(), clips(), 0.5, 1, optimizer=sgd)
        assert made == [0.5]

    def test_clips_are_chosen_evenly_and_repeated_alike(self):
        assert choose_clips(clips(8), 3).name == ["clip_0", "clip_2", "clip_5"]
        assert len(choose_clips(clips(2), 16).audio) == 2
        assert repeat_clips(clips(3), 16).name == ["clip_0", "clip_1", "clip_2"] * 5
        assert repeat_clips(clips(3), 2).name == ["clip_0", "clip_1", "clip_2"]

    def test_silence_is_left_out(self):
        batch = clips(3)
        batch.audio[1] = 0
        assert sounding_clips(batch).name == ["clip_0", "clip_2"]
        batch.audio[:] = 0
        assert sounding_clips(batch) is None


class TestOverfit:
    def test_one_clip_is_learnt(self):
        found = check_overfit(model(), clips(), steps=400, rate=1e-2)
        assert (found.check, found.verdict) == ("one-clip overfit", "ok")
        assert (
            found.figures["share of error left"]
            <= 0.3
            < found.figures["share of error at the start"]
        )
        assert found.curves[0].lines["share of error"][0][0] == 0

    def test_many_clips_are_too_many_for_one_wave(self):
        found = check_overfit(model(), clips(16), items=16, steps=400, rate=1e-2)
        assert (found.check, found.verdict) == ("one-batch overfit", "suspicious")
        assert "no longer improves, most at signal over noise of " in found.message

    def test_a_short_budget_is_no_verdict_on_the_network(self):
        found = check_overfit(model(), clips(), steps=40, rate=2e-3)
        assert found.verdict == "ok" and found.message.startswith("not judged: after 40 steps")
        assert found.message.endswith("train.overfit=1 tries longer")
        found = check_overfit(model(), clips(), seconds=0.0)
        assert found.verdict == "ok" and "the time was over after 1 of 300 steps" in found.message

    def test_a_mark_missed_by_rounding_alone_is_reached(self):
        left = overfit_finding(model(), clips(1), (2.0, 1.5), 3, 1e-2).figures[
            "share of error left"
        ]
        for beside, verdict in ((0.004, "passed"), (0.006, "not passed")):
            found = overfit_finding(model(), clips(1), (2.0, 1.5), 3, 1e-2, mark=left - beside)
            assert found.message.startswith(f"{verdict}: ")

    def test_where_no_rate_is_known_a_lower_one_is_tried_before_it_is_said_to_diverge(self):
        def optimizer(trained, rate):
            return BlowsUp(trained.parameters(), rate)

        asked = check_overfit(model(), clips(), rate=1e-3, steps=60, optimizer=optimizer)
        assert asked.verdict == "wrong" and "diverges at learning rate 0.001" in asked.message
        found = check_overfit(model(), clips(), steps=60, optimizer=optimizer)
        assert found.verdict != "wrong" and found.figures["learning rate"] == 1e-4

    def test_data_far_quieter_than_one_are_no_divergence(self):
        found = check_overfit(model(), clips(power=1e-3), steps=50, rate=1e-3)
        assert found.figures["share of error left"] > 3 and "diverges" not in found.message

    def test_what_is_known_already_is_not_tried_anew(self):
        few = clips(1)
        trained = train_copy(model(), repeat_clips(few, 16), 1e-2, 400).model.eval()
        found = check_overfit(trained, few, rate=0.1)
        assert found.verdict == "ok" and found.figures["steps"] == 0
        rate = check_learning_rate(trained, few, 1e-2)
        assert rate.verdict == "ok" or rate.figures["share of error left"] < 0.1

    def test_no_gradient_is_the_cause(self):
        found = check_overfit(answering(wiener), clips(), steps=20)
        assert found.verdict == "wrong" and "the weights get no gradient" in found.message

    def test_a_loss_that_hangs_on_no_weight_is_the_cause(self):
        broken = model()
        broken.diffusion.net = Detached(broken.net)
        found = check_overfit(broken, clips(), steps=20)
        assert "the weights get no gradient" in found.message

    def test_a_rate_too_high_is_the_cause(self):
        found = check_overfit(model(), clips(), steps=20, rate=100.0)
        assert found.verdict == "wrong" and "diverges at learning rate 100" in found.message
        assert found.remedy == "set train.learning_rate=10, or lower"

    def test_a_rate_too_low_is_the_cause_and_a_better_one_is_named(self):
        found = check_overfit(model(), clips(), steps=20, rate=1e-6)
        assert found.verdict == "wrong" and "does not move at learning rate 1e-06" in found.message
        assert found.remedy == "set train.learning_rate=0.0001"

    def test_silence_cannot_be_learnt(self):
        for found in (
            check_overfit(model(), clips(power=0.0)),
            overfit_finding(model(), clips(power=0.0), (1.0, 1.0), 5, 0.1),
        ):
            assert found.verdict == "wrong" and "0 that sound" in found.message

    def test_a_trained_model_passes_or_not(self):
        few = clips(1)
        trained = train_copy(model(), repeat_clips(few, 16), 1e-2, 400).model.eval()
        found = overfit_finding(trained, few, (2.0, 0.2), 400, 1e-2)
        assert found.verdict == "ok" and found.message.startswith("passed: after 400 steps on 1 ")
        found = overfit_finding(model(), few, (2.0, 0.5), 3, 1e-2)
        assert found.verdict == "suspicious" and "not passed: after 3 steps" in found.message


class BlowsUp(torch.optim.AdamW):
    """Loses its hold at rates of 0.001."""

    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for weight in group["params"]:
                weight.data.mul_(3.0 if group["lr"] > 5e-4 else 1.0)


class Detached(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, *args, **cond):
        return self.net(*args, **cond).detach()


class TestLearningRate:
    @pytest.fixture
    def verdicts(self):
        """Verdict and best rate at rates that are factors of ten apart."""
        found = {
            rate: check_learning_rate(model(), clips(), rate, seconds=60)
            for rate in (1e-5, 1e-2, 1e1)
        }
        return {
            rate: (f.verdict, f.figures["best learning rate tried"], f) for rate, f in found.items()
        }

    def test_too_low_right_too_high(self, verdicts):
        assert [verdict for verdict, _, _ in verdicts.values()] == ["wrong", "ok", "wrong"]
        low, high = verdicts[1e-5], verdicts[1e1]
        assert low[1] == 1e-3 and "100 times too low" in low[2].message
        assert high[1] == 0.1 and "100 times too high" in high[2].message
        assert low[2].remedy == "set train.learning_rate=0.001"

    def test_every_rate_is_in_the_figures_and_the_chart(self, verdicts):
        found = verdicts[1e-2][2]
        assert {f"loss at rate {r}" for r in ("0.01", "0.001", "0.1", "0.0001", "1")} <= set(
            found.figures
        )
        assert len(found.curves[0].lines) == 5

    def test_nothing_moves_without_a_gradient(self):
        found = check_learning_rate(answering(wiener), clips(), 1e-3)
        assert found.verdict == "wrong"
        assert "moves at no rate from 1e-05 to 0.1" in found.message
        assert "the weights get no gradient" in found.message and "detach()" in found.remedy

    def test_weights_that_know_the_clips_are_not_judged_and_the_initial_ones_are(self):
        few = clips(1)
        trained = train_copy(model(), repeat_clips(few, 16), 1e-2, 1500).model.eval()
        found = check_learning_rate(trained, few, 1e-5)
        assert found.verdict == "ok" and found.message.startswith("not judged: ")
        assert found.figures["share of error left"] < 0.1
        found = check_learning_rate(trained, few, 1e-5, initial=model())
        assert found.verdict == "wrong" and "too low" in found.message

    def test_the_budget_shortens_the_runs(self):
        found = check_learning_rate(model(), clips(), 1e-2, seconds=0.0)
        assert "in 8 steps" in found.message or "in 1 step" in found.message


class TestRecordedRate:
    FALLING = tuple(1.0 * 0.97**n for n in range(100))

    def test_a_falling_curve_is_right(self):
        assert check_recorded_rate(self.FALLING, 1e-3).verdict == "ok"
        assert check_recorded_rate(self.FALLING, 1e-3, [1e-3] * 9).verdict == "ok"

    def test_a_rising_curve_is_too_high(self):
        found = check_recorded_rate([1.0] * 50 + [5.0] * 50, 0.1)
        assert found.verdict == "wrong" and found.remedy == "set train.learning_rate=0.01"
        assert check_recorded_rate([1.0] * 50 + [math.nan] * 50, 0.1).verdict == "wrong"
        found = check_recorded_rate([0.5] * 50 + [0.9] * 50, 0.1, zero_loss=1.0)
        assert found.verdict == "suspicious"  # still better than saying nothing

    def test_long_steps_are_too_high_and_name_the_right_rate(self):
        found = check_recorded_rate(self.FALLING, 0.1, [0.2] * 9)
        assert found.verdict == "wrong" and found.remedy == "set train.learning_rate=0.0005"

    def test_a_flat_curve_of_short_steps_is_too_low(self):
        found = check_recorded_rate([1.0] * 100, 1e-6, [1e-7] * 9)
        assert found.verdict == "wrong" and found.remedy == "set train.learning_rate=0.01"
        assert check_recorded_rate([1.0] * 100, 1e-6, [5e-5] * 9).verdict == "suspicious"
        found = check_recorded_rate([1.0] * 100, 1e-6)  # perhaps it knew all from the start
        assert found.verdict == "suspicious" and found.remedy == "set train.learning_rate=1e-05"

    def test_a_long_run_that_fell_early_is_right(self):
        assert check_recorded_rate([1.0, 0.8, 0.6] + [0.4] * 300, 1e-3).verdict == "ok"

    def test_a_flat_curve_of_steps_of_the_right_length_is_not_the_rate(self):
        assert check_recorded_rate([1.0] * 100, 1e-3, [1e-3] * 9).verdict == "ok"

    def test_too_few_losses_are_refused(self):
        with pytest.raises(ValueError, match=r"at least 8 losses, got 3: .*train\.log_every"):
            check_recorded_rate([1.0] * 3, 0.1)

    def test_the_length_of_a_step(self):
        before = {"a": torch.tensor([3.0, 4.0]), "count": torch.tensor(3)}
        after = {"a": torch.tensor([3.0, 4.5]), "count": torch.tensor(4)}
        assert update_ratio(before, after) == pytest.approx(0.1)


class TestGradients:
    def test_blocks_are_the_parts_and_the_entries_of_lists(self):
        class Parts(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = nn.ModuleDict(
                    {"stem": nn.Linear(1, 1), "levels": nn.ModuleList([Net(), Net()])}
                )
                self.again = self.net["stem"]
                self.free = nn.Parameter(torch.zeros(1))

        blocks = block_weights(Parts())
        assert set(blocks) >= {"net.stem", "net.levels.0.inside", "net.levels.1.outside"} or set(
            blocks
        ) >= {"net.stem", "net.levels.0", "net.levels.1"}
        assert sum(len(weights) for weights in blocks.values()) == 1 + 2 + 2 * 4

    def test_even_gradients(self):
        found = check_gradients(model(), clips())
        assert found.verdict == "ok" and found.figures["weights without gradient"] == 0

    def test_an_unused_block_is_named(self):
        unused = model()
        unused.net.unused = nn.Linear(3, 3)
        found = check_gradients(unused, clips())
        assert found.verdict == "wrong" and "net.unused" in found.message

    def test_an_unused_weight_is_named(self):
        unused = model()
        unused.net.inside.unused = nn.Parameter(torch.ones(3))
        found = check_gradients(unused, clips())
        assert found.verdict == "suspicious" and "net.inside.unused" in found.message

    def test_no_gradient_at_all(self):
        found = check_gradients(answering(wiener), clips())
        assert found.verdict == "wrong" and "no gradient reaches any" in found.message

    def test_vanishing_and_uneven(self):
        class Faint(Net):
            factor = 1e-6

            def forward(self, x, time, **cond):
                said = self.outside(F.silu(self.inside(4 * time[:, None]) * self.factor))
                return said[:, None, :1] * x + said[:, None, 1:]

        class Fainter(Faint):
            factor = 1e-12

        found = check_gradients(model(net_t=Faint), clips(), steps=0)
        assert found.verdict == "suspicious" and "net.inside" in found.message
        found = check_gradients(model(net_t=Fainter), clips(), steps=0)
        assert found.verdict == "wrong" and "vanishes on its way to net.inside" in found.message

    def test_zeros_at_the_start_are_no_fault(self):
        fresh = model()
        nn.init.zeros_(fresh.net.outside.weight)
        assert check_gradients(fresh, clips()).verdict == "ok"


class TestNoiseLevel:
    def test_heard(self):
        found = check_noise_level(model(), clips())
        assert found.verdict == "ok" and found.figures["modules that hear it"] == 3

    def test_not_passed_on(self):
        class Forgets(Net):
            def forward(self, x, time, **cond):
                self.inside(time[:, None])
                return self.between(x)

        found = check_noise_level(model(net_t=Forgets), clips())
        assert found.verdict == "wrong"
        assert "heard by inside and by nothing after it" in found.message

    def test_a_network_of_zeros_says_nothing_yet(self):
        fresh = model()
        for weight in fresh.net.outside.parameters():
            nn.init.zeros_(weight)
        found = check_noise_level(fresh, clips())
        assert found.verdict == "ok" and "after 12 steps of a copy" in found.message
        assert not fresh.net.outside.weight.any()

    def test_hard_of_hearing(self):
        found = check_noise_level(answering(lambda x, time: x * (1 + 5e-3 * time)), clips())
        assert found.verdict == "suspicious"


class TestOutputRange:
    def test_free(self):
        assert check_output_range(model(), clips()).verdict == "ok"

    @pytest.mark.parametrize(
        "squash", [nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Softplus(), nn.Hardtanh(-0.5, 0.5)]
    )
    def test_a_module_at_the_end(self, squash):
        found = check_output_range(model(squash), clips())
        assert found.verdict == "wrong" and type(squash).__name__ in found.message

    @pytest.mark.parametrize("function", [torch.sigmoid, F.relu, lambda x: (9 * x).tanh()])
    def test_a_function_at_the_end(self, function):
        found = check_output_range(answering(lambda x, _: function(3 * x)), clips())
        assert found.verdict == "wrong" and "squashing function" in found.remedy

    @pytest.mark.parametrize(
        ("function", "reach"),
        [
            (torch.sigmoid, "0 to 1"),
            (torch.tanh, "-1 to 1"),
            (lambda x: x.clamp(-0.5, 0.25), "-0.5 to 0.25"),
            (F.relu, "0 to infinity"),
        ],
    )
    def test_the_bounds_of_a_function_at_the_end_are_found(self, function, reach):
        found = check_output_range(answering(lambda x, _: function(0.5 * x)), clips())
        assert found.verdict == "wrong" and f"out of its reach of {reach}" in found.message

    def test_a_network_that_levels_its_input_has_no_bounds(self):
        levelled = model(nn.InstanceNorm1d(1))
        assert check_output_range(levelled, clips()).verdict == "ok"

    def test_one_in_the_middle_is_fine(self):
        between = nn.Sequential(nn.Conv1d(1, 8, 1), nn.ReLU(), nn.Conv1d(8, 1, 1))
        assert check_output_range(model(between), clips()).verdict == "ok"

    def test_a_range_that_is_wide_enough_is_fine(self):
        assert check_output_range(model(nn.Hardtanh(-9, 9)), clips()).verdict == "ok"
        assert check_output_range(answering(wiener), clips()).verdict == "ok"  # says nothing yet


class TestWeights:
    def test_moved_and_still(self):
        before, after = model(), model()
        assert check_weights_moved(before, after).verdict == "wrong"
        with torch.no_grad():
            after.net.inside.weight += 1
            after.net.outside.weight += 1
            after.net.outside.bias += 1
        found = check_weights_moved(before.state_dict(), after)
        assert found.verdict == "suspicious" and "net.inside.bias" in found.message
        assert found.message.startswith("1 of 4 weight tensors never moved")
        after.net.inside.bias.requires_grad_(False)  # meant to stay
        assert check_weights_moved(before, after).verdict == "ok"

    def test_states_of_other_models(self):
        assert check_weights_moved({"a": torch.ones(1)}, model()).verdict == "suspicious"
        with pytest.raises(ValueError, match=r"pass the raw model and ema\.module"):
            check_ema({"a": torch.ones(1)}, {"b": torch.ones(1)})

    def test_checkpoints_of_a_wrapped_mean_are_read(self):
        raw = {"a": torch.ones(4)}
        mean = {"n_averaged": torch.tensor(3), "module.a": torch.full((4,), 0.9)}
        found = check_ema(raw, mean)
        assert found.verdict == "ok"
        assert found.figures["distance of the mean from the raw weights"] == pytest.approx(0.1)

    def test_a_mean_that_is_far(self):
        found = check_ema({"a": torch.ones(4)}, {"a": torch.zeros(4)})
        assert found.verdict == "suspicious" and "100 % away" in found.message

    def test_equal_weights_without_a_past_are_only_suspicious(self):
        assert check_ema({"a": torch.ones(4)}, {"a": torch.ones(4)}).verdict == "suspicious"

    def test_a_mean_that_stays_while_nothing_moves_is_no_fault_of_the_mean(self):
        raw, mean = {"a": torch.ones(4)}, {"a": torch.full((4,), 0.9)}
        found = check_ema(raw, mean, copy.deepcopy(raw), copy.deepcopy(mean))
        assert found.verdict == "ok"

    def test_half_precision_weights_are_compared(self):
        raw, mean = {"a": torch.ones(4).bfloat16()}, {"a": torch.full((4,), 0.5)}
        assert check_ema(raw, mean).verdict == "ok"

    def test_a_mean_that_guesses_worse(self):
        few = clips(1)
        trained = train_copy(model(), repeat_clips(few, 16), 1e-2, 200).model.eval()
        mean = copy.deepcopy(trained)
        with torch.no_grad():
            for weight in mean.parameters():
                weight *= 0.8
        found = check_ema(trained, mean, clips=few)
        assert found.verdict == "wrong" and "train.ema_decay" in found.remedy
        better = check_ema(mean, trained, clips=few)
        assert better.verdict == "ok"


class TestOverfitting:
    @pytest.fixture
    def memory(self):
        return train_copy(model(), repeat_clips(clips(1), 16), 1e-2, 400).model.eval()

    def test_memory_is_said_with_its_levels(self, memory):
        found = check_overfitting(memory, clips(1), clips(4, seed=9))
        assert found.verdict == "suspicious"
        assert "known by heart at -20 dB to" in found.message
        assert "worse than by its loudness" in found.message
        assert set(found.curves[0].lines) == {"training clips", "held-back clips"}

    def test_the_same_clips_have_no_gap(self, memory):
        found = check_overfitting(memory, clips(1), clips(1))
        assert found.verdict == "ok" and found.figures["largest gap"] == pytest.approx(1)

    def test_a_network_that_knows_only_the_loudness_has_none(self):
        found = check_overfitting(answering(wiener), clips(32), clips(32, seed=1))
        assert found.verdict == "ok" and found.figures["largest gap"] < 1.3


class TestChannels:
    def test_dead_channels_are_counted(self):
        conv = nn.Conv1d(1, 4, 1)
        with torch.no_grad():
            conv.weight.copy_(torch.tensor([1.0, -1.0, 1.0, 1.0])[:, None, None])
            conv.bias.copy_(torch.tensor([0.0, 0.0, -99.0, -99.0]))
        found = check_dead_channels(
            model(nn.Sequential(conv, nn.ReLU(), nn.Conv1d(4, 1, 1))), clips()
        )
        assert found.figures["dead channels"] == 2 and found.figures["channels"] == 9
        assert found.verdict == "suspicious" and "between.1" in found.message

    def test_all_dead_is_wrong(self):
        conv = nn.Conv1d(1, 8, 1)
        nn.init.constant_(conv.bias, -99.0)
        between = nn.Sequential(conv, nn.ReLU(), nn.Conv1d(8, 8, 1), nn.Conv1d(8, 1, 1))
        assert check_dead_channels(model(between), clips()).verdict == "wrong"

    def test_layers_that_have_not_begun_are_left_out(self):
        conv = nn.Conv1d(1, 8, 1)
        nn.init.zeros_(conv.weight)
        found = check_dead_channels(
            model(nn.Sequential(conv, nn.Conv1d(8, 1, 1, bias=False))), clips()
        )
        assert found.figures["channels"] == 1

    def test_batch_norm_is_named(self):
        between = nn.Sequential(nn.BatchNorm1d(1), nn.Conv1d(1, 1, 1))
        found = check_batch_norm(model(between))
        assert found.verdict == "suspicious" and "between.0" in found.message
        assert check_batch_norm(model(nn.GroupNorm(1, 1))).verdict == "ok"
        assert check_batch_norm(between).verdict == "suspicious"  # a bare network too


class Plain(nn.Module):
    """Attention of one head by a softmax that one can see."""

    def __init__(self, gain):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(float(gain)))

    def forward(self, x):
        rows = x.transpose(1, 2)
        return ((self.gain * rows @ rows.transpose(1, 2)).softmax(-1) @ rows).transpose(1, 2)


class TestAttention:
    def test_none(self):
        assert check_attention(model(), clips()) is None

    @pytest.mark.parametrize(("gain", "verdict"), [(1, "ok"), (300, "wrong")])
    def test_a_softmax(self, gain, verdict):
        found = check_attention(model(Plain(gain)), clips())
        assert found.verdict == verdict and "(between)" in found.message

    def test_our_attention(self):
        attention = nn.Sequential(
            nn.Conv1d(1, 8, 1), Attention(8, head_features=4, num_heads=2), nn.Conv1d(8, 1, 1)
        )
        found = check_attention(model(attention), clips())
        assert found.verdict == "ok" and found.figures["attentions"] == "1 attention"
        assert 0.5 < found.figures["entropy there over the largest possible"] <= 1
        with torch.no_grad():
            attention[1].to_q.weight *= 1e4
        found = check_attention(model(attention), clips())
        assert found.verdict == "wrong" and "between.1" in found.message

    def test_the_logits_are_those_that_torch_makes(self):
        seen = Seen()
        found = check_attention(model(seen), clips())
        assert found.figures["largest logit"] == pytest.approx(seen.largest, rel=1e-4)

    def test_torch_s_own_attention_is_seen_and_its_fast_path_left_as_it_was(self):
        class Torch(nn.Module):
            def __init__(self):
                super().__init__()
                self.attend = nn.MultiheadAttention(1, 1, batch_first=True)

            def forward(self, x):
                rows = x.transpose(1, 2)
                return self.attend(rows, rows, rows, need_weights=False)[0].transpose(1, 2)

        fast = torch.backends.mha.get_fastpath_enabled()
        assert check_attention(model(Torch()), clips()).verdict == "ok"
        assert torch.backends.mha.get_fastpath_enabled() == fast


class Seen(nn.Module):
    """Attention that notes its largest logit."""

    largest = 0.0

    def forward(self, x):
        rows = x.transpose(1, 2)
        self.largest = max(self.largest, float((rows @ rows.transpose(1, 2)).abs().max()))
        return F.scaled_dot_product_attention(rows, rows, rows).transpose(1, 2)


class TestExamine:
    def test_what_is_lacking_is_left_out(self):
        checks = [f.check for f in examine_learning(model(), clips(1), seconds=0.5)]
        assert checks == [
            "batch norm", "output range", "finite numbers", "noise level told", "gradients",
            "dead channels", "one-clip overfit",
        ]  # fmt: skip

    def test_all_there_is_and_nothing_left_behind(self):
        examined, earlier = model(Plain(1)).train(), model(Plain(0.9))
        before = copy.deepcopy(examined.state_dict())
        state = torch.get_rng_state()
        found = examine_learning(
            examined, clips(), clips(seed=1), learning_rate=1e-2,
            averaged=copy.deepcopy(examined), weights_before=earlier,
            averaged_before=earlier, seconds=0.5,
        )  # fmt: skip
        assert [f.check for f in found][6:] == [
            "attention", "learning rate", "one-clip overfit", "one-batch overfit",
            "weights that never moved", "EMA", "overfitting",
        ]  # fmt: skip
        assert torch.equal(torch.get_rng_state(), state) and examined.training
        assert all(torch.equal(before[name], w) for name, w in examined.state_dict().items())

    def test_stereo_and_a_model_in_bfloat16(self):
        class Wide(nn.Module):
            def __init__(self, dim=1, in_channels=2):
                super().__init__()
                self.conv = nn.Conv1d(in_channels + 1, in_channels, 5, padding=2)

            def forward(self, x, time, **cond):
                level = time[:, None, None].to(x.dtype).expand(-1, 1, x.shape[-1])
                return self.conv(torch.cat([x, level], 1))

        wide = DiffusionModel(Wide, in_channels=2).bfloat16()
        batch = clips(4, channels=2)
        batch = Clip(batch.audio.bfloat16(), batch.labels, batch.name)
        for finding in examine_learning(wide, batch, batch, learning_rate=1e-3, seconds=0.5):
            assert finding.message and "nan" not in finding.message

    def test_a_model_of_another_kind_is_refused_with_what_is_wanted(self):
        with pytest.raises(ValueError, match="GaussianDiffusion"):
            examine_learning(nn.Linear(1, 1), clips())
