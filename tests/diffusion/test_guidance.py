"""Guidance on two-class data: Gaussians of one width, where every guided field is known.

With equal widths the conditional and the null guess differ by a constant, so guidance of scale w
is the perfect denoiser of a Gaussian whose mean is `null + w (mean - null)`: what sampling must
give is known exactly.
"""

import copy
import math
import pickle
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from audio_diffusion_pytorch.diffusion import Euler, HalfCircle, sample
from audio_diffusion_pytorch.diffusion.denoiser import denoise as denoise_by_net
from audio_diffusion_pytorch.diffusion.guidance import (
    AdaptiveProjectedGuidance,
    Autoguidance,
    CFGPlusPlus,
    ClassifierFreeGuidance,
    Guesses,
    Interval,
    Rescale,
)
from audio_diffusion_pytorch.diffusion.thresholding import DynamicThreshold, StaticThreshold
from audio_diffusion_pytorch.ops.shapes import lift
from audio_diffusion_pytorch.protocols import State

STD = 0.5
MEANS = torch.tensor([-0.8, 1.1, 0.2], dtype=torch.float64)  # two classes; the last: no class
COND, NULL = {"labels": torch.tensor([0, 1, 1])}, {"labels": torch.tensor([2, 2, 2])}
SHAPE = (3, 2, 8)


class TwoClasses:
    """E[x0 | x, class] of N(mean, STD^2); counts calls and items."""

    def __init__(self, schedule=None):
        self.schedule = HalfCircle() if schedule is None else schedule
        self.batches = []

    def __call__(self, x, time, *, labels):
        self.batches.append(len(x))
        alpha, sigma = (lift(v, x) for v in self.schedule.alpha_sigma(time.to(x)))
        mean = lift(MEANS[labels].to(x), x)
        return mean + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * mean)


def noisy(seed=0, shape=SHAPE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


def guided_mean(scale):
    return (MEANS[2] + scale * (MEANS[COND["labels"]] - MEANS[2]))[:, None, None]


def grid(steps):
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def walk(denoiser, x, levels, solver, schedule):
    """The sampling loop, telling each step to the denoiser."""
    state = State(x, levels[0], levels[0])
    for here, there in pairwise(levels):
        state = replace(state, time=here.expand(len(x)), next_time=there.expand(len(x)))
        state = solver.step(denoiser.for_step(state, schedule), state, schedule, lambda *_: 0)
    return state.x


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0, 12.0])
def test_the_guided_field_is_the_perfect_denoiser_of_the_moved_mean(scale):
    x, time = noisy(), times(0.1, 0.5, 0.9)
    guided = ClassifierFreeGuidance(scale)(TwoClasses(), COND, NULL)(x, time)
    alpha, sigma = (lift(v, x) for v in HalfCircle().alpha_sigma(time))
    mean = guided_mean(scale)
    exact = mean + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * mean)
    torch.testing.assert_close(guided, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_guided_sampling_gives_the_moved_mean_and_the_width(scale):
    """From pure noise x the exact flow ends at `mean + STD x`; Euler's error halves with steps."""
    x, errors = noisy(), []
    for steps in (64, 128):
        denoiser = ClassifierFreeGuidance(scale)(TwoClasses(), COND, NULL)
        made = sample(denoiser, x, grid(steps), Euler(), HalfCircle())
        errors.append((made - guided_mean(scale) - STD * x).abs().max().item())
    assert errors[1] < 0.05 and math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)


def test_a_negative_condition_is_another_null_condition():
    x, time = noisy(), times(0.3, 0.3, 0.3)
    avoid = {"labels": torch.tensor([1, 0, 0])}
    made = ClassifierFreeGuidance(2.0)(TwoClasses(), COND, avoid)(x, time)
    wanted, unwanted = TwoClasses()(x, time, **COND), TwoClasses()(x, time, **avoid)
    torch.testing.assert_close(made, 2 * wanted - unwanted, rtol=0, atol=1e-12)


