"""Checks of noise levels in closed form, and on every kind of schedule and sampler we have."""

from __future__ import annotations

import re
from functools import partial
from itertools import pairwise
from math import erfc, log10, pi, sqrt, tan

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.data import Clip
from audio_diffusion_pytorch.diagnostics import (
    align_levels,
    check_batch_levels,
    check_clean_bound,
    check_first_step,
    check_level_coverage,
    check_levels_kept,
    check_noise_kept,
    check_parameterization,
    check_perfect_network,
    check_sampling_grid,
    check_start_noise,
    check_terminal_snr,
    draw_training_times,
    examine_schedule,
    findings_text,
    observe,
    schedule_table,
    walk_perfectly,
    worst,
)
from audio_diffusion_pytorch.diagnostics.schedule_health import schedule_table_text
from audio_diffusion_pytorch.diagnostics.schedule_health.perfect import time_told
from audio_diffusion_pytorch.diffusion import (
    DPM2,
    CleanPrediction,
    DiffusionSampler,
    DiscreteBetas,
    DPMpp2M,
    EDMPreconditioning,
    EpsilonPrediction,
    Euler,
    EvenLevels,
    ExponentialSchedule,
    FlowDiffusion,
    FlowPrediction,
    GaussianDiffusion,
    HalfCircle,
    Heun,
    KarrasSchedule,
    KDiffusion,
    LinearBeta,
    LinearSchedule,
    ListSchedule,
    LogitNormal,
    Shifted,
    StraightPath,
    UniformDistribution,
    UniPC,
    VarianceExploding,
    VDiffusion,
    VPrediction,
    VSampler,
)

CPU = torch.device("cpu")


def noise_clips(count=6, channels=1, length=64, level=1.0):
    """White clips of one level."""
    audio = torch.randn(count, channels, length, generator=torch.Generator().manual_seed(0))
    return Clip(level * audio / audio.std(), torch.empty(count, 0).long(), ["x"] * count)


def small(diffusion_t=VDiffusion, channels=1, **others):
    return DiffusionModel(
        UNetV0, diffusion_t, in_channels=channels, channels=(8, 8), factors=(1, 2), items=(1, 1),
        modulation_features=8, **others,
    )  # fmt: skip


def named(findings):
    return {finding.check: finding for finding in findings}


# The table, and floors of losses


def test_the_table_of_schedules_that_users_took_up():
    """Gains and terminal SNRs to the digits that were published for them."""
    rows = {row.name: row for row in schedule_table()}
    wanted = {
        "50, 1e-4..0.05": (0.529, -4.1, "wrong"),
        "50, 0.0015..0.0195": (0.768, 1.6, "wrong"),
        "50, 1e-5..0.0085": (0.899, 6.2, "wrong"),
        "200, 1e-4..0.02": (0.364, -8.2, "wrong"),
        "200, 1e-4..0.05": (0.078, -22.1, "suspicious"),
        "1000, 1e-5..0.0085": (0.118, -18.5, "suspicious"),
        "1000, 1e-4..0.02": (0.006, -43.9, "ok"),
        "1000, 0.0015..0.0195": (0.005, -45.9, "ok"),
        "1000, 0.0015..0.0195 scaled": (0.012, -38.5, "ok"),
    }
    found = {
        name: (round(row.terminal_alpha, 3), round(row.terminal_snr_db, 1), row.verdict)
        for name, row in rows.items()
    }
    assert found == wanted
    text = schedule_table_text(list(rows.values()))
    assert "50, 1e-5..0.0085" in text and "+6.2 dB" in text and len(text.splitlines()) == 10


def test_the_losses_of_networks_that_learnt_nothing():
    """The plateaus 0.651, 0.279, 0.197, 0.139 of one user, trained on steps 2..T."""
    chains = {str(t): DiscreteBetas.linear(t, 1e-4, 0.05) for t in (50, 500, 1000, 2000)}
    floors = [round(row.floor_l1, 3) for row in schedule_table(chains, first_step=2)]
    assert floors == [0.651, 0.279, 0.197, 0.139]
    quiet = schedule_table({"x": chains["1000"]}, std=0.2)[0]
    assert round(quiet.floor_l1, 3) == 0.083
    assert quiet.terminal_snr_db == pytest.approx(
        schedule_table({"x": chains["1000"]})[0].terminal_snr_db + 20 * log10(0.2)
    )


def test_continuous_schedules_have_a_row_too():
    row = schedule_table({"half": HalfCircle()})[0]
    assert (row.verdict, row.terminal_snr_db) == ("ok", -200.0)
    assert row.floor_mse == pytest.approx(0.5, abs=0.001)  # the mean of cos^2


