"""Snapshots of two running means make up the mean of any length, afterwards."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from audio_diffusion_pytorch.training import fit, load_checkpoint
from audio_diffusion_pytorch.training.ema import EMA
from audio_diffusion_pytorch.training.post_hoc_ema import (
    PostHocEMA,
    drop_snapshots_after,
    find_snapshots,
    reconstruct_ema,
)
from audio_diffusion_pytorch.training.power_function import (
    PowerFunction,
    length_of,
    mix_profiles,
    power_of,
)

STEPS = 600


class Walker(nn.Module):
    """Weights on a random walk that slows down as in training, one that rests, and a counter."""

    def __init__(self, dtype=torch.float64) -> None:
        super().__init__()
        self.walk = nn.Parameter(torch.zeros(40, dtype=dtype))
        self.rest = nn.Parameter(torch.full((3,), 1 / 3, dtype=dtype))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))


def path_of(steps=STEPS):
    """The walk `(steps, 40)`: an approach with noise on it."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(steps, 40, generator=generator, dtype=torch.float64)
    time = torch.arange(1, steps + 1, dtype=torch.float64)[:, None] / steps
    return noise.cumsum(0) / steps**0.5 + 5 * (1 - torch.exp(-6 * time)) + 0.3 * noise


def profile(length, steps, total=None):
    """The shares of each step, by the areas under `s^p`."""
    edges = torch.arange(steps + 1, dtype=torch.float64) / steps
    shares = (edges ** (power_of(length) + 1)).diff()
    return torch.nn.functional.pad(shares, (0, (total or steps) - steps))


def run(means, walker, start, end, folder=None, every=20):
    walk = path_of()
    for step in range(start + 1, end + 1):
        with torch.no_grad():
            walker.walk.copy_(walk[step - 1])
            walker.count.fill_(step)
        means.update(walker)
        if folder is not None and step % every == 0:
            means.save_snapshot(folder, step)


def assert_same_snapshots(one, other):
    names = sorted(path.name for path in one.iterdir())
    assert names and names == sorted(path.name for path in other.iterdir())
    for name in names:
        here, there = load_file(one / name), load_file(other / name)
        assert here.keys() == there.keys()
        assert all(torch.equal(here[key], there[key]) for key in here)


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snapshots")
    walker = Walker()
    run(PostHocEMA(walker), walker, 0, STEPS, folder)
    return folder


@pytest.mark.parametrize("length", [0.01, 0.05, 0.1, 0.2, 0.28])
def test_length_and_power_are_inverse_and_are_the_spread_of_the_profile(length):
    assert length_of(power_of(length)) == pytest.approx(length, rel=1e-12)
    shares = profile(length, 20000)
    time = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    mean = (shares * time).sum()
    spread = (shares * (time - mean) ** 2).sum().sqrt()
    assert float(spread) == pytest.approx(length, rel=1e-4)


