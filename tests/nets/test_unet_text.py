"""Text in UNetV0, against upstream where that is right, and why it differs where it is not."""

import copy
import json
import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

from audio_diffusion_pytorch.conditioning import ByteText, T5Text
from audio_diffusion_pytorch.conditioning.shared_parts import SharedParts
from audio_diffusion_pytorch.diffusion import ClassifierFreeGuidance
from audio_diffusion_pytorch.nets import UNetV0

GOLDEN = Path(__file__).parents[1] / "golden" / "upstream_text.npz"
TEXT_KEYS = "blocks.2.blocks.0."
TIME = torch.tensor([0.2, 0.7])
TEXTS = ["a bell", "a very low note"]


class Upstream(NamedTuple):
    """What `tools/make_upstream_text_golden.py` recorded."""

    arguments: dict
    weights: dict[str, Tensor]
    full: list[str]  # texts that fill all tokens
    padded: list[str]
    scale: float
    arrays: dict[str, Tensor]

    def encoder(self, **kwargs) -> T5Text:
        transformer = T5EncoderModel(T5Config(**self.t5))
        prefix = f"{TEXT_KEYS}transformer."
        state = {k.removeprefix(prefix): v for k, v in self.weights.items() if prefix in k}
        transformer.load_state_dict(state)
        return T5Text((ByT5Tokenizer(), transformer), self.max_length, **kwargs)

    @property
    def t5(self) -> dict:
        return self.arguments["t5"]

    @property
    def max_length(self) -> int:
        return self.arguments["net"]["embedding_max_length"]

    def net(self, encoder) -> UNetV0:
        net = UNetV0(**self.arguments["net"], text_encoder=encoder)
        net.load_state_dict(self.weights)
        return net.eval()

    def out(self, net: nn.Module, **kwargs) -> Tensor:
        return net(self.arrays["x"], self.arrays["time"], **kwargs).detach()


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    stored = np.load(GOLDEN)
    net, t5, full, padded, scale = json.loads(str(stored["arguments"]))
    arrays = {k: torch.from_numpy(stored[k]) for k in stored.files if k != "arguments"}
    weights = {k.removeprefix("weight/"): v for k, v in arrays.items() if k.startswith("weight/")}
    return Upstream({"net": net, "t5": t5}, weights, full, padded, scale, arrays)


@pytest.fixture
def encoder() -> T5Text:
    torch.manual_seed(0)
    config = T5Config(vocab_size=384, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return T5Text((ByT5Tokenizer(), T5EncoderModel(config)), max_length=24)


@pytest.fixture
def text_unet(small_unet, encoder):
    """Make a small network that takes text, with a null embedding of 24 tokens."""

    def make(**changes) -> UNetV0:
        settings = {
            "cross_attentions": [0, 1],
            "use_text_conditioning": True,
            "text_encoder": encoder,
            "use_embedding_cfg": True,
            "embedding_max_length": 24,
        }
        return small_unet(**settings | changes).eval()

    return make


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 2, 32)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def differ(a: Tensor, b: Tensor) -> None:
    assert (a - b).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["full", "full_guided"])
def test_texts_without_padding_equal_upstream(upstream, name):
    net = upstream.net(upstream.encoder())
    scale = upstream.scale if "guided" in name else 1.0
    out = upstream.out(net, text=upstream.full, embedding_scale=scale)
    close(out, upstream.arrays[f"out/{name}"])


@pytest.mark.parametrize("name", ["padded", "padded_guided"])
def test_defect_14_padding_is_not_attended_unless_asked_for(upstream, name):
    """Upstream drops the mask of the tokenizer: its nets attend to what stands for no word.

    Their answer to a text then depends on how far it is padded. Ours does not; networks that were
    trained so get what they were trained with from `attend_padding=True`.
    """
    scale = upstream.scale if "guided" in name else 1.0
    expected = upstream.arrays[f"out/{name}"]
    old = upstream.net(upstream.encoder(attend_padding=True))
    close(upstream.out(old, text=upstream.padded, embedding_scale=scale), expected)
    new = upstream.net(upstream.encoder())
    out = upstream.out(new, text=upstream.padded, embedding_scale=scale)
    close(out[0], expected[0])  # the text that fills all tokens
    differ(out[1], expected[1])
    for encoder, same in ((new.text_encoder, True), (old.text_encoder, False)):
        few, many = copy.deepcopy(encoder), copy.deepcopy(encoder)
        few.max_length, many.max_length = 8, 12
        few._shared = SharedParts(*few._parts())  # that remembers nothing yet
        answers = [upstream.out(upstream.net(part), text=["bell", "bell"]) for part in (few, many)]
        (close if same else differ)(*answers)