# Where training ends and sampling starts


def test_terminal_snr_moves_with_the_data():
    schedule = DiscreteBetas.linear(1000)
    plain, loud = check_terminal_snr(schedule), check_terminal_snr(schedule, 20.0)
    assert plain.verdict == "ok" and loud.verdict == "suspicious"
    moved = loud.figures["terminal_snr_db"] - plain.figures["terminal_snr_db"]
    assert moved == pytest.approx(20 * 1.30103, abs=1e-4)
    assert loud.remedy.startswith("divide the data by 20")


def test_the_shift_that_is_recommended_heals():
    schedule = LinearBeta(beta_max=2.0)
    ill = check_terminal_snr(schedule)
    assert ill.verdict == "wrong"
    shift = float(re.search(r"Shifted\(schedule, (-[\d.]+)\)", ill.remedy)[1])
    healed = check_terminal_snr(Shifted(schedule, shift - 0.01))
    assert healed.verdict == "ok"
    assert healed.figures["terminal_snr_db"] == pytest.approx(-25, abs=0.1)


@pytest.mark.parametrize(
    "schedule", [HalfCircle(), StraightPath(), VarianceExploding(), LinearBeta()], ids=str
)
def test_our_schedules_end_in_noise(schedule):
    for std in (0.5, 1.0, 1.5):
        assert check_terminal_snr(schedule, std).verdict == "ok"


def test_errors_grow_197_times_where_a_noise_predictor_starts():
    schedule = DiscreteBetas.linear(1000, 0.0015, 0.0195)
    found = check_first_step(schedule, torch.tensor([1.0, 0.9]), 1.0, EpsilonPrediction())
    assert round(found.figures["growth_of_errors"]) == 197 and "197 times" in found.message
    assert found.verdict == "ok"
    plain = check_first_step(HalfCircle(), torch.tensor([1.0, 0.9]), 1.0, VPrediction())
    assert plain.figures["growth_of_errors"] == pytest.approx(1) and "times" not in plain.message


@pytest.mark.parametrize(("start", "verdict"), [(1.0, "ok"), (0.92, "suspicious"), (0.7, "wrong")])
def test_a_start_below_pure_noise(start, verdict):
    times = LinearSchedule(start)(31, CPU)
    found = check_first_step(HalfCircle(), times)
    assert found.verdict == verdict
    if start < 1:
        level = -20 * log10(tan(start * pi / 2))
        assert found.figures["start_snr_db"] == pytest.approx(level, abs=1e-3)


# Levels of training


def test_levels_that_training_never_saw():
    """A chain trained on 1..T-1 of 0..T-1 and sampled from all: the step 0 lies 11 dB off."""
    schedule = DiscreteBetas.linear(50, 1e-4, 0.05)
    steps = torch.arange(1, 51, dtype=torch.float64) / 50
    found = check_level_coverage(steps[1:], steps.flip(0), schedule)
    assert found.verdict == "suspicious"
    assert found.figures["furthest_level_db"] == pytest.approx(40.0, abs=0.01)
    first, second = 1e-4, 1 - (1 - 1e-4) * (1 - 1e-4 - 0.0499 / 49)
    apart = 10 * log10((1 - first) / first / ((1 - second) / second))
    assert found.figures["furthest_from_training_db"] == pytest.approx(apart, abs=0.01)
    assert check_level_coverage(steps, steps.flip(0), schedule).verdict == "ok"


@pytest.mark.parametrize("ends", [(0.2, 1.0), (0.0, 0.8)])
def test_training_on_part_of_the_levels(ends):
    drawn = draw_training_times(VDiffusion(nn.Identity(), UniformDistribution(*ends)))
    visited = ExponentialSchedule(HalfCircle())(31, CPU)[:-1]
    if ends == (0.0, 0.8):  # from -9.8 to -25 dB: unseen, but near enough to guess
        assert check_level_coverage(drawn, visited, HalfCircle()).verdict == "suspicious"
    else:
        found = check_level_coverage(drawn, visited, HalfCircle())
        assert found.verdict == "wrong"
        assert found.figures["trained_highest_db"] == pytest.approx(9.76, abs=0.1)


def test_a_time_for_a_whole_batch_is_told():
    times = draw_training_times(VDiffusion(nn.Identity(), lambda n, _: torch.rand(1).expand(n)))
    assert check_batch_levels(times).verdict == "suspicious"
    assert check_batch_levels(times).figures["distinct_levels_a_batch"] == 1
    assert check_batch_levels(draw_training_times(VDiffusion(nn.Identity()))).verdict == "ok"
    with pytest.raises(ValueError, match="at least 2"):
        check_batch_levels(times[:, :1])