def test_scale_one_calls_once_and_changes_nothing_bit_for_bit():
    x, time = noisy().float(), times(0.3, 0.6, 0.9).float()
    for guidance in (
        ClassifierFreeGuidance(1.0),
        AdaptiveProjectedGuidance(1.0),
        Rescale(ClassifierFreeGuidance(1.0), phi=0.7),
        Interval(ClassifierFreeGuidance(1.0), 0.2, 0.5),
        Rescale(Interval(ClassifierFreeGuidance(3.0), 0.1, 0.2), phi=0.7),
        Autoguidance(TwoClasses(), 1.0),
    ):
        net = TwoClasses()
        made = guidance(net, COND, NULL)(x, time)
        assert net.batches == [3], guidance
        assert torch.equal(made, TwoClasses()(x, time, **COND)), guidance


@pytest.mark.parametrize(
    "guidance",
    [
        ClassifierFreeGuidance(3.0),
        Rescale(ClassifierFreeGuidance(3.0)),
        AdaptiveProjectedGuidance(3.0),
        Interval(Rescale(AdaptiveProjectedGuidance(3.0)), 0.2, 0.7),
        DynamicThreshold(Interval(ClassifierFreeGuidance(3.0), 0.5, 0.7)),
        Rescale(StaticThreshold(ClassifierFreeGuidance(3.0))),
    ],
    ids=repr,
)
def test_any_nest_makes_exactly_one_batched_call(guidance):
    net = TwoClasses()
    guidance(net, COND, NULL)(noisy(), times(0.1, 0.6, 0.9))
    assert net.batches == [6]


def test_guidance_is_the_same_for_every_parameterization():
    """The mix happens on the clean signal, so what the net says does not matter."""
    from audio_diffusion_pytorch.diffusion import parameterizations

    x, time, schedule = noisy(), times(0.2, 0.5, 0.8), HalfCircle()
    expected = ClassifierFreeGuidance(4.0)(TwoClasses(), COND, NULL)(x, time)
    names = ("EpsilonPrediction", "CleanPrediction", "VPrediction", "FlowPrediction")
    kinds = [getattr(parameterizations, name)() for name in names]
    for kind in [*kinds, parameterizations.EDMPreconditioning(0.5)]:

        def net(scaled, level, *, labels, kind=kind):
            twice = len(scaled) // 3
            state, at = x.repeat(twice, 1, 1), time.repeat(twice)
            coefficients = kind.coefficients(at, *schedule.alpha_sigma(at))
            skip, out, scale, _ = (c[:, None, None] for c in coefficients)
            torch.testing.assert_close(scaled, scale * state)
            return (TwoClasses()(state, at, labels=labels) - skip * state) / out

        def denoise(x, time, net=net, kind=kind, **cond):
            return denoise_by_net(net, schedule, kind, x, time, **cond)

        made = ClassifierFreeGuidance(4.0)(denoise, COND, NULL)(x, time)
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("phi", [0.0, 0.7, 1.0])
def test_rescale_matches_the_standard_deviation(phi):
    x, time = noisy(), times(0.4, 0.6, 0.8)

    # Classes differ from item to item of a sound, so that guidance changes the deviation.
    def denoise(x, time, *, gain):
        return lift(gain, x) * torch.tanh(x)

    cond, null = {"gain": torch.tensor([2.0, 1.5, 1.0])}, {"gain": torch.ones(3) / 2}
    plain = denoise(x, time, **cond)
    guided = ClassifierFreeGuidance(6.0)(denoise, cond, null)(x, time)
    made = Rescale(ClassifierFreeGuidance(6.0), phi)(denoise, cond, null)(x, time)
    wanted, found = plain.flatten(1).std(1), guided.flatten(1).std(1)
    torch.testing.assert_close(made.flatten(1).std(1), phi * wanted + (1 - phi) * found)
    torch.testing.assert_close(made / guided, (made / guided)[:, :1, :1].expand(SHAPE))


