"""DiffusionVocoder: upstream's numbers, any length, channels as items, and an ordinary model."""

import copy
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from audio_diffusion_pytorch import MDCT, LatentNormalizer, UNetV0
from audio_diffusion_pytorch.conditioning import ByteText
from audio_diffusion_pytorch.models import DiffusionVocoder
from audio_diffusion_pytorch.models.folding import repeat_items

GOLDEN = Path(__file__).parents[1] / "golden" / "upstream_vocoder.npz"
SMALL = {"channels": [8, 16], "factors": [2, 2], "items": [1, 1], "modulation_features": 16}
MEL = {"mel_channels": 12, "mel_n_fft": 64, "mel_sample_rate": 8000, "mel_normalize_log": True}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def raw(**changes):
    torch.manual_seed(0)
    return DiffusionVocoder(net_t=UNetV0, **{**SMALL, **MEL, **changes})


def spectral(**changes):
    """One that works on 8 rows of spectrum, as a recipe's does; two of their frames a hop."""
    normalizer = LatentNormalizer(8).fit([noise(2, 8, 50)])
    return raw(autoencoder=MDCT(8), normalizer=normalizer, **changes)


def wide(**changes):
    """One of 24 rows, for spectrograms with several frames in one of its own."""
    normalizer = LatentNormalizer(24).fit([noise(2, 24, 50)])
    return raw(autoencoder=MDCT(24), normalizer=normalizer, **changes)