def test_draws_repeat_and_leave_the_global_state():
    diffusion = VDiffusion(nn.Identity(), lambda n, device: torch.rand(n, device=device)).train()
    before = torch.get_rng_state()
    first, second = (draw_training_times(diffusion, seed=3) for _ in range(2))
    assert torch.equal(first, second) and first.shape == (256, 16)
    assert torch.equal(torch.get_rng_state(), before) and diffusion.training


# The sampling grid


@pytest.mark.parametrize(
    ("times", "asked", "words"),
    [
        ([0.0, 0.5, 1.0], 2, "wrong direction"),
        ([1.0, 0.5, 0.0], 3, "asked for 3 steps the grid makes 2, fewer than right"),
        ([1.0, 0.5, 0.0], 1, "asked for 1 steps the grid makes 2, more than right"),
        ([1.0, 0.5, 0.5, 0.0], 3, "do not fall at step 2"),
        ([80.0, 1.0, 0.0], 2, "right is within 1"),
        ([1.0, float("nan"), 0.0], 2, "right is within 1"),
        ([1.0], 0, "no step"),
        ([1.0, 0.5, 0.4], 2, "ends where the sound is 2.8 dB over the noise"),
    ],
)
def test_grids_that_cannot_be_walked(times, asked, words):
    found = check_sampling_grid(torch.tensor(times), HalfCircle(), asked)
    assert found.verdict == "wrong" and words in found.message, found.message


def test_uneven_grids():
    level = torch.tensor([1.0, 0.9, 0.02, 0.01, 0.0])
    found = check_sampling_grid(level, HalfCircle())
    assert found.verdict == "ok"  # four steps cannot be shorter than 4 even ones
    many = torch.cat([torch.linspace(1, 0.9, 20), torch.linspace(0.02, 0, 10)])
    found = check_sampling_grid(many, HalfCircle())
    apart = [20 * log10(tan(time * pi / 2)) for time in (0.9, 0.02)]
    assert found.verdict == "suspicious"
    assert found.figures["longest_step_db"] == pytest.approx(apart[0] - apart[1], abs=1e-3)
    late = torch.cat([torch.linspace(1, 0.5, 10), torch.zeros(1)])
    assert check_sampling_grid(late, HalfCircle()).verdict == "suspicious"


def test_quiet_data_are_named_and_not_the_grid():
    times = LinearSchedule()(31, CPU)
    found = check_sampling_grid(times, HalfCircle(), std=0.057)
    assert found.verdict == "suspicious" and "a deviation of 0.057" in found.message
    assert "multiply the clips by 17.5" in found.remedy and "LinearSchedule" not in found.remedy
    assert check_sampling_grid(times, HalfCircle(), std=1.0).verdict == "ok"
    late = torch.cat([torch.linspace(1, 0.5, 10), torch.zeros(1)])
    assert "LinearSchedule" in check_sampling_grid(late, HalfCircle(), std=0.057).remedy


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 30, 200])
def test_our_grids_are_fine_at_any_number_of_steps(steps):
    for schedule in (HalfCircle(), StraightPath(), VarianceExploding(), DiscreteBetas.linear()):
        for grid in (EvenLevels(schedule), ExponentialSchedule(schedule)):
            times = grid(steps + 1, CPU)
            found = check_sampling_grid(times, schedule, steps)
            assert found.verdict == "ok", (schedule, grid, found.text)
            assert check_first_step(schedule, times).verdict == "ok"
    assert check_sampling_grid(LinearSchedule()(steps + 1, CPU), HalfCircle()).verdict == "ok"


# Lists of levels laid over a chain


def test_aligned_steps_of_a_published_list():
    trained = torch.linspace(1e-4, 0.05, 50, dtype=torch.float64)
    fast = [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5]
    steps = align_levels(trained, fast).steps.tolist()
    wanted = [0, 0.894, 4.087, 10.452, 22.992, 42.919]
    assert steps == pytest.approx(wanted, abs=6e-4)
    aligned = align_levels(trained, [1e-5, *fast])
    assert (aligned.kept, aligned.dropped) == ([1, 2, 3, 4, 5, 6], [0])
    assert aligned.dropped_db == pytest.approx([50.0], abs=0.01)
    long = torch.linspace(1e-5, 0.05, 100, dtype=torch.float64)
    assert len(align_levels(trained, long).kept) == 70


