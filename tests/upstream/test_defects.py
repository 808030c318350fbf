"""The 22 known defects of release 0.1.3, a test for each: what was wrong, and that it is not here.

The docstring of a test says what upstream did; where its numbers were wrong, also why ours differ.
The page `docs/guides/from_0_1_3.md` has a line for each.
"""

from __future__ import annotations

import copy
import importlib.util
import math
import pickle
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

import audio_diffusion_pytorch as adp
from audio_diffusion_pytorch import diffusion
from audio_diffusion_pytorch.components import AppendChannelsPlugin
from audio_diffusion_pytorch.conditioning import EncodedText, T5Text
from audio_diffusion_pytorch.training import EMA, PowerDecay

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {"in_channels": 2, "channels": [8, 8], "factors": [1, 2], "items": [1, 1]}
SMALL |= {"resnet_groups": 4, "modulation_features": 8}
TOKENS: dict[str, Any] = {"cross_attentions": [0, 1], "attention_heads": 2, "attention_features": 4}
TOKENS |= {"embedding_features": 6}
GUIDED = {**TOKENS, "use_embedding_cfg": True, "embedding_max_length": 5}
MEL = {"mel_n_fft": 16, "mel_channels": 4, "mel_sample_rate": 16000}


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def sound(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(shape or (3, 2, 32), generator=seeded(seed))


def awake(module: nn.Module) -> nn.Module:
    """Return the module with other weights than it starts with, so that every part speaks."""
    generator = seeded(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return module


def net(**arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    return awake(adp.UNetV0(**{"dim": 1, **SMALL, **arguments})).eval()


def model(cls: type = adp.DiffusionModel, **arguments: Any) -> Any:
    torch.manual_seed(0)
    return awake(cls(**{"net_t": adp.UNetV0, **SMALL, **arguments}))


class Halves(nn.Module):
    """An encoder of two samples a latent, which takes even lengths only, as upstream's do."""

    out_channels, downsample_factor = 4, 2

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, 2)).permute(0, 1, 3, 2).flatten(1, 2)


def of_every_kind() -> dict[str, Any]:
    return {
        "model": model(),
        "upsampler": model(adp.DiffusionUpsampler, upsample_factor=4),
        "vocoder": model(adp.DiffusionVocoder, **MEL),
        "autoencoder": model(adp.DiffusionAE, encoder=Halves(), inject_depth=1),
    }


def sample_of(kind: str, made: Any, generator: Generator) -> Tensor:
    """Return a sample that a generator decides, in each model's own words."""
    if kind == "model":
        return made.generate(2, 20, 2, generator=generator)
    if kind == "upsampler":
        return made.sample(sound(2, 2, 5), generator=generator, num_steps=2)
    if kind == "vocoder":
        return made.sample(sound(2, 2, 4, 5), generator=generator, num_steps=2)
    return made.decode(sound(2, 4, 10), generator=generator, num_steps=2)


def test_defect_01_copies_and_surgery_reach_the_forward_pass():
    """Upstream's forward was a closure over the first modules: copies changed nothing."""
    x, time = sound(), torch.rand(3)
    plugins = [adp.LTPlugin(adp.UNetV0, 4, 8, 4), AppendChannelsPlugin(adp.UNetV0, 2)]
    for net_t, given in ((adp.UNetV0, {}), (plugins[0], {}), (plugins[1], {"append_channels": x})):
        first = awake(net_t(dim=1, **SMALL)).eval()
        before = first(x, time, **given)
        for twin in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
            with torch.no_grad():
                for weight in twin.parameters():
                    weight.zero_()
            assert not torch.equal(twin(x, time, **given), before)
            assert torch.equal(first(x, time, **given), before)
    changed = net()
    before = changed(x, time)
    level = changed.levels[1]
    changed.levels[1] = copy.deepcopy(level)  # surgery: another module in its place
    assert torch.equal(changed(x, time), before)
    for weight in changed.levels[1].parameters():
        nn.init.zeros_(weight)
    assert not torch.equal(changed(x, time), before)
    student = net()  # the users' reason: an average that follows, and has outputs of its own
    mean = EMA(student, PowerDecay(decay=0.5, power=0.0))
    mean.update(student)
    start = student(x, time)
    awake(student)
    moved = student(x, time)
    assert torch.equal(mean(x, time), start) and not torch.equal(moved, start)
    mean.update(student)
    between = mean(x, time)
    assert not torch.equal(between, start) and not torch.equal(between, moved)
    assert torch.equal(student(x, time), moved)
    for _ in range(40):  # half of what is left each time
        mean.update(student)
    torch.testing.assert_close(mean(x, time), moved, atol=1e-5, rtol=1e-4)


def test_defect_02_two_time_layers_are_two_where_asked_for():
    """Upstream repeated one instance: both layers of the time's MLP were the same.

    Its weights must load, so one layer, written as one and saved once, is still the default.
    """
    tied, own = net(), net(tied_time_layers=False)
    more = 8 * 8 + 8
    assert (
        sum(w.numel() for w in own.parameters()) == sum(w.numel() for w in tied.parameters()) + more
    )
    x, time = sound(), torch.rand(3)
    own.load_state_dict(tied.state_dict())
    assert torch.equal(own(x, time), tied(x, time))
    nn.init.zeros_(own.time_embedding.second_layer.weight)
    assert not torch.equal(own(x, time), tied(x, time))
    again = net(tied_time_layers=False)
    again.load_state_dict(own.state_dict())
    assert torch.equal(own(x, time), again(x, time))


class Pair(nn.Module):
    """The perfect velocity of two numbers with correlation 0.9; it counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        self.calls += 1
        covariance = torch.tensor([[1, 0.9], [0.9, 1]], dtype=x.dtype)
        values, basis = torch.linalg.eigh(covariance)
        angle = time[:, None, None] * math.pi / 2
        alpha, sigma = angle.cos(), angle.sin()
        clean = (x @ basis * (alpha * values / (alpha**2 * values + sigma**2))) @ basis.T
        return (alpha * x - clean) / sigma.clamp_min(1e-12)


def test_defect_03_resampling_inpaints_better_and_masks_may_be_floats():
    """Upstream mixed the guess at the level where it stood: 0.66 for any number of resamples.

    The right mean of the unknown number is 0.9 * 1.5. With one visit the result is upstream's.
    """
    known = torch.tensor([1.5, 0.0], dtype=torch.float64).expand(3000, 1, 2)
    mask = torch.tensor([[[True, False]]])
    means = {}
    for visits in (1, 10):
        pair = Pair()
        made = adp.VInpainter(pair)(known, mask.expand_as(known), 30, visits, generator=seeded())
        means[visits] = made[..., 1].mean().item()
        assert torch.equal(made[..., 0], known[..., 0])
    assert means[1] == pytest.approx(0.66, abs=0.06)  # of upstream, however many
    assert means[10] > 1.15  # 1.35 is right; upstream's 10 gave 0.66
    soft = adp.VInpainter(Pair())(known, mask.double(), 5, 2, generator=seeded())  # broadcast too
    assert torch.equal(soft[..., 0], known[..., 0])


def test_defect_04_a_start_is_continued_with_any_number_of_splits():
    """Upstream overwrote `start`, failed for odd `num_splits`, and floored the steps of a part."""
    for splits in (1, 2, 3, 5):
        made = model(adp.DiffusionAR, length=splits * 8, num_splits=splits, in_channels=1)
        start = sound(2, 1, splits * 8)
        more = made.sample(2, splits + 3, splits, start=start, generator=seeded())
        assert more.shape == (2, 1, (splits + 3) * 8)
        assert torch.equal(more[..., : start.shape[-1]], start)
        other = made.sample(2, splits + 3, splits, start=-start, generator=seeded())
        if splits > 1:  # with one part there is nothing to look back at
            assert not torch.equal(other[..., start.shape[-1] :], more[..., start.shape[-1] :])
    sampler = made.sampler
    assert len(sampler.ladder(-(-7 // 5))) == 3  # 7 steps for 5 parts: 2 a part, and not 1


def test_defect_05_autoregression_draws_from_a_generator():
    """Upstream drew from the global generator only: nothing could be repeated by itself."""
    made = model(adp.DiffusionAR, length=16, num_splits=4, in_channels=1)
    state = torch.get_rng_state()
    first, again = (made.sample(2, 7, 4, generator=seeded(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, made.sample(2, 7, 4, generator=seeded(4)))
    losses = [made(sound(2, 1, 16), generator=seeded(5)) for _ in range(2)]
    assert torch.equal(*losses)


def test_defect_06_the_network_is_saved_once(tmp_path):
    """Upstream had 297 keys for 97 weights; savers that refuse shared tensors refused it."""
    for kind, made in of_every_kind().items():
        state = made.state_dict()
        assert len(state) == len({value.data_ptr() for value in state.values()}), kind
        save_file({key: v.contiguous() for key, v in state.items()}, tmp_path / f"{kind}.st")
        thrice = {
            prefix + key: value
            for key, value in made.net.state_dict().items()
            for prefix in ("net.", "diffusion.net.", "sampler.net.")
        } | {key: value for key, value in state.items() if not key.startswith("net.")}
        for stored in (load_file(tmp_path / f"{kind}.st"), thrice):
            other = of_every_kind()[kind]
            nn.init.zeros_(next(other.net.parameters()))
            other.load_state_dict(stored)
            assert torch.equal(next(other.net.parameters()), next(made.net.parameters()))


def test_defect_07_any_length_decodes():
    """Upstream decoded to the nearest power of two: 768 samples trained, and failed to decode."""
    made = model(adp.DiffusionAE, encoder=Halves(), inject_depth=1)
    for length in (768, 512, 777, 1):
        audio = sound(1, 2, length)
        made(audio).backward()
        latent = made.encode(audio)
        assert latent.shape == (1, 4, -(-length // 2))
        assert made.decode(latent, num_steps=1, length=length).shape == audio.shape
    assert made.decode(made.encode(sound(1, 2, 768)), num_steps=1).shape == (1, 2, 768)


def test_defect_08_any_length_is_vocoded():
    """Upstream wanted a multiple of the hop (1000 against 992), and an even window less hop."""
    for window in (16, 15):
        made = model(adp.DiffusionVocoder, **MEL, mel_win_length=window, mel_hop_length=4)
        for length in (1000, 1001, 3):
            audio = sound(1, 2, length)
            made(audio).backward()
            mel = made.to_spectrogram(audio)
            assert made.sample(mel, num_steps=1, length=length).shape == audio.shape
        assert made.sample(mel, num_steps=1).shape[-1] % 4 == 0


def test_defect_09_any_length_is_upsampled_and_filters_are_kept():
    """Upstream wanted a multiple of the factor (512 against 510) and made its filter each call."""
    made = model(adp.DiffusionUpsampler, upsample_factor=6)
    for length in (512, 510, 5):
        audio = sound(1, 2, length)
        made(audio).backward()
        low = made.downsample(audio)
        assert made.sample(low, num_steps=1, length=length).shape == audio.shape
    filters = import_module("audio_diffusion_pytorch.ops.resample")._cached_kernels
    filters.cache_clear()
    for _ in range(3):
        made.reupsample(sound(1, 2, 60))
    assert filters.cache_info()[:2] == (4, 2)  # hits, and the two made: one down, one up


def test_defect_10_items_do_not_change_one_another_and_silence_is_finite():
    """Upstream divided by the maximum of the batch, 0 for silence.

    So its spectrogram of a sound depended on what else was in the batch (by up to 1.38): of one
    item ours is the same, of a batch it is that of each item alone.
    """
    to_mel = adp.MelSpectrogram(16, 4, 16, 16000, 4, normalize=True)
    audio = sound(2, 1, 64)
    audio[1] *= 20
    alone = torch.cat([to_mel(item[None]) for item in audio])
    torch.testing.assert_close(to_mel(audio), alone)
    silent = to_mel(torch.zeros(2, 1, 64))
    torch.testing.assert_close(silent, torch.full((2, 1, 4, 16), -1.0))


def test_defect_11_every_model_takes_a_generator():
    """Upstream wanted one on the CPU here, on the device there, and took none in the base model."""
    for kind, made in of_every_kind().items():
        state = torch.get_rng_state()
        first, again = (sample_of(kind, made, seeded(7)) for _ in range(2))
        assert torch.equal(first, again), kind
        assert torch.equal(torch.get_rng_state(), state), kind
        assert not torch.equal(first, sample_of(kind, made, seeded(8))), kind
    solver = diffusion.DPMppSDE(2)
    noisy, made = sound(), of_every_kind()["model"]
    first, again = (
        made.sample(noisy, num_steps=3, solver=solver, generator=seeded(9)) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert torch.equal(
        made.sample(noisy, num_steps=2, generator=seeded(9)), made.sample(noisy, num_steps=2)
    )


def test_defect_12_lengths_that_no_factor_divides():
    """Upstream died inside a skip: "(125) vs (124)"."""
    made = model(factors=[2, 4], attentions=[0, 1], attention_heads=2, attention_features=4)
    for length in (125, 124, 7, 1):
        made(sound(2, 2, length)).backward()
        assert made.sample(sound(2, 2, length), num_steps=2).shape == (2, 2, length)


def test_defect_13_attention_is_fused_and_honours_its_mask(monkeypatch):
    """Upstream wrote the softmax out, memory growing with length squared, and ignored the mask.

    It also has no code of positions, as here: convolutions around it know the order, and its
    weights must load.
    """
    calls = []
    fused = F.scaled_dot_product_attention

    def count(*args: Any, **kwargs: Any) -> Tensor:
        calls.append(args)
        return fused(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", count)
    made = net(**TOKENS, attentions=[0, 1])
    x, time, tokens = sound(), torch.rand(3), sound(3, 5, 6)
    real = torch.tensor([[True, True, False, True, False]]).expand(3, 5)
    masked = made(x, time, embedding=tokens, embedding_mask=real)
    assert len(calls) == 4  # to itself and to the tokens, on the way down and on the way up
    left_out = made(x, time, embedding=tokens[:, real[0]])
    torch.testing.assert_close(masked, left_out)
    assert not torch.allclose(masked, made(x, time, embedding=tokens), atol=1e-4)


def tiny_t5() -> T5Text:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=384, d_model=6, d_kv=4, d_ff=8, num_layers=1, num_heads=2
    )
    return T5Text((transformers.ByT5Tokenizer(), transformers.T5EncoderModel(config)), 12)


def test_defect_14_the_text_encoder_is_no_part_of_the_weights_and_padding_is_none():
    """Upstream loaded T5 in the constructor, trained and saved it, and attended to padding.

    Its answer to a text depended on how far it was padded, so for texts shorter than the maximum
    ours differs; `T5Text(attend_padding=True)` gives its numbers to networks trained by it.
    """
    built = adp.UNetV0(
        dim=1, **SMALL, **{**GUIDED, "embedding_features": 768}, use_text_conditioning=True
    )
    assert isinstance(built.text_encoder, T5Text)  # t5-base, and nothing was loaded
    weights = sum(weight.numel() for weight in built.parameters())
    plain = adp.UNetV0(dim=1, **SMALL, **{**GUIDED, "embedding_features": 768})
    assert weights == sum(weight.numel() for weight in plain.parameters())
    assert set(built.state_dict()) == set(plain.state_dict())
    made = net(**GUIDED, text_encoder=tiny_t5())
    x, time = sound(2, 2, 32), torch.rand(2)
    alone = made(x[:1], time[:1], text=["a"])
    beside = made(x, time, text=["a", "a long one"])[:1]
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(alone, made(x[:1], time[:1], text=["b"]), atol=1e-5)


def test_defect_15_text_is_optional_and_any_encoder_serves():
    """Upstream wanted text in every call, encoded it in every step, and knew T5 only."""

    class Letters:
        embedding_features = 6
        calls = 0

        def __call__(self, texts: list[str]) -> EncodedText:
            self.calls += 1
            tokens = torch.zeros(len(texts), 5, 6)
            for row, text in enumerate(texts):
                for place, letter in enumerate(text):
                    tokens[row, place] = torch.sin(torch.arange(6.0) * ord(letter))
            mask = torch.arange(5) < torch.tensor([len(text) for text in texts])[:, None]
            return EncodedText(tokens, mask)

    letters = Letters()
    made = model(**GUIDED, text_encoder=letters)
    made(sound(), text=["a", "bb", "ccc"]).backward()
    kept, mask = made.net.encode_text(["a", "bb", "ccc"])
    noise = sound(seed=1)
    by_text = made.sample(noise, num_steps=3, text=["a", "bb", "ccc"])
    letters.calls = 0
    by_tokens = made.sample(noise, num_steps=3, embedding=kept, embedding_mask=mask)
    assert letters.calls == 0
    torch.testing.assert_close(by_text, by_tokens)
    assert made.sample(noise, num_steps=3).isfinite().all()  # neither: the null embedding
    assert made(sound(), embedding=kept).isfinite()


def test_defect_16_guidance_is_one_call_and_not_only_a_scale():
    """Upstream called the net twice a step, demanded an embedding, and could only scale."""
    made, rows = model(**GUIDED), []
    made.net.levels[0].up.register_forward_hook(lambda *hooked: rows.append(len(hooked[2])))
    tokens, noise = sound(3, 5, 6), sound(seed=1)
    guided = made.sample(noise, num_steps=4, embedding=tokens, embedding_scale=3.0)
    assert rows == [6, 6, 6, 6]  # both guesses of three items in each of four calls
    null = made.net.null_embedding(tokens)
    by_rule = made.sample(
        noise,
        num_steps=4,
        embedding=tokens,
        guidance=diffusion.ClassifierFreeGuidance(3.0),
        null_cond={"embedding": null},
    )
    torch.testing.assert_close(guided, by_rule, atol=1e-4, rtol=1e-3)
    others = [
        made.sample(
            noise, num_steps=4, embedding=tokens, guidance=rule, null_cond={"embedding": null}
        )
        for rule in (
            diffusion.Interval(3.0, 0.3, 0.7),
            diffusion.Rescale(3.0),
            diffusion.AdaptiveProjectedGuidance(3.0),
        )
    ] + [
        made.sample(
            noise, num_steps=4, embedding=tokens, embedding_scale=3.0, negative_embedding=-tokens
        )
    ]
    assert all(not torch.allclose(other, guided, atol=1e-4) for other in others)
    assert made.sample(noise, num_steps=2).shape == noise.shape


def test_defect_17_tokens_are_dropped_in_training_only():
    """Upstream dropped them wherever `embedding_mask_proba` was passed, sampling included."""
    made = model(**GUIDED)
    tokens, noise = sound(3, 5, 6), sound(seed=1)
    whole = made.sample(noise, num_steps=2, embedding=tokens)
    asked = made.sample(noise, num_steps=2, embedding=tokens, embedding_mask_proba=1.0)
    assert torch.equal(asked, whole)
    x, time = sound(), torch.rand(3)
    made.train()
    dropped = made.net(x, time, embedding=tokens, embedding_mask_proba=1.0)
    assert torch.equal(dropped, made.net(x, time, embedding=made.net.null_embedding(tokens)))


def test_defect_18_other_solvers_a_start_from_sound_and_no_silent_nothing():
    """Upstream had one solver, took any input for pure noise, and returned it for 0 steps."""
    made, noise = model(), sound(seed=1)
    plain = made.sample(noise, num_steps=4)
    for solver in (
        diffusion.Heun(),
        diffusion.DPMpp2M(),
        diffusion.UniPC(2),
        diffusion.Ancestral(),
    ):
        assert not torch.equal(made.sample(noise, num_steps=4, solver=solver), plain)
    near, far = (
        adp.models.vary(made, sound(), strength, num_steps=4, generator=seeded())
        for strength in (0.05, 0.9)
    )
    assert (near - sound()).square().mean() < (far - sound()).square().mean()
    with pytest.raises(ValueError, match="num_steps must be at least 1, got 0"):
        made.sample(noise, num_steps=0)


def test_defect_19_every_sampler_has_a_grid_of_its_own_and_there_are_others():
    """Upstream's default argument was one module in all samplers; it had one grid."""
    first, second = adp.VSampler(nn.Identity()), adp.VSampler(nn.Identity())
    assert first.schedule is not second.schedule
    circle = diffusion.HalfCircle()
    grids = [
        adp.LinearSchedule(),
        adp.KarrasSchedule(0.01, 80.0, noise_schedule=circle),
        diffusion.ExponentialSchedule(circle),
        diffusion.EvenLevels(circle),
        diffusion.ShiftedSchedule(),
        diffusion.ListSchedule([1.0, 0.6, 0.1, 0.0]),
    ]
    made, noise = model(), sound(seed=1)
    sampled = [made.sample(noise, num_steps=3, grid=grid) for grid in grids]
    for i, one in enumerate(sampled):
        assert all(not torch.equal(one, other) for other in sampled[:i])


def test_defect_20_losses_of_each_item_weights_masks_and_the_guess():
    """Upstream gave one scalar, of velocities only, also to a `loss_fn` made for sounds."""
    made, x = model(), sound()
    fixed = {"times": torch.tensor([0.2, 0.5, 0.8]), "noise": sound(seed=1)}
    each = made(x, reduction="none", **fixed)
    assert each.shape == (3,)
    torch.testing.assert_close(each.mean(), made(x, **fixed))
    mask = (torch.arange(32) < 20).expand(3, 1, 32)
    padded = torch.where(mask, x, 99.0)
    assert torch.equal(made(padded, mask=mask, **fixed), made(x * mask, mask=mask, **fixed))
    weighted = model(diffusion_weight=diffusion.MinSNR())(x, reduction="none", **fixed)
    assert not torch.allclose(weighted, each)
    guess = made.diffusion.denoise(fixed["noise"], fixed["times"])
    assert guess.shape == x.shape
    seen = []

    def listen(said: Tensor, wanted: Tensor) -> Tensor:  # what a spectral loss would hear
        seen.append(wanted)
        return (said - wanted).abs().mean()

    clean = diffusion.GaussianDiffusion(
        net(), diffusion.HalfCircle(), diffusion.CleanPrediction(), loss_fn=listen
    )
    clean(x, **fixed)
    torch.testing.assert_close(torch.cat(seen), x)


def test_defect_21_sampling_is_in_evaluation_mode_and_training_has_its_tools():
    """Upstream sampled in training mode; checkpointing, strata, thresholds, EMA were left out."""
    modes = []
    made = model()
    made.net.register_forward_hook(lambda *_: modes.append(made.net.training))
    made.train().sample(sound(), num_steps=2)
    assert modes == [False, False] and made.training
    lean, full = model(gradient_checkpointing=True), model()
    fixed = {"times": torch.rand(3), "noise": sound(seed=1)}
    for part in (lean, full):
        part(sound(), **fixed).backward()
    for a, b in zip(lean.parameters(), full.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-4)
    drawn = diffusion.Stratified()(8, torch.device("cpu"), seeded()).sort().values
    assert ((drawn * 8).long() == torch.arange(8)).all()
    loud = 9 * sound(seed=2)
    rule = diffusion.StaticThreshold(limit=0.1)
    bounded = made.sample(loud, num_steps=4, guidance=rule)
    assert bounded.abs().max() <= 0.1 < made.sample(loud, num_steps=4).abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        made(sound()).backward()


def test_defect_22_the_tests_run_in_ci_and_a_failure_fails_it(tmp_path, monkeypatch):
    """Upstream had one script without an assertion, and no job that ran it."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "set -euo pipefail" in script
    said = [line.split()[-1] for line in script if re.search(r"python3 tools/dev\.py \w+$", line)]
    spec = importlib.util.spec_from_file_location("dev", ROOT / "tools" / "dev.py")
    assert spec is not None and spec.loader is not None
    dev = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    assert {"check", "test"} <= set(said) <= dev.TASKS.keys()

    started = []
    monkeypatch.setattr(dev, "fetch_upstream_readme", lambda: None)
    monkeypatch.setattr(dev, "run", lambda argv, threads=None: started.append(argv))
    dev.TASKS["test"]([])
    (argv,) = started
    assert argv[1:3] == ["-m", "pytest"]
    assert not any(word.startswith(("-k", "-m=", "--ignore", "--deselect")) for word in argv[3:])

    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^testpaths = \[(.*)\]$", settings, flags=re.M)
    folders = [ROOT / name for name in re.findall(r'"(.+?)"', listed)]
    assert folders and all(list(folder.rglob("test_*.py")) for folder in folders)
    assert any(folder in Path(__file__).resolve().parents for folder in folders)

    # The very command, in a folder with one test that fails: the status says so.
    (tmp_path / "test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    command = [sys.executable, *argv[1:3], "-q", "-p", "no:cacheprovider", str(tmp_path)]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 1 and "1 failed" in told.stdout


def test_every_defect_has_its_test_and_its_line_on_the_page():
    named = {int(number) for number in re.findall(r"^def test_defect_(\d+)_", SELF, flags=re.M)}
    assert named == set(range(1, 23))
    page = (ROOT / "docs" / "guides" / "from_0_1_3.md").read_text(encoding="utf-8")
    told = {int(number) for number in re.findall(r"^\| (\d+) \|", page, flags=re.M)}
    assert told == named


SELF = Path(__file__).read_text(encoding="utf-8")
