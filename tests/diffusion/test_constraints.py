"""Inpainting on a correlated Gaussian, where the law of one number given another is known."""

import copy
import math
import pickle
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from audio_diffusion_pytorch.autoencoders import MDCT
from audio_diffusion_pytorch.diffusion import (
    DEIS,
    DPM2,
    LMS,
    RK4,
    Ancestral,
    BrownianNoise,
    CFGPlusPlus,
    ClassifierFreeGuidance,
    DiscreteBetas,
    DPMpp2M,
    DPMpp2S,
    DPMpp3M,
    DPMppSDE,
    Euler,
    GaussianNoise,
    HalfCircle,
    Heun,
    InputScaled,
    Laplace,
    LinearBeta,
    Shifted,
    Sigmoid,
    StraightPath,
    UniPC,
    VarianceExploding,
    sample,
)
from audio_diffusion_pytorch.diffusion.closed_form import OVERLAPPING
from audio_diffusion_pytorch.diffusion.constraints import (
    Continuation,
    Inpainting,
    ReconstructionGuidance,
    RePaint,
    keep_frames,
)
from audio_diffusion_pytorch.diffusion.init_signal import start_from
from audio_diffusion_pytorch.protocols import Constraint, State

RHO = 0.9
GIVEN = 1.5  # the first of two numbers; the second then has mean 1.35 and deviation 0.436
MEAN, STD = RHO * GIVEN, math.sqrt(1 - RHO**2)
SCHEDULES = [
    HalfCircle(),
    StraightPath(),
    LinearBeta(),
    DiscreteBetas.scaled_linear(),
    DiscreteBetas.cosine().with_zero_terminal_snr(),
    Sigmoid(),
    Laplace(),
    VarianceExploding(),
    Shifted(HalfCircle(), -2.0),
    InputScaled(HalfCircle(), 0.5),
]
SOLVERS = [
    Euler(),
    Euler(1.0),
    Heun(),
    DPM2(),
    DPMpp2S(),
    DPMpp2M(),
    DPMpp3M(),
    UniPC(),
    LMS(),
    DEIS(),
    RK4(),
    Ancestral(),
    DPMppSDE(),
]


def named(parts):
    return {"ids": [f"{type(part).__name__}{index}" for index, part in enumerate(parts)]}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian_denoiser(covariance, schedule=None):
    """E[x0 | x] for N(0, covariance) along the last axis."""
    values, basis = torch.linalg.eigh(covariance)

    def denoise(x, time):
        alpha, sigma = (v[:, None, None] for v in (schedule or HalfCircle()).alpha_sigma(time))
        return (x @ basis * (alpha * values / (alpha**2 * values + sigma**2))) @ basis.T

    return denoise


class ExactNoise:
    """Noise whose moments over the batch are exact, and its correlation with the state none.

    All parts of a walk are linear, so the moments of what comes out are those of infinitely many
    walks: no chance is left in the figures.
    """

    def __init__(self, *fixed):
        self.fixed, self.generator = fixed, seeded(1)

    def __call__(self, x, time, next_time):
        columns = [torch.ones_like(x[..., :1]), *self.fixed, x, self.draw(x)]
        columns = [part.expand(len(x), *part.shape[1:]).flatten(1) for part in columns]
        basis = torch.linalg.qr(torch.cat(columns, 1))[0]
        return (basis[:, -x.shape[-1] :] * len(x) ** 0.5).reshape(x.shape)

    def draw(self, x):
        return torch.randn(x.shape, generator=self.generator, dtype=x.dtype)


def grid(steps, start=1.0, end=0.0):
    return torch.linspace(start, end, steps + 1, dtype=torch.float64)


def second_given_first(rule, solver=None, *, items=64, steps=50, guided=None):
    """Return mean and deviation of the second number, having checked that the first is kept."""
    noise = ExactNoise()
    start = noise(torch.zeros(items, 1, 2, dtype=torch.float64), None, None)
    denoiser = gaussian_denoiser(torch.tensor([[1, RHO], [RHO, 1]], dtype=torch.float64))
    if guided is not None:
        denoiser = guided(denoiser)
    made = sample(
        denoiser, start, grid(steps), solver or Euler(), HalfCircle(), noise=noise, constraint=rule
    )
    assert bool((made[..., 0] == GIVEN).all())
    return made[..., 1].mean().item(), made[..., 1].std(correction=0).item()


KNOWN = torch.tensor([[[GIVEN, math.nan]]], dtype=torch.float64)  # what is not kept may be anything
KEEP = torch.tensor([[[True, False]]])


