"""Pretrained text encoders: loaded late, kept out of the weights, and what they answer."""

import copy
import json
import pickle
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from audio_diffusion_pytorch.conditioning import T5Text, TextEncoder

TEXTS = ["a bell", "a very low piano note", ""]


def rejecting(monkeypatch):
    """Let every attempt to load a model fail."""
    import transformers

    for kind in ("AutoConfig", "AutoTokenizer", "T5EncoderModel"):
        monkeypatch.setattr(getattr(transformers, kind), "from_pretrained", None)


def test_tokens_are_those_of_the_transformer_and_padding_is_none_of_them(tiny_t5):
    tokenizer, transformer = tiny_t5()
    embedding, mask = T5Text((tokenizer, transformer))(TEXTS)
    assert mask.sum(dim=1).tolist() == [7, 22, 1]  # bytes and the end mark
    assert embedding.shape == (3, 22, 32) and not embedding.requires_grad
    assert embedding[~mask].abs().max() == 0
    for text, tokens, real in zip(TEXTS, embedding, mask, strict=True):
        ids = tokenizer([text], return_tensors="pt")
        expected = transformer.eval()(**ids)["last_hidden_state"][0]
        torch.testing.assert_close(tokens[real], expected)


@pytest.mark.parametrize("cache_size", [0, 2, 100])
def test_a_text_has_one_embedding_whatever_the_batch(tiny_t5, cache_size):
    encoder = T5Text(tiny_t5(), cache_size=cache_size)
    together, mask = encoder(TEXTS)
    for i in (1, 0, 2, 1):
        alone, _ = encoder([TEXTS[i]])
        torch.testing.assert_close(alone[0], together[i][mask[i]])
        if cache_size:  # and to the last bit
            assert torch.equal(alone[0], together[i][mask[i]])


def test_a_remembered_text_is_not_encoded_again_and_the_last_used_are_remembered(tiny_t5):
    encoder = T5Text(tiny_t5(), cache_size=2)
    calls = []
    transformer = encoder._shared.transformer
    transformer.register_forward_hook(lambda *_: calls.append(1))
    encoder(["a", "b", "a", "a"])
    assert len(calls) == 2
    encoder(["a"])  # now b is the one that was not used for longest
    encoder(["c"])
    assert len(calls) == 3
    encoder(["a", "c"])
    assert len(calls) == 3
    encoder(["b"])
    assert len(calls) == 4
    assert all(tokens.device.type == "cpu" for tokens in encoder._shared.embeddings.values())


def test_the_transformer_is_in_neither_weights_nor_modules(tiny_t5):
    net = nn.Module()
    net.encoder = T5Text(tiny_t5())
    net.encoder(TEXTS)
    assert not list(net.parameters()) and not net.state_dict()
    assert len(list(net.modules())) == 2


def test_nothing_is_loaded_before_the_first_text(t5_folder, monkeypatch):
    with monkeypatch.context() as patch:
        rejecting(patch)
        assert T5Text().embedding_features == 768  # of the default, t5-base
        assert T5Text("google-t5/t5-large").embedding_features == 1024
        encoder = T5Text(t5_folder, embedding_features=32)
        assert encoder.embedding_features == 32
        assert isinstance(encoder, TextEncoder)
        assert t5_folder in repr(encoder)
    assert encoder._shared.transformer is None
    assert encoder(TEXTS)[0].shape == (3, 22, 32)


def test_the_configuration_alone_tells_the_features(t5_folder):
    encoder = T5Text(t5_folder)
    assert encoder.embedding_features == 32
    assert encoder._shared.transformer is None


def test_a_model_by_name_equals_the_ready_one(tiny_t5, t5_folder):
    torch.testing.assert_close(T5Text(t5_folder)(TEXTS)[0], T5Text(tiny_t5())(TEXTS)[0])


def test_deep_copies_share_the_transformer(t5_folder):
    encoder = T5Text(t5_folder)
    twin = copy.deepcopy(encoder)
    expected = encoder(TEXTS)[0]
    assert twin._shared.transformer is encoder._shared.transformer is not None
    assert torch.equal(twin(TEXTS)[0], expected)


def test_a_pickle_holds_the_name_alone(t5_folder):
    encoder = T5Text(t5_folder)
    expected = encoder(TEXTS)[0]
    data = pickle.dumps(encoder)
    assert len(data) < 3000 < encoder._shared.transformer.shared.weight.numel()
    twin = pickle.loads(data)
    assert twin._shared.transformer is None
    torch.testing.assert_close(twin(TEXTS)[0], expected)


def test_a_ready_transformer_survives_pickling(tiny_t5):
    encoder = T5Text(tiny_t5())
    twin = pickle.loads(pickle.dumps(encoder))
    torch.testing.assert_close(twin(TEXTS)[0], encoder(TEXTS)[0])


def test_answers_have_the_dtype_of_the_network_and_the_transformer_keeps_its_own(tiny_t5):
    net = nn.ModuleDict({"encoder": T5Text(tiny_t5())})
    exact = net["encoder"](TEXTS)[0]
    net.to(torch.bfloat16)
    embedding, mask = net["encoder"](TEXTS)
    assert embedding.dtype == torch.bfloat16 and mask.dtype == torch.bool
    assert torch.equal(embedding, exact.bfloat16())
    assert net["encoder"]._shared.transformer.dtype == torch.float32


def test_autocast_and_training_mode_change_nothing(tiny_t5):
    exact = T5Text(tiny_t5())(TEXTS)[0]
    encoder = T5Text(tiny_t5()).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(TEXTS)[0], exact)