def test_rescale_leaves_silence_alone():
    cond = {"labels": torch.zeros(3)}
    null = {"labels": torch.ones(3)}
    made = Rescale(ClassifierFreeGuidance(3.0))(lambda x, time, labels: 0 * x, cond, null)
    assert torch.equal(made(noisy(), times(1, 1, 1)), torch.zeros(SHAPE, dtype=torch.float64))


def test_interval_guides_inside_and_is_plain_outside():
    x, time = noisy(), times(0.2, 0.5, 0.8)
    net = TwoClasses()
    denoiser = Interval(ClassifierFreeGuidance(3.0), 0.2, 0.5)(net, COND, NULL)
    made = denoiser(x, time)
    plain = TwoClasses()(x, time, **COND)
    guided = ClassifierFreeGuidance(3.0)(TwoClasses(), COND, NULL)(x, time)
    assert torch.equal(made, torch.stack([guided[0], guided[1], plain[2]]))
    assert net.batches == [6]
    assert torch.equal(denoiser(x, times(0.6, 0.1, 1.0)), net(x, times(0.6, 0.1, 1.0), **COND))
    assert net.batches == [6, 3, 3]  # outside: one call of the plain size


def test_interval_holds_per_position():
    x = noisy()
    time = torch.linspace(0.1, 0.8, 8, dtype=torch.float64).expand(3, 1, 8)
    made = Interval(ClassifierFreeGuidance(3.0), 0.3, 0.65)(TwoClasses(), COND, NULL)(x, time)
    plain = TwoClasses()(x, time, **COND)
    guided = ClassifierFreeGuidance(3.0)(TwoClasses(), COND, NULL)(x, time)
    assert torch.equal(made, torch.where((time >= 0.3) & (time <= 0.65), guided, plain))


def test_interval_of_log_snr_holds_between_two_log_snrs():
    schedule = HalfCircle()
    interval = Interval.of_log_snr(ClassifierFreeGuidance(3.0), -2.0, 4.0, schedule)
    edges = schedule.log_snr(times(interval.low, interval.high))
    torch.testing.assert_close(edges, times(4.0, -2.0))
    whole = Interval.of_log_snr(ClassifierFreeGuidance(3.0), -math.inf, math.inf, schedule)
    assert (whole.low, whole.high) == pytest.approx((0, 1), abs=1e-12)


def test_apg_with_everything_off_is_classifier_free_guidance():
    x, time = noisy(), times(0.2, 0.5, 0.8)
    apg = AdaptiveProjectedGuidance(5.0, eta=1.0, momentum=0.0)
    made = apg(TwoClasses(), COND, NULL)(x, time)
    guided = ClassifierFreeGuidance(5.0)(TwoClasses(), COND, NULL)(x, time)
    torch.testing.assert_close(made, guided, rtol=0, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.3])
def test_apg_keeps_eta_of_the_parallel_part(eta):
    x, time = noisy(), times(0.2, 0.5, 0.8)
    apg = AdaptiveProjectedGuidance(5.0, eta=eta, momentum=0.0)
    plain = TwoClasses()(x, time, **COND)
    move = (apg(TwoClasses(), COND, NULL)(x, time) - plain).flatten(1)
    whole = ClassifierFreeGuidance(5.0)(TwoClasses(), COND, NULL)(x, time) - plain
    along = (whole.flatten(1) * plain.flatten(1)).sum(1)
    torch.testing.assert_close((move * plain.flatten(1)).sum(1), eta * along, rtol=0, atol=1e-12)
    assert along.abs().min() > 0.1 and move.norm(dim=1).min() > 0.1


def test_apg_bounds_the_root_mean_square_of_its_move():
    x, time = noisy(), times(0.2, 0.5, 0.8)
    for bound in (0.01, 100.0):
        apg = AdaptiveProjectedGuidance(5.0, eta=1.0, momentum=0.0, rms_threshold=bound)
        plain = TwoClasses()(x, time, **COND)
        move = apg(TwoClasses(), COND, NULL)(x, time) - plain
        free = ClassifierFreeGuidance(5.0)(TwoClasses(), COND, NULL)(x, time) - plain
        rms, free_rms = (m.flatten(1).square().mean(1).sqrt() for m in (move, free))
        torch.testing.assert_close(rms, free_rms.clamp_max(4 * bound))