def test_every_training_level_is_its_own_place():
    betas = DiscreteBetas.linear(40, 1e-4, 0.3).betas
    aligned = align_levels(betas, betas)
    assert aligned.steps.tolist() == pytest.approx(list(range(40)), abs=1e-6)
    assert check_levels_kept(betas, betas).verdict == "ok"
    assert align_levels(betas[:1], betas[:1]).steps.tolist() == pytest.approx([0])


# Bounds


@pytest.mark.parametrize(("limit", "percent"), [(1, 31.7), (2, 4.6), (3, 0.3)])
def test_share_of_the_start_beyond_a_bound(limit, percent):
    found = check_start_noise(limit)
    assert f"cuts {percent} % of the start noise" in found.message
    draws = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    share = (draws.abs() > limit).float().mean().item()
    assert found.figures["cut_share"] == pytest.approx(share, abs=0.003)
    assert found.verdict == ("suspicious" if limit == 3 else "wrong")
    assert check_start_noise(limit, 80.0).figures["cut_share"] > 0.95


def test_no_bound_and_a_wide_one_are_fine():
    assert check_start_noise(None).verdict == check_start_noise(4.0).verdict == "ok"


def test_a_bound_on_clean_signals():
    data = noise_clips(64).audio
    found = check_clean_bound(1.0, data)
    assert found.verdict == "wrong"
    assert found.figures["cut_share"] == pytest.approx(erfc(1 / sqrt(2)), abs=0.02)
    assert check_clean_bound(1.0, 0.2 * data).verdict == "ok"


def test_a_bound_that_sampling_never_meets_is_no_fault():
    """KDiffusion clips in `denoise_fn` alone, which its sampler does not call."""
    found = named(examine_schedule(small(KDiffusion), noise_clips(level=1.0)))
    assert "clean bound" not in found


# Answers read as they were taught

HEADS = [
    EpsilonPrediction(), CleanPrediction(), VPrediction(), FlowPrediction(), EDMPreconditioning()
]  # fmt: skip
SCHEDULES = [HalfCircle(), StraightPath(), VarianceExploding(), DiscreteBetas.linear()]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_our_heads_are_consistent_and_their_opposites_are_not(head, schedule):
    found = check_parameterization(head, schedule)
    assert found.verdict == "ok", found.text

    class Opposite(type(head)):
        def target(self, *given):
            return -super().target(*given)

    opposite = Opposite.__new__(Opposite)
    opposite.__dict__ |= head.__dict__
    found = check_parameterization(opposite, schedule)
    assert found.verdict == "wrong" and "Opposite teaches" in found.message


def test_swapped_gains_are_no_matter_of_sign():
    class Swapped(VPrediction):
        def target(self, clean, noise, alpha, sigma):
            return sigma * noise - alpha * clean

    found = check_parameterization(Swapped(), HalfCircle())
    assert found.verdict == "wrong" and "do not undo" in found.message


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_the_time_behind_what_a_network_is_told(head):
    diffusion = GaussianDiffusion(nn.Identity(), HalfCircle(), head)
    time = torch.tensor([0.0, 0.01, 0.3, 0.7, 0.999, 1.0], dtype=torch.float64)
    told = head.coefficients(time, *HalfCircle().alpha_sigma(time))[3]
    assert time_told(diffusion, told).tolist() == pytest.approx(time.tolist(), abs=1e-9)


# Whole models


MODELS = {
    "v": lambda: small(),
    "v, even levels": lambda: small(sampler_t=DiffusionSampler, sampler_solver=Heun()),
    "noise, 1000 steps": lambda: small(
        GaussianDiffusion,
        diffusion_schedule=DiscreteBetas.linear(1000, 1e-4, 0.02),
        diffusion_parameterization=EpsilonPrediction(),
    ),
    "flow": lambda: small(FlowDiffusion, sampler_solver=DPM2()),
    "flow, middle levels": lambda: small(FlowDiffusion, diffusion_times=LogitNormal()),
    "EDM": lambda: small(KDiffusion, diffusion_dynamic_threshold=None),
    "EDM, its own grid": lambda: small(
        KDiffusion,
        diffusion_dynamic_threshold=None,
        sampler_grid=KarrasSchedule(0.002, 80.0, noise_schedule=VarianceExploding()),
        sampler_solver=Heun(),
    ),
    "L1": lambda: small(loss_fn=nn.functional.l1_loss),
    "list": lambda: small(sampler_schedule=ListSchedule([1.0, 0.9, 0.7, 0.4, 0.2, 0.05, 0.0])),
    "stereo": lambda: small(channels=2, sampler_solver=UniPC()),
}