def test_upstream_files_load_into_nets_that_train_their_encoder(upstream):
    trained = upstream.encoder(trainable=True)
    with torch.no_grad():
        for weight in trained.parameters():
            weight.zero_()  # to come from the file
    net = upstream.net(trained)
    close(upstream.out(net, text=upstream.full), upstream.arrays["out/full"])


def test_upstream_files_with_a_t5_load_into_nets_without_text(upstream):
    arguments = upstream.arguments["net"] | {"use_text_conditioning": False}
    net = UNetV0(**arguments)
    net.load_state_dict(upstream.weights)
    tokens = upstream.encoder()(upstream.full).embedding
    close(upstream.out(net.eval(), embedding=tokens), upstream.arrays["out/full"])


def test_upstream_files_without_text_load_into_nets_with_text(upstream):
    plain = {
        key.replace("blocks.2.blocks.1.", "blocks.2.", 1): value
        for key, value in upstream.weights.items()
        if not key.startswith(TEXT_KEYS)
    }
    net = UNetV0(**upstream.arguments["net"], text_encoder=upstream.encoder())
    net.load_state_dict(plain)
    close(upstream.out(net.eval(), text=upstream.full), upstream.arrays["out/full"])


def test_weights_of_an_unknown_text_encoder_are_not_dropped_unseen(upstream):
    arguments = upstream.arguments["net"] | {"use_text_conditioning": False}
    odd = {key.replace(".transformer.", ".other."): v for key, v in upstream.weights.items()}
    with pytest.raises(RuntimeError, match="Unexpected key"):
        UNetV0(**arguments).load_state_dict(odd)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_an_item_does_not_depend_on_how_far_its_text_is_padded(text_unet, x, scale):
    net = text_unet()
    together = net(x, TIME, text=TEXTS, embedding_scale=scale)
    for i in (0, 1):
        rows = slice(i, i + 1)
        alone = net(x[rows], TIME[rows], text=TEXTS[rows], embedding_scale=scale)
        close(alone, together[rows])
    embedding, mask = net.encode_text(TEXTS)
    padded = torch.cat([embedding, torch.full((2, 30, 16), 1e3)], dim=1)
    longer = torch.cat([mask, torch.zeros(2, 30, dtype=torch.bool)], dim=1)
    assert padded.shape[1] > net.null_embedding.embedding.num_embeddings
    out = net(x, TIME, embedding=padded, embedding_mask=longer, embedding_scale=scale)
    close(out, together)


def test_encoded_text_may_be_kept_and_passed(text_unet, x):
    net = text_unet()
    embedding, mask = net.encode_text(TEXTS)
    assert embedding.shape == (2, 16, 16) and mask.sum(dim=1).tolist() == [7, 16]
    for scale in (1.0, 2.0):
        kept = net(x, TIME, embedding=embedding, embedding_mask=mask, embedding_scale=scale)
        assert torch.equal(kept, net(x, TIME, text=TEXTS, embedding_scale=scale))


def test_text_changes_the_output_and_a_single_string_serves_all(text_unet, x):
    net = text_unet()
    out = net(x, TIME, text=TEXTS)
    differ(out, net(x, TIME, text=TEXTS[::-1]))
    assert torch.equal(net(x, TIME, text="a bell"), net(x, TIME, text=["a bell", "a bell"]))


def test_without_text_there_is_the_null_embedding(text_unet, x):
    net = text_unet()
    null = net.null_embedding.embedding.weight.expand(2, -1, -1)
    out = net(x, TIME)
    close(out, net(x, TIME, embedding=null))
    close(net(x, TIME, text=[None, None]), out)
    mixed = net(x, TIME, text=["a bell", None])
    close(mixed[1], out[1])
    close(mixed[:1], net(x[:1], TIME[:1], text=["a bell"]))


def test_text_and_embedding_stand_behind_one_another(text_unet, x):
    net = text_unet()
    extra = torch.randn(2, 3, 16)
    embedding, mask = net.encode_text(TEXTS)
    out = net(x, TIME, text=TEXTS, embedding=extra)
    joined = torch.cat([embedding, extra], dim=1)
    both = torch.cat([mask, torch.ones(2, 3, dtype=torch.bool)], dim=1)
    close(out, net(x, TIME, embedding=joined, embedding_mask=both))
    differ(out, net(x, TIME, text=TEXTS))