def test_repaint_meets_the_exact_conditional():
    """50 steps and 20 visits: mean 1.35 within 0.05, deviation 0.436 within 0.06."""
    mean, std = second_given_first(RePaint(KNOWN, KEEP, visits=20))
    assert abs(mean - MEAN) < 0.05 and abs(std - STD) < 0.06
    assert (mean, std) == pytest.approx((1.317, 0.406), abs=0.002)  # what its docstring says


@pytest.mark.parametrize(
    ("visits", "guided", "wanted"),
    [
        (1, False, (0.662, 0.666)),
        (5, False, (1.186, 0.484)),
        (10, False, (1.276, 0.459)),
        (20, False, (1.315, 0.448)),
        (1, True, (1.332, 0.435)),
        (3, True, (1.35, 0.435)),
    ],
)
def test_the_moments_that_the_guide_names(visits, guided, wanted):
    guidance = ReconstructionGuidance(KNOWN, KEEP) if guided else None
    found = second_given_first(RePaint(KNOWN, KEEP, visits), Heun(True), guided=guidance)
    assert found == pytest.approx(wanted, abs=0.002)


def test_replacement_alone_is_biased_at_any_number_of_steps():
    """The known bias: 0.66 where 1.35 is right; more steps do not help."""
    for steps in (25, 50, 200):
        mean, _ = second_given_first(Inpainting(KNOWN, KEEP), steps=steps)
        assert mean == pytest.approx(0.66, abs=0.01)


def test_each_doubling_of_the_visits_brings_repaint_closer():
    means = [
        second_given_first(RePaint(KNOWN, KEEP, n), Heun(True))[0] for n in (1, 2, 4, 8, 16, 32)
    ]
    off = [MEAN - mean for mean in means]
    assert all(0 < b < 0.75 * a for a, b in pairwise(off))


@pytest.mark.parametrize("solver", SOLVERS[2:10], **named(SOLVERS[2:10]))
def test_repaint_is_right_with_solvers_that_remember(solver):
    rule = RePaint(KNOWN, KEEP, visits=20, jump=5)
    mean, std = second_given_first(rule, solver, items=1000)
    assert abs(mean - MEAN) < 0.05 and abs(std - STD) < 0.06


def test_reconstruction_meets_the_exact_conditional():
    guided = ReconstructionGuidance(KNOWN, KEEP)
    mean, std = second_given_first(Inpainting(KNOWN, KEEP), Heun(True), guided=guided)
    assert (mean, std) == pytest.approx((MEAN, STD), abs=0.02)
    # A few visits wash out the one step from pure noise that could not be guided.
    mean, std = second_given_first(RePaint(KNOWN, KEEP, 3), Heun(True), guided=guided)
    assert (mean, std) == pytest.approx((MEAN, STD), abs=0.001)


def test_reconstruction_solves_for_the_exact_guess():
    """As many iterations as known numbers give E[x0 | x, known], by the formula for Gaussians."""
    size, kept = 6, torch.tensor([True, False, True, True, False, False])
    root = torch.randn(size, size, generator=seeded(), dtype=torch.float64)
    covariance = root @ root.T
    known = torch.randn(3, 1, size, generator=seeded(1), dtype=torch.float64)
    x = torch.randn(3, 1, size, generator=seeded(2), dtype=torch.float64)
    time = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    denoiser = gaussian_denoiser(covariance)
    guided = ReconstructionGuidance(known, kept.expand(1, 1, size), iterations=3)(denoiser)
    for item in range(3):
        alpha, sigma = HalfCircle().alpha_sigma(time[item])
        noisy = alpha**2 * covariance + sigma**2 * torch.eye(size, dtype=torch.float64)
        left = covariance - alpha**2 * covariance @ torch.linalg.solve(noisy, covariance)
        guess = alpha * covariance @ torch.linalg.solve(noisy, x[item, 0])
        off = (known[item, 0] - guess)[kept]
        exact = guess + left[:, kept] @ torch.linalg.solve(left[kept][:, kept], off)
        torch.testing.assert_close(guided(x, time)[item, 0], exact)