@pytest.mark.parametrize("name", MODELS)
def test_no_false_alarm(name):
    clips = noise_clips(channels=2 if name == "stereo" else 1, level=0.5 if "EDM" in name else 1.0)
    findings = examine_schedule(MODELS[name](), clips)
    assert worst(findings) == "ok", findings_text(findings)
    assert {"perfect network", "levels visited", "taught target"} <= set(named(findings))


def test_without_clips_and_without_a_sampler():
    assert worst(examine_schedule(small())) == "ok"
    only = VDiffusion(UNetV0(1, in_channels=1, channels=(8,), factors=(1,), items=(1,),
                             modulation_features=8))  # fmt: skip
    assert {"terminal SNR", "parameterization"} <= set(named(examine_schedule(only)))
    with pytest.raises(ValueError, match="GaussianDiffusion"):
        examine_schedule(nn.Linear(1, 1))


def test_odd_clips_and_dtypes():
    one = examine_schedule(small(), noise_clips(1))
    assert worst(one) == "ok", findings_text(one)
    silent = Clip(torch.zeros(2, 1, 64), torch.empty(2, 0).long(), ["x"] * 2)
    assert named(examine_schedule(small(), silent))["perfect network"].verdict == "ok"
    clips = noise_clips()
    half = small().bfloat16()
    coarse = examine_schedule(half, clips)
    assert worst(coarse) == "ok", findings_text(coarse)


def test_nothing_is_changed_and_all_repeats():
    model, clips = small().train(), noise_clips()
    model.net.eval()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before = torch.get_rng_state()
    first, second = (examine_schedule(model, clips) for _ in range(2))
    assert [a.to_dict() for a in first] == [b.to_dict() for b in second]
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training and not model.net.training and not model.net._forward_hooks
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


class Ending(VSampler):
    """A sampler that does something to each state and to the result."""

    clamp, gain = None, 1.0

    def forward(self, x_noisy, num_steps, **cond):
        times = torch.linspace(1, 0, num_steps + 1)
        for here, there in pairwise(times):
            if self.clamp is not None:
                x_noisy = x_noisy.clamp(-self.clamp, self.clamp)
            both = torch.stack([here, there])
            x_noisy = VSampler(self.net).forward(x_noisy, times=both, solver=Euler(), **cond)
        return self.gain * x_noisy


def walked(clamp=None, gain=1.0, sampling=None):
    model, clips = small(), noise_clips()
    model.sampler = Ending(model.net)
    model.sampler.clamp, model.sampler.gain = clamp, gain
    own = None if sampling is None else partial(sampling, model)
    seen = observe(model, clips, torch.full((6,), 0.5))
    return walk_perfectly(model, seen, 8, sampling=own)


def test_a_clamp_is_found_by_its_pile():
    assert check_noise_kept(walked()).verdict == "ok"
    found = check_noise_kept(walked(clamp=1.0))
    assert found.verdict == "wrong" and found.figures["limit"] == pytest.approx(1.0)
    # The first state is the start noise itself.
    assert walked(clamp=1.0).piled[0] == pytest.approx(0.317, abs=0.1)


def test_what_a_sampler_does_to_the_result():
    assert check_perfect_network(walked()).figures["error_db"] < -60
    quieter = check_perfect_network(walked(gain=0.5))
    assert quieter.verdict == "suspicious" and "-6.0 dB" in quieter.message
    assert "upside down" in check_perfect_network(walked(gain=-1.0)).message
    noise = check_perfect_network(walked(sampling=asks_once_and_ignores))
    assert noise.verdict == "wrong" and "spoils" in noise.message


def asks_once_and_ignores(model, num, steps, generator):
    model.net(torch.zeros(num, 1, 64), torch.full((num,), 0.5))
    return torch.rand(num, 1, 64, generator=generator)


def test_a_sampler_that_asks_nothing_is_refused():
    with pytest.raises(ValueError, match="never asked the network"):
        walked(sampling=lambda model, n, *_: torch.zeros(n, 1, 64))


def test_other_lengths_and_guidance_still_give_the_sound():
    """A doubled batch of a guided sampler and another length than the clips'."""
    model, clips = small(num_classes=3, sampler_solver=DPMpp2M()), noise_clips()
    clips = Clip(clips.audio, torch.arange(6)[:, None] % 3, clips.name)
    seen = observe(model, clips, torch.full((6,), 0.5))

    def sampling(count, steps, generator):
        labels = clips.labels[:count]
        return model.generate(count, 96, steps, generator=generator, labels=labels, guidance=3.0)

    walk = walk_perfectly(model, seen, 8, sampling=sampling)
    assert walk.clean.shape == (2, 1, 96)
    assert check_perfect_network(walk).figures["error_db"] < -60