def test_guidance_moves_away_from_the_null_embedding_or_a_negative_text(text_unet, x):
    net = text_unet()
    wanted, null = net(x, TIME, text=TEXTS), net(x, TIME)
    calls = []
    handle = net.levels[0].down.register_forward_hook(lambda *_: calls.append(1))
    out = net(x, TIME, text=TEXTS, embedding_scale=2.5)
    assert len(calls) == 1
    handle.remove()
    close(out, null + 2.5 * (wanted - null))
    for negative in ("a long and noisy hiss", ["hiss"], ["hiss", "a hum"]):
        texts = negative * 2 if isinstance(negative, list) and len(negative) == 1 else negative
        away = net(x, TIME, text=texts)
        out = net(x, TIME, text=TEXTS, negative_text=negative, embedding_scale=2.5)
        close(out, away + 2.5 * (wanted - away))


def test_negative_embeddings_of_another_length_need_no_null_embedding(text_unet, x):
    net = text_unet(use_embedding_cfg=False, embedding_max_length=None)
    tokens, away = torch.randn(2, 3, 16), torch.randn(1, 5, 16)
    mask = torch.tensor([[True, True, False, False, True]])
    one = net(x, TIME, embedding=tokens)
    other = net(x, TIME, embedding=away.expand(2, -1, -1), embedding_mask=mask.expand(2, -1))
    out = net(
        x,
        TIME,
        embedding=tokens,
        negative_embedding=away,
        negative_embedding_mask=mask,
        embedding_scale=2.0,
    )
    close(out, other + 2.0 * (one - other))


