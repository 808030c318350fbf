"""Continuation and spans on Gaussian AR(1) sequences: every covariance is known."""

import pytest
import torch

from audio_diffusion_pytorch.diffusion import (
    BrownianNoise,
    DPMpp2M,
    Euler,
    ExponentialSchedule,
    GaussianNoise,
    HalfCircle,
    Heun,
    VarianceExploding,
    sample,
)
from audio_diffusion_pytorch.diffusion.closed_form import OVERLAPPING
from audio_diffusion_pytorch.diffusion.constraints import (
    Continuation,
    Inpainting,
    ReconstructionGuidance,
)
from audio_diffusion_pytorch.diffusion.spans import continue_signal, generate_spans

PHI = 0.8  # correlation of neighbours
SIZE, CUT = 8, 4


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def ar1(size):
    """Covariance of a stationary AR(1) sequence of unit variance."""
    index = torch.arange(size, dtype=torch.float64)
    return PHI ** (index[:, None] - index).abs()


def ar1_denoiser(size, schedule=None):
    """E[x0 | x] = alpha S (alpha^2 S + sigma^2 I)^-1 x."""
    values, basis = torch.linalg.eigh(ar1(size))

    def denoise(x, time):
        alpha, sigma = (v[:, None, None] for v in (schedule or HalfCircle()).alpha_sigma(time))
        return (x @ basis * (alpha * values / (alpha**2 * values + sigma**2))) @ basis.T

    return denoise


class ExactNoise:
    """Noise of exact moments over the batch, uncorrelated with the state and the given signal.

    Every part of the walk is linear, so the covariances that come out are exact: no chance left.
    """

    def __init__(self, given):
        self.given, self.generator = given, seeded(1)

    def __call__(self, x, time, next_time):
        drawn = torch.randn(x.shape, generator=self.generator, dtype=x.dtype)
        basis = torch.linalg.qr(torch.cat([self.given, x, drawn], -1)[:, 0])[0]
        return (basis[:, None, -x.shape[-1] :]) * len(x) ** 0.5


def covariance(signal):
    return signal[:, 0].T @ signal[:, 0] / len(signal)


def linear_grid(steps):
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def exponential_grid(steps):
    return ExponentialSchedule(HalfCircle())(steps + 1).double()


def given_and_start(items=48):
    """Return prefixes and start noise whose moments are exact."""
    white = torch.randn(items, CUT + SIZE, generator=seeded(), dtype=torch.float64)
    white = torch.linalg.qr(white)[0] * items**0.5
    prefix = white[:, :CUT] @ torch.linalg.cholesky(ar1(CUT)).T
    return prefix[:, None], white[:, None, CUT:]


def continued(times, solver, visits, iterations=0):
    """Return the covariance of prefixes and what was made after them."""
    prefix, start = given_and_start()
    rule = Continuation(prefix, SIZE, visits)
    denoiser = ar1_denoiser(SIZE)
    if iterations:
        denoiser = ReconstructionGuidance(rule.known, rule.mask, iterations)(denoiser)
    made = sample(
        denoiser, start, times, solver, HalfCircle(), noise=ExactNoise(prefix), constraint=rule
    )
    assert torch.equal(made[..., :CUT], prefix)
    return covariance(made)


def worst(found, exact=None):
    """Return the largest error of a covariance, relative to the variance 1."""
    exact = ar1(len(found)) if exact is None else exact
    return (found - exact).abs().max().item()


def test_the_given_part_is_as_said():
    prefix, _ = given_and_start()
    torch.testing.assert_close(covariance(prefix), ar1(CUT))


def test_repaint_continues_with_the_right_covariance():
    """All covariances, across the cut too, within 5 % of the variance; neighbours within 5 %."""
    found = continued(linear_grid(30), Heun(as_published=True), visits=80)
    assert worst(found) < 0.035
    assert found[CUT - 1, CUT].item() == pytest.approx(PHI, rel=0.035)


def test_guided_continuation_needs_few_visits():
    """A twentieth of the visits and closer; or a single walk from where guidance can begin."""
    found = continued(linear_grid(30), Heun(as_published=True), visits=4, iterations=2)
    assert worst(found) < 0.02
    assert found[CUT - 1, CUT].item() == pytest.approx(PHI, rel=0.02)
    single = continued(exponential_grid(40), DPMpp2M(), visits=1, iterations=CUT)
    assert worst(single) < 0.03