@pytest.fixture
def upstream():
    """Upstream's arguments, its state dict with the network three times over, and its figures."""
    arrays = np.load(GOLDEN)
    weights = {k[7:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith("weight/")}
    keys = json.loads(str(arrays["keys"]))
    state = {k: weights[k.removeprefix("diffusion.").removeprefix("sampler.")] for k in keys}
    names = [k for k in arrays.files if "/" not in k and k not in ("keys", "arguments")]
    figures = {k: torch.from_numpy(arrays[k]) for k in names}
    return json.loads(str(arrays["arguments"])), state, figures


def test_upstream_weights_load_and_give_upstreams_loss_and_sound(upstream):
    arguments, state, wanted = upstream
    assert {"to_spectrogram.to_spectrogram.window", "to_flat.weight"} < state.keys()
    model = DiffusionVocoder(net_t=UNetV0, **arguments)
    model.load_state_dict(state)
    spectrogram = model.to_spectrogram(wanted["audio"])
    torch.testing.assert_close(spectrogram, wanted["spectrogram"], atol=1e-5, rtol=0)
    with torch.no_grad():
        loss = model(wanted["audio"], times=wanted["times"], noise=wanted["noise"])
        torch.manual_seed(11)  # upstream draws its times, then its noise
        drawn = model(wanted["audio"])
    torch.testing.assert_close(loss, wanted["loss"], atol=1e-5, rtol=0)
    torch.testing.assert_close(drawn, wanted["loss"], atol=1e-5, rtol=0)
    generator = Generator().manual_seed(11)
    sound = model.sample(wanted["spectrogram"], generator=generator, num_steps=3)
    torch.testing.assert_close(sound, wanted["sample"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "make",
    [
        raw,
        spectral,
        lambda: raw(mel_n_fft=65, mel_hop_length=16),  # window less hop is odd
        lambda: raw(mel_hop_length=15, mel_win_length=50),
        lambda: spectral(mel_win_length=41, mel_hop_length=24),
        lambda: spectral(mel_hop_length=4),
        lambda: spectral(mel_hop_length=8),
        lambda: wide(mel_hop_length=8),
    ],
    ids=["raw", "spectral", "odd", "short", "uneven", "halves", "equal", "thirds"],
)
@pytest.mark.parametrize(("channels", "batch"), [(1, 3), (2, 1), (2, 3)])
@pytest.mark.parametrize("length", [1, 15, 17, 600])
def test_any_length_trains_and_comes_out_as_long(make, channels, batch, length):
    check_length(make(), channels, batch, length)


@pytest.mark.slow
@pytest.mark.parametrize("make", [raw, spectral])
def test_every_length_to_4096(make):
    model = make()
    for length in [*range(1, 300), *range(300, 4097, 61), 4095, 4096]:
        for channels in (1, 2):
            check_length(model, channels, 1 + 2 * (length % 2), length)


def check_length(model, channels, batch, length):
    x = noise(batch, channels, length)
    loss = model(x, generator=Generator().manual_seed(0), reduction="none")
    assert loss.shape == (batch,) and loss.isfinite().all()
    hop = model.to_spectrogram.hop_length
    spectrogram = model.to_spectrogram(x)
    assert spectrogram.shape == (batch, channels, 12, -(-length // hop))
    sound = model.sample(spectrogram, length=length, num_steps=1)
    assert sound.shape == x.shape and sound.isfinite().all()
    whole = model.sample(spectrogram, num_steps=1)
    assert whole.shape == (batch, channels, hop * spectrogram.shape[-1])


@pytest.mark.parametrize("make", [raw, spectral])
def test_channels_are_items_of_their_own(make):
    model = make(num_classes=4)
    x, labels = noise(3, 2, 80), torch.tensor([[0], [1], [3]])
    frames, width = (80, 1) if make is raw else (10, 8)
    shared = noise(6, width, frames, seed=1)
    times = torch.tensor([0.1, 0.5, 0.9])
    given = {"reduction": "none", "labels": labels, "times": times, "noise": shared}
    model.eval()  # no label is dropped
    found = model(x, **given)
    halves = [model(x[:, c : c + 1], **{**given, "noise": shared[c::2]}).detach() for c in (0, 1)]
    torch.testing.assert_close(found, (halves[0] + halves[1]) / 2)
    torch.testing.assert_close(model(x, **{**given, "reduction": "mean"}), found.mean())
    if make is raw:
        same = model(x, **{**given, "noise": shared.reshape(3, 2, 80)})
        assert torch.equal(same, found)


def test_sampling_repeats_what_is_given_for_each_item():
    model = raw(num_classes=4)
    seen = []
    model.net.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["labels"]), with_kwargs=True
    )
    spectrogram = model.to_spectrogram(noise(2, 3, 32))
    labels = torch.tensor([[0], [2]])
    times = torch.tensor([1.0, 0.0])  # as many as items: they are the walk's
    model.sample(spectrogram, num_steps=None, times=times, labels=labels)
    assert seen[0].flatten().tolist() == [0, 0, 0, 2, 2, 2]
    model.sample(spectrogram, num_steps=1, labels=labels, guidance=2.0)
    assert seen[1].flatten().tolist() == [0, 0, 0, 2, 2, 2, *[-1] * 6]


def test_spectrograms_of_any_axes_before():
    model = raw()
    x = noise(2, 3, 32)
    spectrogram = model.to_spectrogram(x)
    options = {"num_steps": 2}
    whole = model.sample(spectrogram, Generator().manual_seed(0), **options)
    flat = model.sample(spectrogram.flatten(0, 1), Generator().manual_seed(0), **options)
    assert torch.equal(flat, whole.flatten(0, 1))
    one = model.sample(spectrogram[0, 0], Generator().manual_seed(0), **options)
    assert one.shape == (32,)
    torch.testing.assert_close(one, whole[0, 0])


def test_items_do_not_hear_one_another():
    model = raw(mel_normalize_log=False, mel_normalize=True)
    x = noise(2, 1, 64)
    fixed = {"reduction": "none", "times": torch.tensor([0.3, 0.6]), "noise": noise(2, 1, 64)}
    before = model(x, **fixed)
    x[1] *= 50
    assert model(x, **fixed)[0] == before[0] and model(x, **fixed)[1] != before[1]


def test_padding_that_is_masked_has_no_influence():
    model = raw()
    x, mask = noise(2, 2, 64), torch.ones(2, 1, 64, dtype=torch.bool)
    mask[..., 40:] = False
    fixed = {"times": torch.tensor([0.2, 0.7]), "noise": noise(2, 2, 64, seed=1), "mask": mask}
    assert torch.equal(model(x, **fixed), model(torch.where(mask, x, 5.0), **fixed))


@pytest.mark.parametrize("make", [raw, spectral])
def test_is_an_ordinary_module_that_learns_its_stretching(make):
    model = make()
    model(noise(2, 1, 64)).backward()
    assert model.to_flat.weight.grad.abs().max() > 0
    spectrogram = model.to_spectrogram(noise(1, 2, 40))
    before = model.sample(spectrogram, Generator().manual_seed(0), num_steps=1)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(
            twin.sample(spectrogram, Generator().manual_seed(0), num_steps=1), before
        )
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.zero_()
    assert torch.equal(model.sample(spectrogram, Generator().manual_seed(0), num_steps=1), before)
    other = make()
    other.load_state_dict(model.state_dict())
    assert not [key for key in model.state_dict() if "spectrogram" in key]


def test_frames_are_drawn_out_where_they_belong():
    """A click's frame comes out around the click, in either space."""
    for model, position in ((raw(), 200), (spectral(), 25), (wide(mel_hop_length=8), 200 / 24)):
        click = torch.zeros(1, 1, 400)
        click[..., 200] = 1.0
        with torch.no_grad():
            model.to_flat.weight.fill_(1.0)
        mel = (model.to_spectrogram(click) + 11.5129).clamp_min(0)
        flat = model._flat(mel[0], 400).detach().abs().sum(1)[0]
        place = torch.arange(len(flat))
        centre = float((flat * place).sum() / flat.sum())
        assert abs(centre + 0.5 - position) < 0.02 * len(flat) + 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: raw(mel_win_length=15), "at least mel_hop_length, got 15 and 16"),
        (lambda: spectral(mel_hop_length=20), "multiple of 8, the samples of"),
        (lambda: spectral(mel_hop_length=3), "or a whole part of it, got 3"),
        (lambda: raw(mel_center=True), "mel_center=True"),
        (lambda: raw()(noise(2, 64)), r"wants audio \(b, c, t\)"),
        (lambda: raw().sample(noise(1, 2, 13, 4)), r"must be \(\.\.\., 12, frames\)"),
        (lambda: raw().sample(noise(1, 2, 12, 4), length=65), r"1\.\.64"),
        (lambda: raw().generate(1, 64, 2), r"call sample\(spectrogram"),
    ],
)
def test_refuses_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_missing_sample_rate_is_named():
    with pytest.raises(TypeError, match="sample_rate"):
        DiffusionVocoder(UNetV0, mel_channels=12, mel_n_fft=64, **SMALL)