def test_apg_momentum_takes_off_earlier_moves_and_a_fresh_denoiser_has_none():
    x, scale = noisy(), 3.0
    apg = AdaptiveProjectedGuidance(scale, eta=1.0, momentum=-0.5)
    denoiser = apg(TwoClasses(), COND, NULL)
    levels = [times(t, t, t) for t in (0.9, 0.5, 0.2)]
    plain = [TwoClasses()(x, t, **COND) for t in levels]
    moves = [p - TwoClasses()(x, t, **NULL) for p, t in zip(plain, levels, strict=True)]
    total = 0
    for time, one, move in zip(levels, plain, moves, strict=True):
        total = move - 0.5 * total
        torch.testing.assert_close(denoiser(x, time), one + (scale - 1) * total)
    # A walk that starts again (higher time), or another denoiser, knows nothing of the first.
    first = plain[0] + (scale - 1) * moves[0]
    torch.testing.assert_close(denoiser(x, levels[0]), first)
    torch.testing.assert_close(apg(TwoClasses(), COND, NULL)(x, levels[0]), first)


def test_apg_momentum_is_forgotten_item_by_item():
    """One item goes back up (RePaint), the others go on."""
    x, apg = noisy(), AdaptiveProjectedGuidance(3.0, eta=1.0, momentum=-0.5)
    before, after = times(0.5, 0.5, 0.5), times(0.4, 0.6, 0.4)
    denoiser = apg(TwoClasses(), COND, NULL)
    denoiser(x, before)
    made = denoiser(x, after)
    alone = apg(TwoClasses(), COND, NULL)(x, after)
    assert torch.equal(made[1], alone[1]) and not torch.allclose(made[0], alone[0])


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_cfg_plus_plus_makes_the_papers_steps_with_euler(scale):
    """`x' = alpha' guided + sigma' eps(null)`, written out beside the walk."""
    schedule, x, levels = HalfCircle(), noisy(), grid(7)
    made = walk(CFGPlusPlus(scale)(TwoClasses(), COND, NULL), x, levels, Euler(), schedule)
    for here, there in pairwise(levels):
        (alpha, sigma), (next_alpha, next_sigma) = map(schedule.alpha_sigma, (here, there))
        time = here.expand(3)
        null = TwoClasses()(x, time, **NULL)
        guided = null + scale * (TwoClasses()(x, time, **COND) - null)
        x = next_alpha * guided + next_sigma * (x - alpha * null) / sigma
    torch.testing.assert_close(made, x, rtol=0, atol=1e-12)


def test_cfg_plus_plus_is_guidance_whose_scale_depends_on_the_step():
    schedule, x, scale = HalfCircle(), noisy(), 0.4
    net = TwoClasses()
    time, next_time = times(0.9, 0.5, 0.3), times(0.6, 0.4, 0.0)
    denoiser = CFGPlusPlus(scale)(net, COND, NULL)
    step = denoiser.for_step(State(x, time, next_time), schedule)
    made = step(x, time)
    assert net.batches == [6]
    h = (schedule.log_snr(next_time) - schedule.log_snr(time)) / 2
    for i, factor in enumerate((1 / (1 - torch.exp(-h))).tolist()):
        guided = ClassifierFreeGuidance(scale * factor)(TwoClasses(), COND, NULL)(x, time)
        torch.testing.assert_close(made[i], guided[i])
    assert 1 / (1 - math.exp(-h[2])) == 1  # to the clean end: the scale itself