@pytest.mark.parametrize(
    ("visits", "iterations", "error"),
    [(1, 0, 0.446), (5, 0, 0.206), (10, 0, 0.13), (20, 0, 0.081),
     (1, 1, 0.081), (3, 1, 0.04), (3, 2, 0.014)],
)  # fmt: skip
def test_the_errors_that_the_guide_names(visits, iterations, error):
    found = continued(linear_grid(30), Heun(as_published=True), visits, iterations)
    assert worst(found) == pytest.approx(error, abs=0.002)


def test_replacement_alone_hardly_continues():
    """What the visits are for: the covariance across the cut is less than half."""
    found = continued(linear_grid(30), Heun(as_published=True), visits=1)
    assert 0.3 < found[CUT - 1, CUT].item() / PHI < 0.5


def after_three_cuts(solver, **options):
    """Return the covariance of a span and three that continue it."""
    times = linear_grid(30)
    white = ExactNoise(torch.zeros(64, 1, 1, dtype=torch.float64))
    start = white(torch.zeros(64, 1, SIZE, dtype=torch.float64), None, None)
    made = sample(ar1_denoiser(SIZE), start, times, solver, HalfCircle())
    for _ in range(3):  # as in one call, but the noise knows all that was made
        made = continue_signal(
            ar1_denoiser(SIZE),
            made,
            made.shape[-1] + SIZE - CUT,
            times,
            solver,
            HalfCircle(),
            span=SIZE,
            overlap=CUT / SIZE,
            noise=ExactNoise(made),
            **options,
        )
    return covariance(made)


@pytest.mark.parametrize(
    ("solver", "options", "tolerance"),
    [
        (Heun(as_published=True), {"visits": 80, "iterations": 0}, 0.05),
        (Heun(), {}, 0.05),
        (Heun(), {"visits": 3, "iterations": 2}, 0.025),
    ],
    ids=["visits", "default", "closer"],
)
def test_spans_stay_stationary_over_many_cuts(solver, options, tolerance):
    """Variance and neighbour covariance within 5 % everywhere, also at each of the three cuts."""
    found = after_three_cuts(solver, **options)
    neighbours = found.diagonal(1) / PHI
    assert len(neighbours) == 19 and neighbours.sub(1).abs().max().item() < tolerance
    assert worst(found) < tolerance


def test_ten_visits_alone_are_too_few():
    assert worst(after_three_cuts(Heun(), visits=10, iterations=0)) == pytest.approx(0.17, abs=0.01)


def short(prefix, length, seed=0, **options):
    settings = {"span": 8, "visits": 2, "noise": GaussianNoise(seeded(seed)), **options}
    return continue_signal(
        OVERLAPPING.denoiser(HalfCircle()),
        prefix,
        length,
        linear_grid(5),
        Euler(),
        HalfCircle(),
        **settings,
    )


@pytest.mark.parametrize("size", [1, 3, 4, 7, 30])
@pytest.mark.parametrize("more", [1, 4, 5, 23])
def test_any_prefix_is_returned_untouched_and_continued_to_any_length(size, more):
    prefix = torch.randn(2, 3, size, generator=seeded(), dtype=torch.float64)
    made = short(prefix, size + more)
    assert made.shape == (2, 3, size + more) and bool(made.isfinite().all())
    assert torch.equal(made[..., :size], prefix)
    # A shorter request is the beginning of a longer one: the last span is made whole, then cropped.
    if more > 1:
        assert torch.equal(made[..., : size + 1], short(prefix, size + 1))


def test_the_prefix_decides_what_follows_and_the_noise_too():
    prefix = torch.randn(2, 1, 6, generator=seeded(), dtype=torch.float64)

    def made(prefix, seed=0):
        noise, times = GaussianNoise(seeded(seed)), linear_grid(8)
        options = {"span": 8, "visits": 4, "noise": noise}
        denoiser = ar1_denoiser(8)
        return continue_signal(denoiser, prefix, 20, times, Euler(), HalfCircle(), **options)

    first = made(prefix)
    assert torch.equal(first, made(prefix))
    changed = prefix.clone()
    changed[0, 0, -1] += 1
    other = made(changed)
    assert bool((other[0, 0, 6:] != first[0, 0, 6:]).all())
    assert torch.equal(other[1], first[1])
    assert bool((made(prefix, seed=1)[..., 6:] != first[..., 6:]).all())


def test_only_the_overlap_is_looked_at():
    prefix = torch.randn(1, 1, 6, generator=seeded(), dtype=torch.float64)
    changed = prefix.clone()
    changed[..., :4] = 0
    assert torch.equal(
        short(changed, 12, overlap=0.25)[..., 6:], short(prefix, 12, overlap=0.25)[..., 6:]
    )