def test_the_hop_is_a_quarter_of_the_frame_by_default():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectrogram = raw().to_spectrogram
    assert (spectrogram.hop_length, spectrogram.win_length) == (16, 64)


def test_conditioning_of_every_make_is_repeated():
    words, table = ["a", "b"], torch.arange(6).reshape(2, 3)
    given = {"text": words, "channels": [None, table], "other": torch.ones(3), "scale": 2.0}
    found = repeat_items(given, 2, 2)
    assert found["text"] == ["a", "a", "b", "b"]
    assert found["channels"][0] is None
    assert found["channels"][1].tolist() == table[[0, 0, 1, 1]].tolist()
    assert found["other"] is given["other"] and found["scale"] == 2.0
    assert repeat_items(given, 2, 1) is given


def test_words_for_each_item_are_repeated_and_those_for_all_are_not():
    given = {
        "text": ["a", None],
        "negative_text": ["hiss"],
        "null_cond": {"text": ["hiss"]},
        "channels": [None, None],
        "pair": ("a", None),
    }
    found = repeat_items(given, 2, 2)
    assert found["text"] == found["pair"] == ["a", "a", None, None]
    for name in ("negative_text", "null_cond", "channels"):
        assert found[name] == given[name]
    nothing = {"text": [None, None], "null_cond": {"text": [None, None]}}
    assert repeat_items(nothing, 2, 2) == {"text": [None] * 4, "null_cond": {"text": [None] * 4}}
    assert repeat_items({"text": ["a"]}, 1, 3) == {"text": ["a"] * 3}


def test_texts_are_those_of_the_items_for_each_of_their_channels():
    """Two items of two channels sound as four items of one, and are trained so too."""
    tokens = {"cross_attentions": [0, 1], "attention_heads": 2, "attention_features": 4}
    tokens |= {"use_embedding_cfg": True, "embedding_max_length": 8}
    model = raw(text_encoder=ByteText(8, max_length=8, num_layers=1), **tokens).eval()
    audio, shared = noise(2, 2, 32), noise(2, 2, 32, seed=1)
    code = model.to_spectrogram(audio)
    fixed = {"noise": shared, "times": torch.tensor([0.3, 0.8]), "reduction": "none"}
    alone = {"noise": shared.reshape(4, 1, 32), "reduction": "none"}
    alone["times"] = fixed["times"].repeat_interleave(2)

    def made(code, **cond):
        return model.sample(code, Generator().manual_seed(0), num_steps=2, **cond)

    for words in (["a", None], [None, None], ["a", "b"]):
        each = [word for word in words for _ in range(2)]
        apart = model(audio.reshape(4, 1, 32), text=each, **alone)
        torch.testing.assert_close(
            model(audio, text=words, **fixed), apart.reshape(2, 2).mean(1), atol=1e-5, rtol=1e-4
        )
        for extra in (
            {},
            {"guidance": 2.0},
            {"guidance": 2.0, "null_cond": {"text": ["hiss"]}},
            {"embedding_scale": 2.0, "negative_text": ["hiss"]},
        ):
            found = made(code, text=words, **extra).flatten(0, 1)
            wanted = made(code.flatten(0, 1), text=each, **extra)
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