def test_reconstruction_leaves_pure_noise_and_what_is_free_alone():
    denoiser = gaussian_denoiser(torch.tensor([[1, RHO], [RHO, 1]], dtype=torch.float64))
    x = torch.randn(2, 1, 2, generator=seeded(), dtype=torch.float64)
    half = torch.full((2,), 0.5, dtype=torch.float64)
    free = ReconstructionGuidance(KNOWN, ~KEEP & KEEP)(denoiser)
    torch.testing.assert_close(free(x, half), denoiser(x, half), rtol=0, atol=0)
    guided = ReconstructionGuidance(KNOWN, KEEP)(denoiser)
    one = torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(guided(x, one), denoiser(x, one), rtol=0, atol=0)
    assert not guided(x, half).requires_grad


def test_reconstruction_corrects_what_another_guidance_says():
    def denoise(x, time, shift=0.0):
        return 0.5 * x + shift

    def doubled(denoise, cond, null_cond):
        return lambda x, time: 2 * denoise(x, time, **cond)

    guided = ReconstructionGuidance(KNOWN, KEEP, guidance=doubled)(denoise, {"shift": 0.25}, {})
    x = torch.tensor([[[1.0, 3.0]]], dtype=torch.float64)
    made = guided(x, torch.tensor([0.5], dtype=torch.float64))
    torch.testing.assert_close(made, torch.tensor([[[GIVEN, 3.5]]], dtype=torch.float64))


def test_reconstruction_tells_the_guidance_inside_where_the_step_goes():
    """CFG++ refuses to work without knowing; scale 0.5 and no difference change nothing."""
    given = {"known": torch.zeros(2, 1, 1, dtype=torch.float64)}

    def denoise(x, time, known):
        return OVERLAPPING.denoiser(HalfCircle())(x, time) + known

    x = torch.randn(2, 1, 8, generator=seeded(), dtype=torch.float64)
    keep = torch.arange(8).expand(1, 1, 8) < 4
    made = [
        sample(
            ReconstructionGuidance(x, keep, guidance=inner)(denoise, given, given),
            x,
            grid(5),
            Euler(),
            HalfCircle(),
        )
        for inner in (None, CFGPlusPlus(0.5))
    ]
    torch.testing.assert_close(*made)


def walk(rule, x, seed=3, *, solver=None, schedule=None, steps=12, dtype=torch.float64):
    schedule = HalfCircle() if schedule is None else schedule
    return sample(
        OVERLAPPING.denoiser(schedule),
        x,
        grid(steps).to(dtype),
        solver or Euler(),
        schedule,
        noise=GaussianNoise(seeded(seed)),
        constraint=rule,
    )


def test_masks_of_every_kind_are_the_same_where_they_say_the_same():
    known, x = torch.randn(2, 3, 2, 8, generator=seeded(), dtype=torch.float64)
    keep = torch.arange(8) % 3 == 0
    full = keep.expand(3, 2, 8)
    expected = walk(RePaint(known, full, 2), x)
    shapes = [(1, 1, 8), (3, 1, 8), (1, 2, 8), (3, 2, 8)]
    for shape in shapes:
        for dtype in (torch.bool, torch.float32, torch.float64, torch.uint8):
            mask = keep.expand(shape).to(dtype)
            torch.testing.assert_close(walk(RePaint(known, mask, 2), x), expected, rtol=0, atol=0)
    shared = walk(RePaint(known[:1], full, 2), x)
    alike = walk(RePaint(known[:1].expand(3, 2, 8), full, 2), x)
    torch.testing.assert_close(shared, alike, rtol=0, atol=0)