def test_defect_17_tokens_are_dropped_in_training_mode_only(text_unet, x):
    """A sampler that passes on what the training was given must not lose the text."""
    net = text_unet()
    with_text, null = net(x, TIME, text=TEXTS), net(x, TIME)
    assert torch.equal(net(x, TIME, text=TEXTS, embedding_mask_proba=1.0), with_text)
    net.train()
    close(net(x, TIME, text=TEXTS, embedding_mask_proba=1.0), null)
    x = x[:1].expand(64, -1, -1)
    out = net(
        x, TIME[:1], text="a bell", embedding_mask_proba=0.5,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    share = ((out - null[:1]).abs().amax(dim=(1, 2)) < 1e-4).float().mean()
    assert 0.25 < share < 0.75


def test_guidance_of_the_diffusion_stacks_texts(text_unet, x):
    net = text_unet()
    guided = ClassifierFreeGuidance(2.0)(net, {"text": TEXTS}, {"text": [""]})
    wanted, away = net(x, TIME, text=TEXTS), net(x, TIME, text=["", ""])
    close(guided(x, TIME), away + 2.0 * (wanted - away))
    nothing = ClassifierFreeGuidance(2.0)(net, {"text": TEXTS}, {"text": [None]})
    close(nothing(x, TIME), net(x, TIME, text=TEXTS, embedding_scale=2.0))
    embedding, mask = net.encode_text([*TEXTS, "hiss", ""])
    masked = ClassifierFreeGuidance(2.0)(
        net,
        {"embedding": embedding[:2], "embedding_mask": mask[:2]},
        {"embedding": embedding[2:], "embedding_mask": mask[2:]},
    )
    away = net(x, TIME, text=["hiss", ""])
    close(masked(x, TIME), away + 2.0 * (wanted - away))


def test_a_pretrained_encoder_is_in_neither_weights_nor_copies(text_unet, x):
    net = text_unet()
    names = {name for name, _ in net.named_parameters()}
    assert names == set(net.state_dict())
    assert not any("text_encoder" in name for name in names)
    out = net(x, TIME, text=TEXTS)
    twin = copy.deepcopy(net)
    assert twin.text_encoder._shared is net.text_encoder._shared
    assert torch.equal(twin(x, TIME, text=TEXTS), out)
    close(pickle.loads(pickle.dumps(net))(x, TIME, text=TEXTS), out)


def test_the_default_encoder_is_a_t5_that_is_not_there_yet(small_unet, x):
    net = small_unet(cross_attentions=[0, 1], use_text_conditioning=True)
    assert isinstance(net.text_encoder, T5Text) and net.text_encoder.name == "t5-base"
    assert net.embedding_features == 768 and net.text_encoder.max_length == 64
    assert net(x, TIME, embedding=torch.randn(2, 3, 768)).shape == x.shape
    assert net.text_encoder._shared.transformer is None
    short = small_unet(
        cross_attentions=[0, 1],
        use_text_conditioning=True,
        use_embedding_cfg=True,
        embedding_max_length=20,
    )
    assert short.text_encoder.max_length == 20


class Lengths:
    """An encoder that is no module: one token, the length of the text, in many features."""

    embedding_features = 16

    def __call__(self, texts):
        lengths = torch.tensor([float(len(text)) for text in texts], dtype=torch.float64)
        return torch.linspace(-1, 1, 16, dtype=torch.float64) * lengths[:, None, None].cos()


def test_any_callable_with_embedding_features_is_an_encoder(text_unet, x):
    net = text_unet(text_encoder=Lengths(), use_text_conditioning=False)
    out = net(x, TIME, text=TEXTS)
    assert out.dtype == x.dtype
    assert torch.equal(out, net(x, TIME, embedding=Lengths()(TEXTS).float()))
    assert torch.equal(out, net(x, TIME, text=["hollow", "anything of it."]))
    assert net.encode_text(TEXTS).mask is None
    mixed = net(x, TIME, text=["a bell", None], embedding_scale=2.0)
    assert mixed.shape == x.shape


def test_an_encoder_that_is_a_module_is_trained_and_saved_with_the_net(text_unet, x):
    net = text_unet(text_encoder=ByteText(24, max_length=24)).train()
    assert net.embedding_features == 24
    net(x, TIME, text=TEXTS).square().sum().backward()
    assert net.text_encoder.bytes.weight.grad.abs().max() > 0
    other = text_unet(text_encoder=ByteText(24, max_length=24))
    other.load_state_dict(net.state_dict())
    close(other(x, TIME, text=TEXTS), net.eval()(x, TIME, text=TEXTS))


def test_a_net_learns_to_follow_its_text(small_unet):
    net = small_unet(
        in_channels=1,
        attentions=[0, 0],
        cross_attentions=[0, 1],
        text_encoder=ByteText(16, num_layers=1),
    )
    words = ["low", "high"]
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(90):
        which = torch.randint(2, (16,))
        target = (2.0 * which - 1)[:, None, None].expand(-1, 1, 16)
        text = [words[i] for i in which]
        loss = (net(torch.randn(16, 1, 16), torch.rand(16), text=text) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.3  # 1 for knowing nothing of the text


def test_text_stays_outside_of_a_compiled_graph(text_unet, x):
    net = text_unet()
    compiled = torch.compile(net, backend="eager")
    close(
        compiled(x, TIME, text=TEXTS, embedding_scale=2.0),
        net(x, TIME, text=TEXTS, embedding_scale=2.0),
    )


NO_TEXT = {"text_encoder": None, "use_text_conditioning": False, "embedding_features": 16}
BAD_CALLS = [
    ({}, {"text": ["one"]}, "one string for each of the 2 items, got 1: repeat it"),
    ({}, {"text": ["a", 3]}, "text must be strings .* got int"),
    ({}, {"embedding_scale": 2.0}, "need a text or an embedding to act on"),
    ({}, {"text": TEXTS, "negative_text": "hiss"}, "act through embedding_scale, got 1"),
    (
        {},
        {"text": TEXTS, "negative_text": ["a"] * 3, "embedding_scale": 2.0},
        "each of the 2 items, got 3",
    ),
    (NO_TEXT, {"text": TEXTS}, "text needs a network with use_text_conditioning=True"),
    (
        {"use_embedding_cfg": False, "embedding_max_length": None},
        {},
        r"needs `text=` or `embedding=` of shape \(2, n, 16\)",
    ),
    (
        {"use_embedding_cfg": False, "embedding_max_length": None},
        {"text": ["a", None]},
        "missing texts need a null embedding",
    ),
    (
        {"use_embedding_cfg": False, "embedding_max_length": None},
        {"text": TEXTS, "embedding_scale": 2.0},
        "need a null embedding: build the network with use_embedding_cfg=True",
    ),
    (
        {"text_encoder": type("Flat", (), {"embedding_features": 16,
                                           "__call__": lambda _, t: torch.zeros(len(t), 16)})()},
        {"text": TEXTS},
        r"must answer 2 texts by tokens of shape \(2, n, embedding_features=16\), got \(2, 16\)",
    ),
    (
        {"text_encoder": type("Odd", (), {
            "embedding_features": 16,
            "__call__": lambda _, t: (torch.zeros(len(t), 3, 16), torch.ones(len(t), 4))})()},
        {"text": TEXTS},
        r"give a mask of shape \(2, 3\), got \(2, 4\)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "call", "message"), BAD_CALLS)
def test_calls_that_do_not_fit_are_refused_in_one_line(text_unet, x, changes, call, message):
    net = text_unet(**changes)
    with pytest.raises(ValueError, match=message) as error:
        net(x, TIME, **call)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding_features": 8}, "must be the 16 of the text encoder, got 8"),
        ({"cross_attentions": None}, "use_text_conditioning needs cross_attentions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_one_line(text_unet, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        text_unet(**changes)
    assert "\n" not in str(error.value)


def test_encode_text_wants_a_list(text_unet, small_unet):
    with pytest.raises(ValueError, match=r"got a single one: pass \[text\]"):
        text_unet().encode_text("a bell")
    with pytest.raises(ValueError, match="use_text_conditioning=True"):
        small_unet().encode_text(["a bell"])