def test_cfg_plus_plus_steps_from_pure_noise_and_stands_still():
    """Both have a factor of 1: no division by zero."""
    schedule, x = HalfCircle(), noisy()
    time, next_time = times(1.0, 0.5, 0.0), times(0.9, 0.5, 0.0)
    step = CFGPlusPlus(0.4)(TwoClasses(), COND, NULL).for_step(State(x, time, next_time), schedule)
    guided = ClassifierFreeGuidance(0.4)(TwoClasses(), COND, NULL)(x, time)
    torch.testing.assert_close(step(x, time), guided, rtol=0, atol=1e-12)


def test_cfg_plus_plus_refuses_what_does_not_tell_the_step():
    x, time = noisy(), times(0.5, 0.5, 0.5)
    denoiser = CFGPlusPlus(0.4)(TwoClasses(), COND, NULL)
    with pytest.raises(ValueError, match="where each step goes"):
        denoiser(x, time)
    step = denoiser.for_step(State(x, time, time / 2), HalfCircle())
    with pytest.raises(ValueError, match="one net call a step"):
        step(x, time / 2)


def test_cfg_plus_plus_around_other_guidance_uses_its_guess():
    schedule, x, time = HalfCircle(), noisy(), times(0.5, 0.5, 0.5)
    state = State(x, time, times(0.3, 0.3, 0.3))
    inner = StaticThreshold(Rescale(ClassifierFreeGuidance(0.8)), limit=0.5)
    made = CFGPlusPlus(inner)(TwoClasses(), COND, NULL).for_step(state, schedule)
    made = Euler().step(made, state, schedule, lambda *_: 0).x
    guess, null = inner(TwoClasses(), COND, NULL)(x, time), TwoClasses()(x, time, **NULL)
    alpha, sigma = schedule.alpha_sigma(time[0])
    next_alpha, next_sigma = schedule.alpha_sigma(state.next_time[0])
    expected = next_alpha * guess + next_sigma * (x - alpha * null) / sigma
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)


def test_autoguidance_by_the_same_net_changes_nothing():
    x, time = noisy().float(), times(0.2, 0.5, 0.8).float()
    net, same = TwoClasses(), TwoClasses()
    made = Autoguidance(same, 3.0)(net, COND)(x, time)
    assert torch.equal(made, TwoClasses()(x, time, **COND))
    assert net.batches == same.batches == [3]


def test_autoguidance_moves_away_from_the_worse_net():
    x, time = noisy(), times(0.2, 0.5, 0.8)

    def worse(x, time, *, labels):
        return 0.5 * TwoClasses()(x, time, labels=labels)

    good = TwoClasses()(x, time, **COND)
    made = Autoguidance(worse, 3.0)(TwoClasses(), COND)(x, time)
    torch.testing.assert_close(made, 2.0 * good)  # bad + 3 (good - bad), bad = good / 2
    apg = Autoguidance(worse, AdaptiveProjectedGuidance(3.0, momentum=0.0))
    torch.testing.assert_close(apg(TwoClasses(), COND)(x, time), good)  # the move is parallel
    bounded = Interval(Autoguidance(worse, 3.0), 0.4, 0.6)(TwoClasses(), COND)(x, time)
    torch.testing.assert_close(bounded, good * times(1, 2, 1)[:, None, None])


def test_conditions_nest_and_are_batched():
    seen = {}

    def denoise(x, time, **cond):
        seen.update(cond)
        return x

    cond = {
        "text": ["oboe", "bell"],
        "channels": [torch.ones(2, 3), torch.zeros(2, 4, 1)],
        "timing": {"seconds": torch.tensor([1.0, 2.0]), "unit": "s"},
        "embedding_scale": 1.0,
        "mask": None,
        "pair": (torch.ones(2), 3),
    }
    null = {"text": [""], "timing": {"seconds": torch.zeros(1), "unit": "s"}}
    ClassifierFreeGuidance(2.0)(denoise, cond, null)(torch.zeros(2, 1, 4), torch.zeros(2))
    assert seen["text"] == ["oboe", "bell", "", ""]
    assert [tuple(c.shape) for c in seen["channels"]] == [(4, 3), (4, 4, 1)]
    assert seen["timing"]["seconds"].tolist() == [1, 2, 0, 0] and seen["timing"]["unit"] == "s"
    assert seen["embedding_scale"] == 1.0 and seen["mask"] is None
    assert isinstance(seen["pair"], tuple) and seen["pair"][0].shape == (4,)