def test_true_keeps_and_false_makes():
    known, x = torch.randn(2, 3, 2, 8, generator=seeded(), dtype=torch.float64)
    keep = torch.arange(8).expand(1, 1, 8) < 3
    for mask in (keep, keep.double()):
        made = walk(Inpainting(known, mask), x)
        assert torch.equal(made[..., :3], known[..., :3])
        assert bool((made[..., 3:] != known[..., 3:]).all())
    everything = torch.ones(1, 1, 8, dtype=torch.bool)
    assert torch.equal(walk(RePaint(known, everything, 3), x), known)
    nothing = walk(Inpainting(known, ~everything), x)
    torch.testing.assert_close(nothing, walk(None, x), rtol=0, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES, **named(SCHEDULES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_what_is_kept_is_kept_bit_for_bit_on_every_schedule(schedule, dtype):
    known, x = torch.randn(2, 2, 1, 9, generator=seeded(), dtype=torch.float64).to(dtype)
    known[..., 0] = -0.0
    keep = torch.arange(9).expand(1, 1, 9) % 2 == 0
    made = walk(RePaint(known, keep, 2), x, schedule=schedule, dtype=torch.float32)
    assert made.dtype == dtype and bool(made.isfinite().all())
    integers = torch.int16 if dtype == torch.bfloat16 else torch.int32
    bits = [part[keep.expand(2, 1, 9)].view(integers) for part in (made, known)]
    assert torch.equal(*bits)


@pytest.mark.parametrize("solver", SOLVERS, **named(SOLVERS))
def test_what_is_kept_is_kept_by_every_solver(solver):
    known, x = torch.randn(2, 2, 1, 8, generator=seeded(), dtype=torch.float64)
    keep = torch.arange(8).expand(1, 1, 8) < 4
    for rule in (Inpainting(known, keep), RePaint(known, keep, 3, 2)):
        made = walk(rule, x, solver=solver)
        assert torch.equal(made[..., :4], known[..., :4]) and bool(made.isfinite().all())


def test_each_item_is_the_same_in_any_batch():
    known, x = torch.randn(2, 4, 1, 8, generator=seeded(), dtype=torch.float64)
    keep = torch.arange(8).expand(1, 1, 8) < 4

    def made(items, seeds):
        return sample(
            OVERLAPPING.denoiser(HalfCircle()),
            x[items],
            grid(8),
            Euler(eta=1.0),
            HalfCircle(),
            noise=GaussianNoise(seeds=seeds),
            constraint=RePaint(known[items], keep, 3),
        )

    singles = [made(slice(i, i + 1), [10 + i]) for i in range(4)]
    assert torch.equal(made(slice(None), [10, 11, 12, 13]), torch.cat(singles))


def test_replacement_follows_one_path_of_brownian_noise():
    """The kept part then moves as a signal that is noised gradually: `q(x_t | x_t')` of it."""
    known = torch.randn(2, 1, 20000, generator=seeded(), dtype=torch.float64)
    rule = Inpainting(known, torch.ones(1, 1, 1, dtype=torch.bool))
    noise = BrownianNoise(HalfCircle(), [1, 2])
    rests = []
    for level in (0.3, 0.6):
        time = torch.full((2,), level, dtype=torch.float64)
        x = rule.apply(State(known, time, time), HalfCircle(), noise).x
        alpha, sigma = HalfCircle().alpha_sigma(time[0])
        rests.append((x - alpha * known) / sigma)
    ratio = [math.tan(level * math.pi / 2) for level in (0.3, 0.6)]
    assert (rests[0] * rests[1]).mean().item() == pytest.approx(ratio[0] / ratio[1], abs=0.02)
    assert rests[0].var().item() == pytest.approx(1, abs=0.03)


def test_noise_that_repeats_itself_is_refused_where_a_walk_goes_back_up():
    """It gave a deviation of 1.77 instead of 0.436: each visit met its old noise."""
    known, keep = torch.ones(2, 1, 8), torch.arange(8).expand(1, 1, 8) < 4

    def made(rule):
        noise = BrownianNoise(HalfCircle(), 3)
        denoiser = OVERLAPPING.denoiser(HalfCircle())
        x = torch.zeros(2, 1, 8)
        return sample(denoiser, x, grid(6), Euler(), HalfCircle(), noise=noise, constraint=rule)

    with pytest.raises(ValueError, match=r"RePaint goes back up.*GaussianNoise\(gen") as caught:
        made(RePaint(known, keep, 2))
    assert "\n" not in str(caught.value)
    assert torch.equal(made(RePaint(known, keep, 1)), made(Inpainting(known, keep)))


def test_reconstruction_takes_a_number_as_classifier_free_guidance():
    assert ReconstructionGuidance(KNOWN, KEEP, guidance=3.0).guidance == ClassifierFreeGuidance(3.0)
    with pytest.raises(ValueError, match="got the class ClassifierFreeGuidance"):
        ReconstructionGuidance(KNOWN, KEEP, guidance=ClassifierFreeGuidance)


def test_a_soft_mask_keeps_down_to_its_level_and_then_lets_go():
    """A constant mask m is a variation of strength 1 - m: same walk, same result."""
    known, x, fixed = torch.randn(3, 2, 1, 8, generator=seeded(), dtype=torch.float64)
    denoiser, times = OVERLAPPING.denoiser(HalfCircle()), grid(10)
    for value in (0.25, 0.55, 0.85):  # between the levels of the grid
        mask = torch.full((1, 1, 1), value)
        noise = lambda *_: fixed  # noqa: E731
        held = sample(
            denoiser,
            x,
            times,
            Heun(),
            HalfCircle(),
            noise=noise,
            constraint=Inpainting(known, mask),
        )
        level = float(times[times > 1 - value].min())
        start, left = start_from(known, times, level, HalfCircle(), noise)
        freed = sample(denoiser, start, left, Heun(), HalfCircle())
        torch.testing.assert_close(held, freed)


@pytest.mark.parametrize("steps", [20, 200])
def test_what_a_soft_mask_means_does_not_depend_on_the_steps(steps):
    """On N(0, 1) the flow stands still, so what is left of the known part is alpha at release."""
    known, x = torch.randn(2, 1, 1, 50000, generator=seeded(), dtype=torch.float64)
    made = sample(
        lambda x, time: HalfCircle().alpha_sigma(time)[0][:, None, None] * x,
        x,
        grid(steps),
        Heun(),
        HalfCircle(),
        noise=GaussianNoise(seeded(1)),
        constraint=Inpainting(known, torch.full((1, 1, 1), 0.5)),
    )
    alpha = math.cos((0.5 + 1 / steps) * math.pi / 2)  # the last level above 0.5
    assert (made * known).mean().item() == pytest.approx(alpha, abs=0.02)
    assert made.var().item() == pytest.approx(1, abs=0.02)


def test_a_ramp_releases_position_by_position():
    known, x = torch.randn(2, 1, 1, 5, generator=seeded(), dtype=torch.float64)
    rule = Inpainting(known, torch.tensor([[[0.0, 0.25, 0.5, 0.75, 1.0]]]))
    kept = []
    for level in (0.99, 0.6, 0.3, 0.1, 0.0):
        time = torch.tensor([level], dtype=torch.float64)
        made = rule.apply(State(x, time, time), HalfCircle(), lambda x, *_: torch.zeros_like(x)).x
        alpha, _ = HalfCircle().alpha_sigma(time)
        kept.append((made == alpha * known).flatten().tolist())
    wanted = [[index >= 4 - falls for index in range(5)] for falls in (3, 2, 1, 0, 0)]
    assert kept == wanted


def test_plan_of_repaint():
    """Stretches end one step above clean; the first step of all is made once."""
    known, keep = torch.zeros(1, 1, 4), torch.ones(1, 1, 4, dtype=torch.bool)
    down = [(0, 1), (1, 2), (2, 1), (1, 2), (2, 3), (3, 2), (2, 3), (3, 4)]
    assert list(RePaint(known, keep, visits=2).plan(grid(4))) == down
    not_clean = list(RePaint(known, keep, visits=2).plan(grid(3, end=0.2)))
    assert not_clean == [(0, 1), (1, 2), (2, 1), (1, 2), (2, 3), (3, 2), (2, 3)]
    jumps = [(0, 1), (1, 2), (2, 3), (3, 1), (1, 2), (2, 3), (3, 1), (1, 2), (2, 3), (3, 4)]
    assert list(RePaint(known, keep, visits=3, jump=2).plan(grid(4))) == jumps
    straight = [(i, i + 1) for i in range(4)]
    assert list(RePaint(known, keep, visits=1).plan(grid(4))) == straight
    assert list(Inpainting(known, keep).plan(grid(4))) == straight
    for steps in (1, 2):
        assert len(list(RePaint(known, keep, visits=5).plan(grid(steps)))) == steps


@pytest.mark.parametrize(("steps", "visits", "jump"), [(50, 20, 1), (50, 10, 5), (7, 3, 4)])
def test_cost_of_repaint(steps, visits, jump):
    rule = RePaint(torch.zeros(1, 1, 4), torch.ones(1, 1, 4, dtype=torch.bool), visits, jump)
    pairs = list(rule.plan(grid(steps)))
    assert sum(there > here for here, there in pairs) == steps + (steps - 2) // jump * jump * (
        visits - 1
    )
    assert all(b[0] == a[1] for a, b in pairwise(pairs))
    assert pairs[-1][1] == steps
    assert all(there - here in (1, -jump) for here, there in pairs)


def test_memory_is_cleared_going_up_and_stays_through_replacement():
    known, x = torch.randn(2, 2, 1, 8, generator=seeded(), dtype=torch.float64)
    keep = torch.arange(8).expand(1, 1, 8) < 4
    remembered = []
    sample(
        OVERLAPPING.denoiser(HalfCircle()),
        x,
        grid(6),
        DPMpp2M(),
        HalfCircle(),
        noise=GaussianNoise(seeded()),
        constraint=RePaint(known, keep, 2, 2),
        callback=lambda state: remembered.append(bool(state.memory)),
    )
    plan = RePaint(known, keep, 2, 2).plan(grid(6))
    assert remembered == [there > here for here, there in plan]
    state = State(x, *torch.full((2, 2), 0.5, dtype=torch.float64), memory=("guess",))
    after = Inpainting(known, keep).apply(state, HalfCircle(), GaussianNoise())
    assert after.memory == ("guess",) and after == replace(state, x=after.x)


def test_frames_are_kept_only_where_all_their_samples_are():
    mask = torch.ones(2, 2, 11, dtype=torch.bool)
    mask[0, 1, 5] = False
    assert keep_frames(mask, 3, 4).tolist() == [[[True, False, True]], [[True, True, True]]]
    assert keep_frames(mask, 3, 4, reach=1)[0, 0].tolist() == [True, False, True]
    assert keep_frames(mask, 3, 4, reach=2)[0, 0].tolist() == [False, False, True]
    soft = torch.linspace(0, 1, 8).expand(1, 1, 8)
    torch.testing.assert_close(keep_frames(soft, 2, 4), soft[..., ::4])


def test_kept_frames_do_not_depend_on_what_is_not_kept():
    """For an MDCT a frame sees half a hop beyond its own samples; less reach would not do."""
    transform = MDCT(8)
    mask = torch.ones(1, 1, 100, dtype=torch.bool)
    mask[..., 37:54] = False
    sound = torch.randn(1, 1, 100, generator=seeded())
    other = torch.where(mask, sound, torch.randn(1, 1, 100, generator=seeded(1)))
    same = (transform.encode(sound) - transform.encode(other)).abs().amax(1) < 1e-5
    kept = keep_frames(mask, 13, 8, reach=4)
    assert torch.equal(kept[:, 0], same)
    assert kept.sum() < keep_frames(mask, 13, 8, reach=0).sum()


@pytest.mark.parametrize(
    "rule",
    [
        Inpainting(KNOWN, KEEP),
        RePaint(KNOWN, KEEP, 3),
        Continuation(KNOWN, 5),
        ReconstructionGuidance(KNOWN, KEEP),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_constraints_copy_and_pickle(rule):
    for twin in (copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):
        assert type(twin) is type(rule) and torch.equal(twin.mask, rule.mask)
    assert isinstance(rule, Constraint) == (not isinstance(rule, ReconstructionGuidance))


def apply(rule, *shape):
    time = torch.full((shape[0],), 0.5)
    return rule.apply(State(torch.zeros(shape), time, time), HalfCircle(), GaussianNoise())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Inpainting(torch.zeros(2, 1, 8), torch.ones(2, 8)), r"mask must have shape"),
        (lambda: Inpainting(torch.zeros(2, 1, 8), torch.ones(2, 1, 7)), r"got \(2, 1, 7\)"),
        (lambda: Inpainting(torch.zeros(2, 1, 8), torch.full((1, 1, 8), 1.5)), r"0 .* 1 .* 1\.5"),
        (lambda: Inpainting(torch.zeros(2, 1, 8), torch.full((1, 1, 8), math.nan)), r"got nan"),
        (lambda: Inpainting(torch.zeros(2, 1, 8), torch.full((1, 1, 8), -1)), r"got -1\.\.-1"),
        (lambda: apply(Inpainting(torch.zeros(2, 1, 8), KEEP[..., :1]), 3, 1, 8), "known signal"),
        (lambda: apply(Inpainting(torch.zeros(1, 1, 1), KEEP), 3, 1, 8), "the mask must broad"),
        (lambda: RePaint(KNOWN, KEEP, visits=0), "at least 1 visit"),
        (lambda: RePaint(KNOWN, KEEP, jump=0), "at least 1 step"),
        (lambda: RePaint(KNOWN, KEEP, jump=9).plan(grid(9)), "jump must be at most 7"),
        (lambda: Continuation(KNOWN, 2), "prefix of 1 to 1 samples, got 2"),
        (lambda: Continuation(KNOWN[..., :0], 2), "got 0"),
        (lambda: ReconstructionGuidance(KNOWN, KEEP, 0), "at least 1 iteration"),
        (
            lambda: ReconstructionGuidance(KNOWN, KEEP)(lambda x, t: x.detach())(
                KNOWN, torch.tensor([0.5])
            ),
            "gradients pass through",
        ),
        (lambda: keep_frames(torch.ones(4), 2, 2), r"must be \(b, 1, t\)"),
        (lambda: keep_frames(torch.ones(1, 1, 5), 2, 2), "up to 4"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
