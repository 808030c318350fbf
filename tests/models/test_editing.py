"""Edits of sounds with a model: what is kept is kept to the bit, the rest follows from it."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, nn

from audio_diffusion_pytorch import MDCT, Companded, DiffusionModel, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.data import read_audio
from audio_diffusion_pytorch.diffusion import (
    DPMpp2M,
    EulerAncestral,
    FlowDiffusion,
    HalfCircle,
    Heun,
    KarrasSchedule,
    KDiffusion,
    VDiffusion,
)
from audio_diffusion_pytorch.models import continue_audio, generate_long, inpaint, vary
from audio_diffusion_pytorch.models.joining import join

SMALL = {"channels": [8, 16], "factors": [1, 2], "items": [1, 1], "modulation_features": 32}
QUICK = {"visits": 2, "iterations": 1}
EDM = {"dynamic_threshold": None, "sigma_data": 1.0}
KINDS = ["raw", "mdct", "labelled", "flow", "edm"]


def seeded(seed=0):
    return Generator().manual_seed(seed)


@pytest.fixture
def notes(piano_folder):
    """Two real notes, (2, 1, 1500): no multiple of a frame."""
    files = sorted(piano_folder.glob("*_ff.flac"))[::20][:2]
    return torch.stack([read_audio(f, num_frames=1500)[0] for f in files])


@pytest.fixture
def model_of(notes):
    """Untrained models whose nets answer something, fitted on the notes."""

    def make(kind):
        torch.manual_seed(1)
        kinds = {"flow": FlowDiffusion, "edm": KDiffusion}
        settings = {f"diffusion_{k}": v for k, v in EDM.items()} if kind == "edm" else {}
        if kind in ("raw", "flow"):
            return DiffusionModel(UNetV0, kinds.get(kind, VDiffusion), in_channels=1, **SMALL)
        space = Companded(MDCT(16))
        model = DiffusionModel(
            UNetV0, kinds.get(kind, VDiffusion), autoencoder=space, in_channels=16,
            normalizer=LatentNormalizer(16, whitening=0.5),
            num_classes=(4, 3) if kind == "labelled" else None, **settings, **SMALL,
        )  # fmt: skip
        model.fit_normalizer([notes])
        return model

    return make


def extras(kind):
    """Labels with guidance, and a stochastic solver, so that each is gone through once."""
    if kind == "labelled":
        return {"labels": torch.tensor([[1, 2], [3, -1]]), "guidance": 2.0}
    return {"solver": EulerAncestral()} if kind == "mdct" else {}


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKindOfModel:
    def test_inpaint_keeps_the_kept_part_to_the_bit(self, model_of, notes, kind):
        model, mask = model_of(kind).train(), torch.ones(1, 1, 1500, dtype=torch.bool)
        mask[..., 700:901] = False
        ask = {**QUICK, **extras(kind)}
        made = inpaint(model, notes, mask, 3, generator=seeded(), **ask)
        assert torch.equal(made[..., :700], notes[..., :700])
        assert torch.equal(made[..., 901:], notes[..., 901:])
        assert bool((made[..., 700:901] != notes[..., 700:901]).any(-1).all())
        assert made.isfinite().all() and model.training
        global_state = torch.get_rng_state()
        again = inpaint(model, notes, mask, 3, generator=seeded(), **ask)
        assert torch.equal(made, again) and torch.equal(torch.get_rng_state(), global_state)
        other = inpaint(model, notes, mask, 3, generator=seeded(1), **ask)
        assert not torch.equal(made, other)

    def test_what_is_open_is_never_looked_at(self, model_of, notes, kind):
        model, mask = model_of(kind), torch.arange(1500) < 800
        changed = torch.where(mask, notes, 0.9)
        made, other = (
            inpaint(model, x, mask, 2, generator=seeded(), **QUICK, **extras(kind))
            for x in (notes, changed)
        )
        assert torch.equal(made, other)

    @pytest.mark.parametrize("length", [701, 1333, 2050])
    def test_continue_keeps_the_beginning_and_follows_it(self, model_of, notes, kind, length):
        model = model_of(kind).train()
        ask = {"span": 512, "overlap": 0.5, **QUICK, **extras(kind)}
        prefix = notes[..., :700]
        made = continue_audio(model, prefix, length, 2, generator=seeded(), **ask)
        assert made.shape == (2, 1, length) and torch.equal(made[..., :700], prefix)
        assert made.isfinite().all() and model.training
        again = continue_audio(model, prefix, length, 2, generator=seeded(), **ask)
        assert torch.equal(made, again)
        other = continue_audio(model, 0.5 * prefix, length, 2, generator=seeded(), **ask)
        assert not torch.equal(other[..., 700:], made[..., 700:])

    def test_vary_goes_from_the_same_sound_to_any(self, model_of, notes, kind):
        model = model_of(kind).train()

        def varied(x, strength):
            return vary(model, x, strength, 4, generator=seeded(), **extras(kind))

        torch.testing.assert_close(varied(notes, 0.0), notes, atol=1e-5, rtol=0)
        assert torch.equal(varied(notes, 1.0), varied(notes.flip(-1), 1.0))
        assert not torch.equal(varied(notes, 0.5), varied(notes.flip(-1), 0.5))
        assert varied(notes, 0.5).shape == notes.shape and model.training

    @pytest.mark.parametrize("length", [1, 300, 1111])
    def test_generate_long_makes_any_length(self, model_of, kind, length):
        model = model_of(kind).train()
        ask = {"span": 512, **QUICK, **extras(kind)}
        made = generate_long(model, 2, length, 2, generator=seeded(), **ask)
        assert made.shape == (2, 1, length) and made.isfinite().all() and model.training
        again = generate_long(model, 2, length, 2, generator=seeded(), **ask)
        assert torch.equal(made, again)


class Perfect(nn.Module):
    """The velocity that a perfect net gives for Gaussian signals with covariance `C`.

    `E[x0 | x_t] = alpha C (alpha^2 C + sigma^2)^-1 x_t`, and `v = (alpha x_t - x0) / sigma`.
    """

    def __init__(self, dim, in_channels, correlation=0.95, length=32):
        super().__init__()
        del dim, in_channels
        place = torch.arange(length)
        self.scale = nn.Parameter(torch.ones(()))  # so that the model has a device and a dtype
        self.covariance = correlation ** (place[:, None] - place).abs().float()

    def forward(self, x, time):
        alpha, sigma = (level[:, None, None] for level in HalfCircle().alpha_sigma(time))
        noisy = alpha**2 * self.covariance + sigma**2 * torch.eye(len(self.covariance))
        clean = alpha * torch.linalg.solve(noisy, x.transpose(1, 2)).transpose(1, 2)
        clean = clean @ self.covariance
        return self.scale * (alpha * x - clean) / sigma.clamp_min(1e-4)


class TestGaussianSignals:
    """Neighbours have correlation 0.95: from the edge the mean falls by that at each sample."""

    def test_a_gap_is_filled_with_the_conditional_mean(self):
        model = DiffusionModel(Perfect, in_channels=1)
        known = torch.zeros(400, 1, 32)
        known[..., :16] = 1.5
        mask = torch.arange(32) < 16
        made = inpaint(model, known, mask, 20, solver=Heun(), iterations=2, generator=seeded())
        gap = made[:, 0, 16:]
        mean = 1.5 * 0.95 ** torch.arange(1, 17)
        std = (1 - 0.95 ** (2 * torch.arange(1, 17))).sqrt()
        assert (gap.mean(0) - mean).abs().max() < 0.12
        assert (gap.std(0) - std).abs().max() < 0.12

    def test_a_continuation_goes_on_from_the_last_sample(self):
        model = DiffusionModel(Perfect, in_channels=1)
        prefix = 2.0 * torch.ones(400, 1, 20)
        ask = {"span": 32, "solver": Heun(), "iterations": 2, "generator": seeded()}
        made = continue_audio(model, prefix, 60, 20, **ask)
        means = made.mean((0, 1))
        assert (means[20:] - 2.0 * 0.95 ** torch.arange(1, 41)).abs().max() < 0.2
        assert abs(float(made[..., 59].std()) - (1 - 0.95**80) ** 0.5) < 0.1

    def test_a_variation_keeps_what_the_level_leaves(self):
        """The share of the signal that survives falls from all of it to none."""
        model = DiffusionModel(Perfect, in_channels=1)
        x = torch.linalg.cholesky(model.net.covariance) @ torch.randn(32, 200)
        x = x.T[:, None]
        likeness = [
            float((vary(model, x, strength, 20, generator=seeded()) * x).mean())
            for strength in (0.2, 0.5, 0.8, 1.0)
        ]
        assert likeness == sorted(likeness, reverse=True)
        assert likeness[0] > 0.9 and abs(likeness[-1]) < 0.15


class TestJoin:
    def test_a_constant_error_leads_on_and_dies_out(self):
        kept, made = torch.ones(1, 1, 100), torch.zeros(1, 1, 100)
        mask = ((torch.arange(100) < 30) | (torch.arange(100) >= 70))[None, None]
        joined = join(kept, made, mask, 10)
        assert torch.equal(joined.where(mask, 0.0), kept.where(mask, 0.0))
        assert joined.diff(dim=-1).abs().max() < 0.16  # no step: half a cosine of 10 samples
        assert torch.equal(joined[..., 40:60], made[..., 40:60])
        torch.testing.assert_close(joined, joined.flip(-1))

    def test_a_made_sound_that_agrees_stays_as_it_is(self):
        sound = torch.randn(2, 1, 50)
        mask = torch.rand(2, 1, 50) > 0.5
        made = sound.where(mask, torch.randn(2, 1, 50))
        assert torch.equal(join(sound, made, mask, 8), made)

    def test_nothing_kept_and_all_kept(self):
        kept, made = torch.randn(1, 2, 20), torch.randn(1, 2, 20)
        everything = torch.ones(1, 1, 20, dtype=torch.bool)
        assert torch.equal(join(kept, made, everything, 4), kept)
        assert torch.equal(join(kept, made, ~everything, 4), made)


def test_frames_that_hear_the_gap_are_not_trusted(model_of, notes):
    """`MDCT` and what wraps it tell how far a frame sees: so far the kept part must go."""
    assert MDCT(16).reach == Companded(MDCT(16)).reach == 8
    model = model_of("mdct")
    loud = notes.clone()
    loud[..., 800:] = 0.9
    whole = (800 - 8) // 16
    assert torch.equal(model.encode(loud)[..., :whole], model.encode(notes)[..., :whole])
    assert not torch.equal(model.encode(loud)[..., whole], model.encode(notes)[..., whole])


def test_soft_masks_keep_only_what_is_one(model_of, notes):
    mask = torch.ones(1500)
    mask[600:] = 0.5
    made = inpaint(model_of("raw"), notes, mask, 4, generator=seeded(), **QUICK)
    assert torch.equal(made[..., :600], notes[..., :600])
    assert not torch.equal(made[..., 600:], notes[..., 600:])


def test_audio_keeps_its_dtype_and_its_bits(model_of, notes):
    exact = notes.double() * (1 + 1e-12)
    made = inpaint(model_of("mdct"), exact, torch.arange(1500) < 900, 2, **QUICK)
    assert made.dtype == torch.float64 and torch.equal(made[..., :900], exact[..., :900])


@pytest.mark.parametrize("training", [True, False])
def test_each_module_gets_its_own_mode_back(model_of, notes, training):
    model = model_of("raw").train(training)
    part = model.net.levels[0].train(not training)
    vary(model, notes, 0.5, 2)
    assert model.training is model.net.training is training is not part.training
    model.eval()


def test_a_length_that_is_there_already(model_of, notes):
    assert torch.equal(continue_audio(model_of("raw"), notes, 1500, 2, span=512), notes)


REFUSED = {
    "axes": (lambda m, x: inpaint(m, x[0], torch.ones(1500), 2), r"\(b, c, t\)"),
    "mask length": (lambda m, x: inpaint(m, x, torch.ones(1, 1, 99), 2), r"\(2 or 1, 1, 1500\)"),
    "mask batch": (lambda m, x: inpaint(m, x, torch.ones(3, 1, 1500), 2), "the mask must"),
    "mask channels": (lambda m, x: inpaint(m, x, torch.ones(2, 2, 1500), 2), "the mask must"),
    "mask values": (lambda m, x: inpaint(m, x, 2 * torch.ones(1500), 2), "0 .* 1"),
    "visits": (lambda m, x: inpaint(m, x, torch.ones(1500), 2, visits=0), "visit"),
    "labels": (lambda m, x: vary(m, x, 0.5, 2, guidance=2.0), "needs labels"),
    "strength": (lambda m, x: vary(m, x, 1.5, 2), "strength"),
    "steps": (lambda m, x: vary(m, x, 0.5, 0), "num_steps must be at least 1"),
    "length": (lambda m, x: continue_audio(m, x, 1499, 2, span=512), "1500 samples"),
    "beginning": (lambda m, x: continue_audio(m, x[..., :23], 99, 2, span=512), "at least 24"),
    "span": (lambda m, x: continue_audio(m, x, 2000, 2, span=31), "at least 2 frames"),
    "overlap": (lambda m, x: continue_audio(m, x, 2000, 2, span=64, overlap=1), "overlap"),
    "items": (lambda m, x: generate_long(m, 0, 100, 2, span=64), "at least 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(model_of, notes, name):
    ask, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        ask(model_of("mdct"), notes)
    assert "\n" not in str(caught.value)


def test_what_is_not_ready_is_refused(notes):
    unfitted = DiffusionModel(UNetV0, autoencoder=MDCT(16), in_channels=16, **SMALL)
    for ask in (
        lambda: inpaint(unfitted, notes, torch.ones(1500), 2),
        lambda: continue_audio(unfitted, notes, 2000, 2, span=512),
        lambda: vary(unfitted, notes, 0.5, 2),
    ):
        with pytest.raises(ValueError, match="not fitted"):
            ask()
    raw = DiffusionModel(UNetV0, in_channels=1, **SMALL)
    with pytest.raises(ValueError, match="makes 1 channels, got audio of 2"):
        vary(raw, notes.expand(2, 2, -1), 0.5, 2)


def test_every_solver_and_grid_may_be_chosen(model_of, notes):
    grid = KarrasSchedule(0.01, 80.0, noise_schedule=HalfCircle())
    chosen = {"solver": DPMpp2M(), "grid": grid, "generator": seeded()}
    mask = torch.arange(1500) < 900
    made = inpaint(model_of("raw"), notes, mask, 4, jump=2, **QUICK, **chosen)
    assert torch.equal(made[..., :900], notes[..., :900])


class Bare(nn.Module):
    """An objective of one's own that says nothing of how its net is to be read."""

    def __init__(self, net):
        super().__init__()
        self.net = net


def test_objectives_without_a_denoiser_are_refused(notes):
    model = DiffusionModel(UNetV0, Bare, in_channels=1, **SMALL)
    with pytest.raises(ValueError, match="objective with a denoiser"):
        vary(model, notes, 0.5, 2)