def test_the_papers_powers_and_the_plain_mean():
    assert power_of(0.05) == pytest.approx(16.97, abs=0.005)
    assert power_of(0.1) == pytest.approx(6.94, abs=0.005)
    assert power_of(1 / math.sqrt(12)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("length", [0.05, 0.1, 0.25])
def test_running_mean_has_exactly_its_profile(length):
    walker = Walker()
    mean = EMA(walker, PowerFunction(length))
    run(mean, walker, 0, 100)
    expected = profile(length, 100) @ path_of()[:100]
    torch.testing.assert_close(mean.module.walk, expected, rtol=1e-12, atol=1e-12)
    assert mean.module.count == 100


@pytest.mark.parametrize("length", [0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2])
def test_reconstruction_is_the_mean_of_the_true_profile(snapshots, length):
    made = reconstruct_ema(snapshots, length)
    true = profile(length, STEPS) @ path_of()
    error = (made.weights["walk"] - true).norm() / true.norm()
    assert error < 1e-3 and (made.step, made.snapshots) == (STEPS, 60)
    plain = (path_of()[-1] - true).norm() / true.norm()
    assert plain > 0.02  # the last weights are no such mean
    assert torch.equal(made.weights["rest"], torch.full((3,), 1 / 3, dtype=torch.float64))
    assert made.weights["count"] == STEPS


def test_reconstruction_at_an_earlier_step_uses_nothing_later(snapshots):
    made = reconstruct_ema(snapshots, 0.15, step=400)
    true = profile(0.15, 400) @ path_of()[:400]
    assert (made.weights["walk"] - true).norm() / true.norm() < 1e-3
    assert (made.step, made.snapshots) == (400, 40)


def test_a_saved_length_comes_out_as_it_was_saved(snapshots):
    walker = Walker()
    means = PostHocEMA(walker)
    run(means, walker, 0, STEPS)
    made = reconstruct_ema(snapshots, 0.1)
    torch.testing.assert_close(made.weights["walk"], means.means[1].module.walk)
    assert made.error < 1e-6


def test_mixture_tells_how_far_its_profile_is_off():
    """The error is that of the profiles themselves; fewer snapshots, larger error."""
    errors = []
    for count in (4, 8, 16, 32):
        times = [round(2000 * (i + 1) / count) for i in range(count) for _ in range(2)]
        lengths = [0.05, 0.1] * count
        mixture = mix_profiles(times, lengths, 2000, 0.2)
        saved = zip(lengths, times, strict=True)
        mixed = mixture.shares @ torch.stack([profile(s, t, 2000) for s, t in saved])
        wanted = profile(0.2, 2000)
        found = ((mixed - wanted).norm() / wanted.norm()).item()
        assert mixture.error == pytest.approx(found, rel=0.02)
        assert mixture.shares.sum().item() == pytest.approx(1, abs=1e-12)
        errors.append(mixture.error)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.01


def test_means_go_on_bit_for_bit_from_their_state(tmp_path):
    walker = Walker(torch.float32)
    whole = PostHocEMA(walker)
    run(whole, walker, 0, 60)
    half = PostHocEMA(walker)
    run(half, walker, 0, 30)
    again = PostHocEMA(Walker(torch.float32))
    again.load_state_dict(half.state_dict())
    pickled = pickle.loads(pickle.dumps(copy.deepcopy(half)))
    for means in (again, pickled):
        run(means, walker, 30, 60)
        assert means.updates == 60
        for one, other in zip(whole.means, means.means, strict=True):
            assert torch.equal(one.module.walk, other.module.walk)
    for name, means in (("a", whole), ("b", again)):
        means.save_snapshot(tmp_path / name, 60)
    assert_same_snapshots(tmp_path / "a", tmp_path / "b")


def test_means_are_independent_of_the_model_and_never_train():
    model = nn.Linear(3, 2)
    means = PostHocEMA(model)
    means.update(model)
    before = means.means[0].module.weight.clone()
    nn.init.zeros_(model.weight)
    assert torch.equal(means.means[0].module.weight, before)
    assert not means.train().training
    assert not any(weight.requires_grad for weight in means.parameters())


def test_snapshots_after_a_step_are_dropped(tmp_path):
    walker = Walker()
    means = PostHocEMA(walker)
    run(means, walker, 0, 60, tmp_path)
    (tmp_path / ".step.1.partial").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("kept")
    drop_snapshots_after(tmp_path, 40)
    assert {snapshot.step for snapshot in find_snapshots(tmp_path)} == {20, 40}
    assert not list(tmp_path.glob(".*")) and (tmp_path / "notes.txt").is_file()


def test_training_saves_snapshots_and_resumes_to_the_same_ones(tone_training, tones, tmp_path):
    def train(folder, resume=False):
        config = tone_training.small_config(
            max_steps=12,
            ema_snapshot_every=3,
            validation_items=0,
            checkpoint_every=5,
            keep_checkpoints=9,
        )
        return fit(
            tone_training.TinyModel(), tone_training.Tones(tones), config, tmp_path / folder,
            resume=resume,
        )  # fmt: skip

    train("whole")
    whole = tmp_path / "whole" / "checkpoints" / "ema_snapshots"
    assert [snapshot.step for snapshot in find_snapshots(whole)[::2]] == [3, 6, 9, 12]
    train("half")
    checkpoints = tmp_path / "half" / "checkpoints"
    early = checkpoints / "step_00000005.pt"  # the snapshots of steps 6, 9 and 12 are newer
    train("half", resume=str(early))
    assert_same_snapshots(whole, checkpoints / "ema_snapshots")
    content = load_checkpoint(tmp_path / "whole" / "checkpoints" / "last.pt")
    made = reconstruct_ema(whole, 0.1)
    key = next(key for key in made.weights if made.weights[key].is_floating_point())
    saved = content["post_hoc_ema"][f"means.1.module.{key}"]
    torch.testing.assert_close(made.weights[key], saved)


def test_what_cannot_be_reconstructed_is_refused(snapshots, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train\.ema_snapshot_every"):
        reconstruct_ema(tmp_path / "nowhere", 0.1)
    with pytest.raises(ValueError, match="step 410: the nearest is 4"):
        reconstruct_ema(snapshots, 0.1, step=410)
    for length in (0.0, 0.5, math.nan):
        with pytest.raises(ValueError, match="share of the run"):
            reconstruct_ema(snapshots, length)
    for lengths in ([], [0.1, 0.1]):
        with pytest.raises(ValueError, match="different lengths"):
            PostHocEMA(nn.Linear(1, 1), lengths)
    with pytest.raises(ValueError, match="at least one saved mean"):
        mix_profiles([], [], 10, 0.1)


def test_damaged_and_foreign_snapshots_are_named(tmp_path):
    for model, step in ((nn.Linear(3, 2), 1), (nn.Linear(4, 2), 2)):
        means = PostHocEMA(model)
        means.update(model)
        paths = means.save_snapshot(tmp_path, step)
    with pytest.raises(ValueError, match="another model"):
        reconstruct_ema(tmp_path, 0.1)
    paths[0].write_bytes(paths[0].read_bytes()[:20])
    with pytest.raises(ValueError, match=r"step_00000002_length_0\.0500\.safetensors is damaged"):
        reconstruct_ema(tmp_path, 0.1)