def test_a_trainable_transformer_is_part_of_the_module(tiny_t5):
    encoder = T5Text(tiny_t5(), trainable=True).eval()
    names = {name.removeprefix("transformer.") for name, _ in encoder.named_parameters()}
    assert "shared.weight" in names and len(names) == len(list(encoder.transformer.parameters()))
    exact = T5Text(tiny_t5())(TEXTS)
    embedding, mask = encoder(TEXTS)
    assert torch.equal(mask, exact.mask)
    torch.testing.assert_close(embedding[mask], exact.embedding[mask])
    embedding[mask].square().sum().backward()
    assert encoder.transformer.shared.weight.grad.abs().max() > 0
    twin = copy.deepcopy(encoder)
    assert twin.transformer is not encoder.transformer  # it will be trained apart


def test_trained_weights_are_saved_once_and_load(tiny_t5):
    encoder, other = (T5Text(tiny_t5(seed), trainable=True).eval() for seed in (0, 1))
    state = encoder.state_dict()
    pointers = [value.data_ptr() for value in state.values()]
    assert len(set(pointers)) == len(pointers)  # a T5 has its table under two names
    other.load_state_dict(state)
    torch.testing.assert_close(other(TEXTS)[0], encoder(TEXTS)[0])


def test_a_trainable_encoder_by_name_pickles_its_weights_and_loads_the_tokenizer(t5_folder):
    encoder = T5Text(t5_folder, trainable=True).eval()
    with torch.no_grad():
        encoder.transformer.shared.weight.mul_(2.0)
    twin = pickle.loads(pickle.dumps(encoder))
    torch.testing.assert_close(twin(TEXTS)[0], encoder(TEXTS)[0])


def test_long_texts_are_cut_with_one_warning_that_counts(tiny_t5):
    encoder = T5Text(tiny_t5(), max_length=8)
    with pytest.warns(UserWarning, match="1 of 2 texts .* max_length=8 tokens: 14 tokens were cut"):
        _, mask = T5Text(tiny_t5(), max_length=8, cache_size=0)(TEXTS[:2])
    assert mask.sum(dim=1).tolist() == [7, 8]
    with pytest.warns(UserWarning, match="14 tokens were cut off"):
        encoder(TEXTS[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder(["another text that is too long"])
        T5Text(tiny_t5(), max_length=22)(TEXTS)


def test_attended_padding_is_the_old_behaviour(tiny_t5):
    tokenizer, transformer = tiny_t5()
    embedding, mask = T5Text((tokenizer, transformer), max_length=30, attend_padding=True)(TEXTS)
    assert mask is None
    ids = tokenizer(TEXTS, padding="max_length", max_length=30, return_tensors="pt")
    expected = transformer.eval()(**ids)["last_hidden_state"]
    torch.testing.assert_close(embedding, expected)


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    encoder = T5Text()
    with pytest.raises(ImportError, match=r'pip install "audio-diffusion-pytorch\[text\]"'):
        encoder(TEXTS)


@pytest.mark.parametrize("ask", [lambda e: e(TEXTS), lambda e: e.embedding_features])
def test_a_name_that_nobody_knows_is_said_in_one_sentence(ask):
    with pytest.raises(FileNotFoundError, match="'no/such/model' is neither a folder") as error:
        ask(T5Text("no/such/model"))
    assert "\n" not in str(error.value)


def test_what_is_on_disk_is_never_asked_of_the_hub(t5_folder, monkeypatch):
    import transformers

    asked = []
    load = transformers.T5EncoderModel.from_pretrained
    monkeypatch.setattr(
        transformers.T5EncoderModel,
        "from_pretrained",
        lambda name, **kwargs: asked.append(kwargs) or load(name, **kwargs),
    )
    T5Text(t5_folder)(TEXTS)
    assert asked == [{"local_files_only": True}]


@pytest.mark.parametrize(
    ("kind", "file", "ask"),
    [
        ("AutoConfig", "config.json", lambda encoder: encoder.embedding_features),
        ("AutoTokenizer", "tokenizer_config.json", lambda encoder: encoder(TEXTS)),
    ],
)
def test_code_beside_a_model_is_not_run(kind, file, ask, t5_folder, monkeypatch):
    folder, trace = Path(t5_folder), Path(t5_folder, "trace")
    (folder / "code.py").write_text(f"open({str(trace)!r}, 'w').close()\n")
    entry = ["code.Own", None] if kind == "AutoTokenizer" else "code.Own"
    changes = {"auto_map": {kind: entry}, "model_type": "own", "tokenizer_class": "Own"}
    config = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # nor is anybody asked whether to
    with pytest.raises(FileNotFoundError, match="neither a folder or a downloaded model"):
        ask(T5Text(t5_folder))
    assert not trace.exists()


@pytest.mark.parametrize("sizes", [{"max_length": 0}, {"cache_size": -1}])
def test_sizes_that_make_no_sense_are_refused(sizes):
    with pytest.raises(ValueError, match="max_length must be at least 1 and cache_size"):
        T5Text(**sizes)


@pytest.mark.gpu
def test_the_transformer_follows_the_network(tiny_t5):
    net = nn.ModuleDict({"encoder": T5Text(tiny_t5())})
    expected, _ = net["encoder"](TEXTS)
    net.cuda()
    net["encoder"]._shared.embeddings.clear()
    embedding, mask = net["encoder"](TEXTS)
    assert embedding.is_cuda and mask.is_cuda
    assert next(net["encoder"]._shared.transformer.parameters()).is_cuda
    torch.testing.assert_close(embedding.cpu(), expected, atol=1e-4, rtol=1e-4)