@pytest.mark.parametrize(
    ("words", "null", "wanted"),
    [
        ([None, None], [None], [None] * 4),
        ([None], [None], [None] * 2),
        (["oboe", None], [None], ["oboe", None, None, None]),
        ([None, None], ["", "hiss"], [None, None, "", "hiss"]),
        ((None, None), (None,), [None] * 4),
    ],
)
def test_texts_that_are_missing_are_batched_too(words, null, wanted):
    seen = {}

    def denoise(x, time, **cond):
        seen.update(cond)
        return x

    cond = {"text": words, "channels": [None, torch.ones(len(words))]}
    guided = ClassifierFreeGuidance(2.0)(denoise, cond, {"text": null})
    guided(torch.zeros(len(words), 1, 4), torch.zeros(len(words)))
    assert seen["text"] == wanted
    assert len(seen["channels"]) == 2 and seen["channels"][0] is None


@pytest.mark.parametrize(
    ("cond", "null", "words"),
    [
        ({"labels": torch.zeros(2)}, {}, "null condition to move away from, got none"),
        ({"labels": torch.zeros(2)}, {"label": torch.zeros(2)}, "got 'label'"),
        ({"labels": torch.zeros(2)}, {"labels": torch.zeros(3)}, r"shape \(2,\).*got \(3,\)"),
        ({"scale": 1.0}, {"scale": 2.0}, "for 'scale' 1.0 and 2.0"),
        ({"text": torch.zeros(2)}, {"text": None}, "'text' Tensor and NoneType"),
        ({"embedding_scale": 3.0, "y": torch.zeros(2)}, {"y": torch.ones(2)}, "both guide, got"),
        ({"a": {"b": [1.0]}}, {"a": {"b": [2.0]}}, r"for 'a\.b\[0\]' 1.0 and 2.0"),
    ],
)
def test_conditions_that_cannot_be_batched_are_refused(cond, null, words):
    with pytest.raises(ValueError, match=words):
        ClassifierFreeGuidance(2.0)(lambda x, time, **cond: x, cond, null)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ClassifierFreeGuidance(math.nan), "finite number, got nan"),
        (lambda: AdaptiveProjectedGuidance(math.inf), "finite number, got inf"),
        (lambda: AdaptiveProjectedGuidance(2.0, momentum=-1.0), "between -1 and 1"),
        (lambda: AdaptiveProjectedGuidance(2.0, rms_threshold=0.0), "above 0"),
        (lambda: Rescale(ClassifierFreeGuidance(2.0), 1.5), "phi must be in 0..1"),
        (lambda: Interval(ClassifierFreeGuidance(2.0), 0.7, 0.2), "low <= high"),
        (lambda: Interval(ClassifierFreeGuidance(2.0), -3.0, 5.0), "Interval.of_log_snr"),
        (
            lambda: Interval.of_log_snr(ClassifierFreeGuidance(2.0), 4, -4, HalfCircle()),
            "low <= high",
        ),
        (lambda: CFGPlusPlus(math.nan), "finite number"),
        (lambda: ClassifierFreeGuidance("3"), "finite number, got '3'"),
        (lambda: AdaptiveProjectedGuidance(2.0, eta=math.nan), "eta must be in 0.*got nan"),
        (lambda: AdaptiveProjectedGuidance(2.0, rms_threshold=math.inf), "finite and above 0"),
        (lambda: CFGPlusPlus(5.0), "lies in 0 .* 1 .*got 5.0"),
        (lambda: CFGPlusPlus(-0.1), "lies in 0 .* 1 .*got -0.1"),
        (lambda: CFGPlusPlus(CFGPlusPlus(0.6)), "leave one out"),
        (lambda: CFGPlusPlus(Interval(CFGPlusPlus(0.6), 0.2, 0.8)), "leave one out"),
        (lambda: Rescale(CFGPlusPlus(0.6)), r"say CFGPlusPlus\(Rescale\(...\)\)"),
        (lambda: StaticThreshold(Interval(CFGPlusPlus(0.6), 0.2, 0.8)), "only Interval can"),
        (lambda: DynamicThreshold(CFGPlusPlus(0.6)), "only Interval can"),
        (lambda: Autoguidance(TwoClasses(), CFGPlusPlus(0.6)), "only Interval can"),
        (lambda: Autoguidance(TwoClasses, 2.0), "worse must be an object, got the class TwoCl"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


NESTS = {
    "Rescale": Rescale,
    "Interval": lambda inner: Interval(inner, 0.2, 0.8),
    "Interval.of_log_snr": lambda inner: Interval.of_log_snr(inner, -4, 4, HalfCircle()),
    "CFGPlusPlus": CFGPlusPlus,
    "Autoguidance": lambda inner: Autoguidance(TwoClasses(), inner),
    "StaticThreshold": StaticThreshold,
    "DynamicThreshold": DynamicThreshold,
}


@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS)
def test_a_number_inside_stands_for_classifier_free_guidance(nest):
    x, time = noisy(), times(0.2, 0.5, 0.9)
    state = State(x, time, time / 2)
    made, wanted = (
        nest(inner)(TwoClasses(), COND, NULL).for_step(state, HalfCircle())(x, time)
        for inner in (0.7, ClassifierFreeGuidance(0.7))
    )
    assert torch.equal(made, wanted)


