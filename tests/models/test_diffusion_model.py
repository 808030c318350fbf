"""DiffusionModel against upstream 0.1.3, as a module, and around a transform."""

import copy
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from audio_diffusion_pytorch import (
    MDCT,
    Companded,
    DiffusionModel,
    LatentNormalizer,
    UNetV0,
    VDiffusion,
    VSampler,
)
from audio_diffusion_pytorch.data import read_audio
from audio_diffusion_pytorch.diffusion import (
    ClassifierFreeGuidance,
    DiffusionSampler,
    DPMppSDE,
    ExponentialSchedule,
    FlowDiffusion,
    KDiffusion,
    LearnedUncertainty,
    Rescale,
    UniPC,
    VKDiffusion,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "upstream_model.npz"
SMALL = {"channels": [8, 16], "factors": [1, 2], "items": [1, 1], "modulation_features": 32}


def small_model(**changes):
    return DiffusionModel(UNetV0, in_channels=1, **{**SMALL, **changes})


def spectral_model(**changes):
    transform = MDCT(16)
    changes = {"autoencoder": transform, "in_channels": 16, **changes}
    return DiffusionModel(UNetV0, **{**SMALL, **changes})


@pytest.fixture
def notes(piano_folder):
    """Three real notes, (3, 1, 2048)."""
    files = sorted(piano_folder.glob("*_ff.flac"))[::16]
    return torch.stack([read_audio(f, num_frames=2048)[0] for f in files])


def upstream():
    """Upstream's arguments, figures and its state dict with the network three times over."""
    arrays = np.load(GOLDEN)
    weights = {
        key.removeprefix("weight/net."): torch.from_numpy(arrays[key])
        for key in arrays.files
        if key.startswith("weight/")
    }
    state = {}
    for key in json.loads(str(arrays["keys"])):
        for prefix in ("diffusion.net.", "sampler.net.", "net."):
            if key.startswith(prefix):
                state[key] = weights[key.removeprefix(prefix)]
                break
    figures = {k: torch.from_numpy(arrays[k]) for k in ("loss", "audio", "noise", "sample")}
    return json.loads(str(arrays["arguments"])), state, figures


def test_upstream_weights_load_and_give_upstreams_loss_and_sound():
    arguments, state, figures = upstream()
    assert sum(key.startswith("sampler.net.") for key in state) > 50  # it is the triple form
    model = DiffusionModel(UNetV0, diffusion_t=VDiffusion, sampler_t=VSampler, **arguments)
    model.load_state_dict(state)
    torch.manual_seed(1)  # upstream draws its times, then its noise, from the global generator
    with torch.no_grad():
        torch.testing.assert_close(model(figures["audio"]), figures["loss"], atol=1e-5, rtol=1e-5)
    sample = model.sample(figures["noise"], num_steps=10)
    torch.testing.assert_close(sample, figures["sample"], atol=1e-5, rtol=1e-5)


def test_state_dict_holds_the_network_once(tmp_path):
    model = small_model()
    state = model.state_dict()
    assert all(key.startswith("net.") for key in state)
    save_file(state, tmp_path / "model.safetensors")  # refuses shared tensors
    torch.manual_seed(3)
    other = small_model()
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    noise = torch.randn(1, 1, 64)
    assert torch.equal(other.sample(noise, 3), model.sample(noise, 3))
    assert other.net is other.diffusion.net is other.sampler.net


@pytest.mark.parametrize("outer", [False, True], ids=["alone", "inside a module"])
def test_a_missing_weight_is_named_once_and_as_it_is_saved(outer):
    """A checkpoint of before a learned weight was added, and one without part of the network."""
    model = small_model(diffusion_t=FlowDiffusion, diffusion_weight=LearnedUncertainty())
    whole, prefix = (nn.ModuleDict({"part": model}), "part.") if outer else (model, "")
    state = whole.state_dict()
    first = next(iter(state))
    own = [key for key in state if not key.startswith(f"{prefix}net.")]
    assert first.startswith(f"{prefix}net.") and own
    for key in [first, *own]:
        del state[key]
    found = whole.load_state_dict(state, strict=False)
    assert sorted(found.missing_keys) == sorted([first, *own]) and not found.unexpected_keys


def test_a_zeroed_copy_differs_and_leaves_the_original_alone():
    """What upstream's closures broke: a deep copy computes with its own weights."""
    model = small_model()
    noise = torch.randn(1, 1, 64)
    before = model.sample(noise, 3)
    other = copy.deepcopy(model)
    assert torch.equal(other.sample(noise, 3), before)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not torch.allclose(other.sample(noise, 3), before)
    assert torch.equal(model.sample(noise, 3), before)


def test_pickle_round_trip(notes):
    model = spectral_model()
    model.fit_normalizer([notes])
    noise = torch.randn(model.latent_shape(1, 500))
    other = pickle.loads(pickle.dumps(model))
    assert torch.equal(other.sample(noise, 2), model.sample(noise, 2))
    assert other.net is other.diffusion.net


def test_prefixes_reach_their_parts_and_unknown_names_are_refused():
    class Fixed:
        def __call__(self, num_samples, device):
            return torch.full((num_samples,), 0.5)

    schedule = torch.nn.Identity()
    model = small_model(diffusion_sigma_distribution=Fixed(), sampler_schedule=schedule)
    assert isinstance(model.diffusion.sigma_distribution, Fixed)
    assert model.sampler.schedule is schedule
    with pytest.raises(TypeError, match="shedule"):
        small_model(sampler_shedule=schedule)


def test_the_loss_is_that_of_the_normalised_spectrum(notes):
    """model(audio) = objective(normalise(encode(audio))), draw for draw."""
    model = spectral_model()
    model.fit_normalizer([notes])
    z = model.encode(notes)
    torch.testing.assert_close(z.std((0, 2), correction=0), torch.ones(16), atol=2e-2, rtol=0)
    direct = model.diffusion(z, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(model(notes, generator=torch.Generator().manual_seed(5)), direct)
    torch.testing.assert_close(model.decode(z), notes, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 15, 16, 100, 1003])
def test_generate_gives_the_length_asked_for(notes, length):
    for model in (small_model(), spectral_model()):
        model.fit_normalizer([notes])
        sounds = model.generate(2, length, 2, generator=torch.Generator().manual_seed(0))
        assert sounds.shape == (2, 1, length)
        again = model.generate(2, length, 2, generator=torch.Generator().manual_seed(0))
        assert torch.equal(sounds, again)


def test_trained_on_one_note_it_makes_that_note(piano_folder):
    """The whole road on a real file: overfit one piano note, generate, compare spectra."""
    note = read_audio(piano_folder / "069_A4_mf.flac", num_frames=2048)[0][None]
    model = DiffusionModel(
        UNetV0, autoencoder=Companded(MDCT(128)), normalizer=LatentNormalizer(128, whitening=0.5),
        in_channels=128, channels=[128, 128], factors=[1, 2], items=[1, 1], modulation_features=64,
    )  # fmt: skip
    model.fit_normalizer([note])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(250):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * 0.5 * (1 + math.cos(math.pi * step / 250))
        loss = model(note.expand(8, -1, -1), generator=generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    made = model.generate(1, 2048, 30, generator=generator)
    error = (made - note).square().mean() / note.square().mean()
    assert error < 0.05  # within 13 dB of the note itself, from noise


def test_labels_and_guidance_pass_through():
    model = small_model(num_classes=(3, 2))
    labels = torch.tensor([[0, 1], [2, -1]])
    kept = {"generator": torch.Generator().manual_seed(0), "labels": labels}
    plain = model.generate(2, 64, 2, **kept)
    kept["generator"] = torch.Generator().manual_seed(0)
    guided = model.generate(2, 64, 2, guidance=3.0, **kept)
    assert plain.shape == guided.shape and not torch.allclose(plain, guided)
    with pytest.raises(ValueError, match="needs labels"):
        model.generate(2, 64, 2, guidance=3.0)


def test_sampling_leaves_the_mode_and_takes_no_gradient():
    model = small_model(num_classes=2).train()
    sound = model.generate(1, 32, 1, labels=torch.zeros(1, dtype=torch.long))
    assert model.training and model.net.training and not sound.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_each_module_gets_its_own_mode_back_after_sampling(training):
    """Such as a part that is frozen in evaluation mode inside a model that is training."""
    model = small_model().train(training)
    other = model.net.levels[0].train(not training)
    model.net.register_forward_hook(lambda *_: modes.extend(m.training for m in model.modules()))
    before, modes = {name: m.training for name, m in model.named_modules()}, []
    model.generate(1, 32, 1)
    assert {name: m.training for name, m in model.named_modules()} == before
    assert modes and not any(modes) and other.training is not training
    with pytest.raises(ValueError, match="num_steps"):
        model.generate(1, 32, 0)
    assert {name: m.training for name, m in model.named_modules()} == before


def test_requests_that_cannot_work_are_named(notes):
    model = spectral_model()
    with pytest.raises(ValueError, match="fit_normalizer"):
        model(notes)
    with pytest.raises(ValueError, match="at least 1 item"):
        model.generate(0, 64)
    with pytest.raises(ValueError, match=r"noise must be \(1, 16, 4\)"):
        model.generate(1, 64, noise=torch.zeros(1, 16, 5))


def test_a_mask_of_the_audio_counts_the_frames_that_hold_sound(notes):
    """16 samples a frame: 100 real samples touch 7 frames, at any length of the padding."""
    model = spectral_model()
    model.fit_normalizer([notes])
    for length in (2048, 2041):
        audio = notes[..., :length]
        real = torch.arange(length)[None, None] < torch.tensor([100, 97, 96])[:, None, None]
        frames = torch.arange(128)[None, None] < torch.tensor([7, 7, 6])[:, None, None]
        draws = {
            "times": torch.full((3,), 0.5),
            "noise": torch.randn(3, 16, 128),
            "reduction": "none",
        }
        loss = model(audio, mask=real, **draws)
        assert torch.equal(loss, model.diffusion(model.encode(audio), mask=frames, **draws))
        assert torch.equal(loss, model(audio, mask=real.float(), **draws))
        assert torch.equal(loss, model(audio, mask=frames, **draws))
        assert not torch.isclose(loss, model(audio, **draws)).any()


def test_a_mask_that_fits_nothing_is_named(notes):
    model = spectral_model()
    model.fit_normalizer([notes])
    for mask in (torch.ones(3, 1, 100), torch.ones(3, 128), torch.ones(2, 1, 2048)):
        with pytest.raises(ValueError, match=r"mask must have shape \(3, 1, 128\)") as caught:
            model(notes, mask=mask)
        assert "\n" not in str(caught.value)


def test_generate_is_for_one_axis():
    model = DiffusionModel(UNetV0, dim=2, in_channels=1, **SMALL)
    with pytest.raises(ValueError, match=r"dim=2: call model\.sample.*\(n, c, t, u\)"):
        model.generate(1, 64, 2)
    assert model.sample(torch.randn(1, 1, 8, 8), 2).shape == (1, 1, 8, 8)


def test_any_objective_solver_grid_and_guidance_through_the_facade():
    """The sampler follows the objective; the same generator gives the same sound."""
    small = {"in_channels": 1, "channels": [8, 16], "factors": [1, 4], "items": [1, 1]}
    labels = torch.tensor([[0], [2]])
    for objective in (VDiffusion, FlowDiffusion, KDiffusion, VKDiffusion):
        torch.manual_seed(0)
        model = DiffusionModel(UNetV0, objective, num_classes=(3,), **small)
        loss = model(torch.randn(2, 1, 64), labels=labels)
        assert loss.isfinite()
        made = [
            model.generate(
                2, 64, 4, labels=labels, solver=solver, grid=grid, guidance=guidance,
                generator=torch.Generator().manual_seed(1),
            )
            for solver, grid, guidance in [
                (None, None, 1.0), (None, None, 1.0),
                (UniPC(2), ExponentialSchedule(model.diffusion.schedule), 2.0),
                (DPMppSDE(2), None, Rescale(ClassifierFreeGuidance(2.0))),
                (DPMppSDE(2), None, Rescale(ClassifierFreeGuidance(2.0))),
            ]
        ]  # fmt: skip
        assert torch.equal(made[0], made[1]) and torch.equal(made[3], made[4])
        assert all(sound.shape == (2, 1, 64) and sound.isfinite().all() for sound in made)
        assert not torch.equal(made[0], made[2]) and not torch.equal(made[2], made[3])


def test_stochastic_sounds_follow_one_path_at_any_number_of_steps():
    """More steps refine the same sound: its distance to the finest falls with the step."""
    torch.manual_seed(0)
    model = DiffusionModel(
        UNetV0, in_channels=1, channels=[8, 16], factors=[1, 4], items=[1, 1]
    ).double()
    made = [
        model.generate(2, 64, n, solver=DPMppSDE(2), generator=torch.Generator().manual_seed(1))
        for n in (8, 32, 256)
    ]
    coarse, fine = (float((sound - made[-1]).std() / made[-1].std()) for sound in made[:2])
    assert fine < 0.5 * coarse < 0.5


def test_the_default_sampler_is_upstreams_where_it_fits_the_objective():
    """Asked for by name or not: a net trained for flow is never walked as if it said velocities."""
    small = {"in_channels": 1, "channels": [8], "factors": [1], "items": [1]}
    assert type(DiffusionModel(UNetV0, **small).sampler) is VSampler
    for asked in ({}, {"sampler_t": VSampler}):
        model = DiffusionModel(UNetV0, FlowDiffusion, **asked, **small)
        assert type(model.sampler) is DiffusionSampler
        assert model.sampler.diffusion is model.diffusion


def test_a_loss_function_is_upstreams_default_or_acts():
    small = {"in_channels": 1, "channels": [8], "factors": [1], "items": [1]}
    x = torch.randn(2, 1, 32, generator=torch.Generator().manual_seed(0))
    losses = []
    for asked in (
        {},
        {"loss_fn": torch.nn.functional.mse_loss},
        {"loss_fn": torch.nn.functional.l1_loss},
    ):
        torch.manual_seed(1)
        model = DiffusionModel(UNetV0, **asked, **small)
        losses.append(model(x, generator=torch.Generator().manual_seed(2)))
    assert losses[0] == losses[1] != losses[2]


def test_dim_may_stand_fourth_as_it_did_in_the_release():
    small = {"in_channels": 1, "channels": [8], "factors": [1], "items": [1]}
    model = DiffusionModel(UNetV0, VDiffusion, VSampler, 2, **small)
    assert model.dim == model.net.dim == 2
    assert model(torch.zeros(1, 1, 8, 8)).isfinite()


def test_a_misspelt_argument_is_named_as_it_was_written():
    with pytest.raises(TypeError, match="sampler_shedule"):
        small_model(sampler_shedule=None)
    with pytest.raises(TypeError, match="objective: diffusion_sigmas"):
        small_model(diffusion_sigmas=None)
    with pytest.raises(TypeError, match="chanels"):
        small_model(chanels=[8])
