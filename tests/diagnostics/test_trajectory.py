"""A sampler seen from the network: what is recorded, and what each check makes of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from math import log10, sqrt

import pytest
import torch
from sampling_stand_ins import Each, exact_model, sampling_of, told_by_index, white_clips
from torch import Generator, nn

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.diagnostics import (
    check_clamped_state,
    check_guesses,
    check_told_levels,
    check_trajectory,
    examine_trajectory,
    real_reference,
    record_trajectory,
    times_told,
    worst,
)
from audio_diffusion_pytorch.diagnostics.trajectory.clamping import bound_share
from audio_diffusion_pytorch.diagnostics.trajectory.steps import told_and_true
from audio_diffusion_pytorch.diffusion import (
    DiffusionSampler,
    EDMPreconditioning,
    FlowPrediction,
    GaussianDiffusion,
    HalfCircle,
    LinearBeta,
    StaticThreshold,
    StraightPath,
    VarianceExploding,
    VPrediction,
    VSampler,
)
from audio_diffusion_pytorch.diffusion import solvers as all_solvers

CPU = torch.device("cpu")


def untrained(**options: object) -> DiffusionModel:
    torch.manual_seed(0)
    return DiffusionModel(
        UNetV0, in_channels=1, channels=(8, 8), factors=(1, 2), items=(1, 1),
        modulation_features=8, **options,
    ).eval()  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "parameterization"),
    [
        (HalfCircle(), VPrediction()),
        (StraightPath(), FlowPrediction()),
        (VarianceExploding(), EDMPreconditioning()),
    ],
)
def test_levels_told_are_turned_back_into_times(schedule, parameterization):
    diffusion = GaussianDiffusion(nn.Identity(), schedule, parameterization)
    times = torch.linspace(0.1, 0.98, 50)
    told = parameterization.coefficients(times, *schedule.alpha_sigma(times))[3]
    found, in_range = times_told(diffusion, told)
    assert in_range
    torch.testing.assert_close(found, times, atol=2e-4, rtol=0)
    low, high = float(told.min()), float(told.max())
    assert not times_told(diffusion, torch.tensor([2 * high - low + 9.0]))[1]
    assert not times_told(diffusion, torch.tensor([2 * low - high - 9.0]))[1]


def test_a_network_that_is_told_nothing_cannot_be_read():
    class Silent(VPrediction):
        def coefficients(self, time, alpha, sigma):
            return *super().coefficients(time, alpha, sigma)[:3], torch.zeros_like(time)

    with pytest.raises(ValueError, match="told the same at every noise level"):
        times_told(GaussianDiffusion(nn.Identity(), HalfCircle(), Silent()), torch.zeros(2))


def test_the_states_recorded_are_those_of_the_sampler():
    model, states = untrained(), []
    seen = record_trajectory(
        model, sampling_of(model, callback=lambda s: states.append(s)), num_items=3, num_steps=6
    )
    assert len(seen.calls) == 6 and seen.finished.shape == (3, 1, 512)
    for call, state in zip(seen.calls[1:], states, strict=False):
        torch.testing.assert_close(call.state, state.x)
        assert call.time == pytest.approx(float(state.time[0]), abs=1e-5)
    torch.testing.assert_close(seen.finished, states[-1].x)
    torch.testing.assert_close(seen.audio, seen.finished)  # raw samples


def test_recording_leaves_the_model_and_the_random_state_alone():
    model = untrained().train()
    weights, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    record_trajectory(model, sampling_of(model), num_items=2, num_steps=2)
    assert torch.equal(state, torch.get_rng_state())
    assert all(part.training for part in model.modules())
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert not model.diffusion.net._forward_hooks and not model.sampler._forward_hooks


def test_what_cannot_be_recorded_is_refused():
    model = untrained()
    with pytest.raises(ValueError, match=r"did not ask model\.diffusion\.net"):
        record_trajectory(model, lambda n, s, g: torch.zeros(n, 1, 8))
    with pytest.raises(ValueError, match="GaussianDiffusion"):
        record_trajectory(nn.Linear(1, 1), lambda n, s, g: torch.zeros(n, 1, 8))
    model.diffusion.net.forward = lambda x, time: x[:, :, :1]
    with pytest.raises(ValueError, match="shape of their input"):
        record_trajectory(
            model, lambda n, s, g: model.net(torch.zeros(n, 1, 8), torch.ones(n)), num_items=2
        )


def test_the_true_level_of_an_euler_step_is_exact_for_any_network():
    for schedule in (HalfCircle(), LinearBeta(), StraightPath()):
        model = untrained()
        model.diffusion = GaussianDiffusion(model.net, schedule, VPrediction())
        model.sampler = DiffusionSampler(model.diffusion, solver=all_solvers.Euler())
        pairs = told_and_true(record_trajectory(model, sampling_of(model), num_steps=12))
        assert len(pairs) == 12
        for told, true in pairs:
            assert true == pytest.approx(told, abs=0.01)


@pytest.mark.parametrize("name", sorted(all_solvers.__all__))
def test_no_solver_is_accused_of_telling_wrong_levels(name):
    model = exact_model(0.7, sampler_solver=getattr(all_solvers, name)())
    seen = record_trajectory(model, sampling_of(model), num_items=4, num_steps=30)
    assert check_told_levels(seen).verdict == "ok"
    assert check_clamped_state(seen, white_clips(0.7).audio).verdict == "ok"


def test_guidance_in_a_doubled_batch_is_seen_through():
    model = exact_model()
    labels = torch.arange(6)[:, None]
    guided = sampling_of(model, labels=labels, guidance=3.0)
    seen = record_trajectory(model, guided, num_items=6, num_steps=12)
    assert seen.calls[5].guided_by is not None and len(seen.calls[5].state) == 6
    assert all(true == pytest.approx(told, abs=0.01) for told, true in told_and_true(seen))
    plain = record_trajectory(model, sampling_of(model, labels=labels), num_items=6, num_steps=12)
    assert plain.calls[5].guided_by is None


def test_a_perfect_sampler_is_right_in_all_and_its_numbers_are_closed_forms():
    deviation = 0.5
    model, clips = exact_model(deviation), white_clips(deviation, 64)
    seen = record_trajectory(model, sampling_of(model), num_items=64, num_steps=200)
    times = [seen.calls[place].time for place in (50, 100, 150)]
    reference = real_reference(model, clips, times)
    for level in reference.levels:
        alpha, sigma = (float(v) for v in HalfCircle().alpha_sigma(torch.tensor(level.time)))
        size = sqrt(alpha**2 * deviation**2 + sigma**2)
        assert level.state == pytest.approx(size, rel=0.02)
        assert level.error == pytest.approx(deviation * sigma / size, rel=0.02)
    finding = check_guesses(seen, reference)
    alpha, sigma = (
        float(v)
        for v in HalfCircle().alpha_sigma(torch.tensor(min(times, key=lambda t: abs(t - 0.8))))
    )
    kept = alpha * deviation / sqrt(alpha**2 * deviation**2 + sigma**2)
    # The result is a multiple of the state, so a guess misses it by less than a clean signal.
    assert finding.figures["distance to the finished sound"] == pytest.approx(
        deviation * (1 - kept), rel=0.05
    )
    findings = examine_trajectory(model, sampling_of(model), clips, num_steps=30)
    assert worst(findings) == "ok"
    assert [finding.check for finding in findings] == [
        "levels told to the network", "clamped state", "sampler trajectory", "guesses on the way",
    ]  # fmt: skip


def test_a_state_of_the_wrong_size_is_found_at_its_first_call():
    model, clips = exact_model(), white_clips()
    half = sampling_of(model, constraint=Each(lambda x: x * 0.9))
    seen = record_trajectory(model, half, num_steps=30)
    reference = real_reference(model, clips, [0.5])
    finding = check_trajectory(seen, reference)
    assert finding.verdict == "wrong"
    assert finding.figures["first network call outside"] >= 2
    assert abs(finding.figures["first deviation, dB"]) < 0.3
    # Each step takes 0.9 of it, and the exact network gives half of that error back at most.
    assert finding.figures["largest deviation, dB"] < -5
    assert "remove clamping" in finding.remedy
    loud = replace(
        seen, calls=tuple(replace(call, state=call.state.new_full((8, 1, 64), 2.0))
                          for call in seen.calls[-1:]),
    )  # fmt: skip
    finding = check_trajectory(loud, reference)
    assert finding.figures["largest deviation, dB"] == pytest.approx(20 * log10(2), abs=0.1)
    assert "train longer first" in finding.remedy
    assert "guidance" not in finding.remedy and "normalizer" not in finding.remedy
    guided = replace(loud.calls[0], guided_by=loud.calls[0].state)
    finding = check_trajectory(replace(loud, calls=(guided,)), reference, scaled=True)
    assert "lower the guidance" in finding.remedy and "model.fit_normalizer" in finding.remedy


def test_shares_at_a_bound():
    drawn = torch.randn(4, 2, 8192, generator=Generator().manual_seed(0))
    assert bound_share(drawn) == 0
    assert bound_share(drawn.clamp(-1, 1)) == pytest.approx(0.3173, abs=0.005)
    assert bound_share(drawn.clamp(-3, 3)) == pytest.approx(0.0027, abs=0.0008)
    assert bound_share(drawn.clamp(max=0)) == pytest.approx(0.5, abs=0.01)
    assert bound_share(torch.zeros(3, 1, 64)) == 0  # silence is not a clamp
    assert bound_share(torch.tensor([[1.0, 2.0]])) == 0


def test_a_guess_cut_in_the_end_is_wrong_only_if_the_data_go_beyond():
    model = exact_model()
    threshold = StaticThreshold(limit=1.0)
    seen = record_trajectory(model, sampling_of(model, guidance=threshold), num_steps=30)
    loud = check_clamped_state(seen, white_clips().audio)
    assert loud.verdict == "wrong"
    assert loud.figures["real values beyond it"] == pytest.approx(0.317, abs=0.02)
    within = torch.rand(8, 1, 512, generator=Generator().manual_seed(0)) * 2 - 1
    assert check_clamped_state(seen, within).verdict == "ok"


def test_sampling_by_another_schedule_than_trained_is_called_by_name():
    model = untrained()
    model.diffusion = GaussianDiffusion(model.net, LinearBeta(), VPrediction())
    model.sampler = VSampler(model.net)  # walks the half circle
    finding = check_told_levels(record_trajectory(model, sampling_of(model), num_steps=30))
    assert finding.verdict == "wrong" and abs(finding.figures["largest difference, dB"]) > 6
    model.sampler = DiffusionSampler(model.diffusion)
    finding = check_told_levels(record_trajectory(model, sampling_of(model), num_steps=30))
    assert finding.verdict == "ok"


def test_levels_dropped_out_of_range_or_reversed_are_called_by_name():
    model = untrained()

    def judge(told):
        sampling = told_by_index(model, 512, told)
        return check_told_levels(record_trajectory(model, sampling, num_steps=50))

    right = judge(lambda step, steps: 1 - step / steps)
    assert right.verdict == "ok" and abs(right.figures["largest difference, dB"]) < 0.01
    dropped = judge(lambda step, steps: (steps - step) / 1000)  # the i-th of 1000, not of 50
    assert dropped.verdict == "wrong"
    assert dropped.figures["told there, dB"] > 15 > dropped.figures["true there, dB"]
    whole = judge(lambda step, steps: float(steps - step))
    assert whole.verdict == "wrong" and "which training never says" in whole.message
    rising = judge(lambda step, steps: (step + 1) / steps)
    assert rising.verdict == "wrong" and "ever more noise" in rising.message


def test_guesses_far_from_the_end_are_found():
    model, clips = exact_model(), white_clips()
    seen = record_trajectory(model, sampling_of(model), num_steps=30)
    reference = real_reference(model, clips, [0.7, 0.5, 0.3])
    assert check_guesses(seen, reference).verdict == "ok"
    away = replace(seen, finished=6 * seen.finished)
    finding = check_guesses(away, reference)
    assert finding.verdict == "wrong" and finding.figures["ratio, dB"] > 12
    alone = replace(seen, finished=None)  # then the last guess stands for the end
    assert check_guesses(alone, reference).verdict == "ok"


def test_states_that_are_no_numbers_are_wrong_and_written_in_words():
    model, clips = exact_model(), white_clips()
    broken = sampling_of(model, constraint=Each(lambda x: x * float("nan")))
    findings = {f.check: f for f in examine_trajectory(model, broken, clips)}
    assert findings["sampler trajectory"].verdict == "wrong"
    assert findings["sampler trajectory"].figures["largest deviation, dB"] == "no number"


def test_half_precision_and_planes_are_read():
    model = exact_model().to(torch.bfloat16)
    seen = record_trajectory(model, sampling_of(model), num_steps=30)
    assert check_told_levels(seen).verdict == "ok"
    assert check_clamped_state(seen, white_clips().audio).verdict == "ok"
    plane = exact_model()

    def sampling(num, steps, generator):
        noise = torch.randn(num, 2, 8, 32, generator=generator)
        return plane.sampler(noise, steps).flatten(2)

    seen = record_trajectory(plane, sampling, num_items=3, num_steps=30)
    assert seen.calls[0].state.shape == (3, 2, 8, 32)
    assert check_told_levels(seen).verdict == "ok"