@pytest.mark.parametrize("inner", [ClassifierFreeGuidance, "3", torch.tensor(3.0)], ids=str)
@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS)
def test_what_is_no_guidance_is_refused_before_anything_runs(nest, inner):
    with pytest.raises(ValueError, match="must be a number or an object") as caught:
        nest(inner)
    assert "\n" not in str(caught.value)


def test_only_an_interval_goes_around_cfg_plus_plus():
    schedule, x = HalfCircle(), noisy()
    kinds = Interval(CFGPlusPlus(0.6), 0, 1), CFGPlusPlus(0.6)
    made = [walk(g(TwoClasses(), COND, NULL), x, grid(5), Euler(), schedule) for g in kinds]
    assert torch.equal(*made)


def test_guidance_copies_pickles_and_says_what_it_is():
    guidance = Interval(Rescale(AdaptiveProjectedGuidance(3.0)), 0.2, 0.7)
    for twin in (copy.deepcopy(guidance), pickle.loads(pickle.dumps(guidance))):
        assert twin == guidance
    assert "AdaptiveProjectedGuidance(scale=3.0" in repr(guidance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_guided_guesses_keep_the_dtype(dtype):
    x, time = noisy().to(dtype), times(0.2, 0.5, 0.8).float()
    for guidance in (
        ClassifierFreeGuidance(3.0),
        Rescale(AdaptiveProjectedGuidance(3.0, rms_threshold=1.0)),
        DynamicThreshold(ClassifierFreeGuidance(3.0)),
    ):
        made = guidance(TwoClasses(), COND, NULL)(x, time)
        assert made.dtype == dtype and made.isfinite().all()


def test_an_own_rule_needs_only_start():
    from audio_diffusion_pytorch.diffusion.guidance import BaseGuidance

    class Opposite(BaseGuidance):
        def start(self):
            return lambda guesses: guesses.unconditional

    x, time = noisy(), times(0.2, 0.5, 0.8)
    made = Interval(Opposite(), 0.0, 1.0)(TwoClasses(), COND, NULL)(x, time)
    torch.testing.assert_close(made, TwoClasses()(x, time, **NULL))
    assert isinstance(Guesses(x, time, None).x, torch.Tensor)