@pytest.mark.parametrize("length", [1, 7, 8, 9, 12, 13, 40])
@pytest.mark.parametrize("overlap", [0.125, 0.5, 0.875])
def test_generated_spans_have_any_length(length, overlap):
    denoiser, calls = OVERLAPPING.denoiser(HalfCircle()), []

    def counting(x, time):
        calls.append(tuple(x.shape))
        return denoiser(x, time)

    made = generate_spans(
        counting,
        (2, 1, length),
        linear_grid(3),
        Euler(),
        HalfCircle(),
        span=8,
        overlap=overlap,
        visits=2,
        noise=GaussianNoise(seeded()),
    )
    assert made.shape == (2, 1, length) and made.dtype == torch.float32
    spans = 1 + -(-max(length - 8, 0) // (8 - round(8 * overlap)))
    assert len(calls) == 3 + 4 * (spans - 1)  # the first has nothing to keep to
    assert set(calls) == {(2, 1, 8)}


def test_one_call_is_the_same_as_span_by_span():
    prefix = torch.randn(2, 1, 8, generator=seeded(), dtype=torch.float64)
    noise, made = GaussianNoise(seeded()), prefix
    for length in (12, 16, 20):
        made = short(made, length, noise=noise)
    assert torch.equal(made, short(prefix, 20))


def test_spans_of_an_item_are_the_same_in_any_batch():
    prefix = torch.randn(3, 1, 4, generator=seeded(), dtype=torch.float64)

    def made(items, seeds):
        return continue_signal(
            OVERLAPPING.denoiser(HalfCircle()),
            prefix[items],
            17,
            linear_grid(4),
            Euler(),
            HalfCircle(),
            span=8,
            noise=GaussianNoise(seeds=seeds),
        )

    singles = [made(slice(i, i + 1), [i]) for i in range(3)]
    assert torch.equal(made(slice(None), [0, 1, 2]), torch.cat(singles))


def test_spans_start_at_the_noise_level_of_the_schedule():
    """Noise of 80 where the schedule starts at 80: else variance would be lost."""
    schedule = VarianceExploding()
    levels = []

    def denoiser(x, time):
        levels.append(x.std().item())
        return torch.zeros_like(x)

    generate_spans(
        denoiser,
        (500, 1, 20),
        linear_grid(3),
        Euler(),
        schedule,
        span=16,
        visits=1,
        iterations=0,
        noise=GaussianNoise(seeded()),
    )
    assert levels[0] == pytest.approx(80, rel=0.02) and levels[3] == pytest.approx(80, rel=0.02)


def test_continuation_is_inpainting_of_what_follows():
    prefix, x = torch.randn(2, 2, 1, 8, generator=seeded(), dtype=torch.float64)
    keep = torch.arange(8).expand(1, 1, 8) < 3
    results = [
        sample(
            OVERLAPPING.denoiser(HalfCircle()),
            x,
            linear_grid(6),
            Euler(),
            HalfCircle(),
            noise=GaussianNoise(seeded()),
            constraint=rule,
        )
        for rule in (Continuation(prefix[..., :3], 8, visits=1), Inpainting(prefix, keep))
    ]
    assert torch.equal(*results)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 0.0}, "hold at least 1 of 8 samples"),
        ({"overlap": 1.0}, "leave at least 1 to make"),
        ({"overlap": 0.95}, "8 samples"),
        ({"overlap": -0.5}, "got -0.5 of the span"),
        ({"visits": 0}, "at least 1 visit"),
        ({"jump": 9}, "jump must be at most"),
        ({"length": 6}, "must be above that, got 6"),
        ({"prefix": torch.zeros(2, 1, 0)}, "generate_spans starts from nothing"),
        ({"prefix": torch.zeros(2, 6)}, r"prefix \(b, c, t\)"),
    ],
    ids=str,
)
def test_bad_input_is_refused_in_one_sentence(options, message):
    options = {"prefix": torch.zeros(2, 1, 6), "length": 20, **options}
    with pytest.raises(ValueError, match=message) as error:
        short(**options)
    assert "\n" not in str(error.value)


def test_an_empty_shape_is_refused():
    with pytest.raises(ValueError, match="each at least 1"):
        generate_spans(None, (2, 1, 0), linear_grid(3), Euler(), HalfCircle(), span=8)


def test_noise_that_repeats_is_refused_before_the_first_span():
    """Even with one visit, where no level is visited twice within a span."""
    prefix = torch.zeros(1, 1, 8)
    with pytest.raises(ValueError, match="fresh noise each, and BrownianNoise"):
        continue_signal(
            lambda x, time: x, prefix, 32, torch.linspace(1, 0, 4), Euler(), HalfCircle(),
            span=16, visits=1, iterations=0, noise=BrownianNoise(HalfCircle(), [0]),
        )  # fmt: skip
