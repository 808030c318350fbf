"""Values survive a description in JSON exactly, and a file can name nothing but parts of models."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from audio_diffusion_pytorch import LTPlugin, UNetV0, VDiffusion
from audio_diffusion_pytorch.conditioning import ByteText, T5Text
from audio_diffusion_pytorch.diffusion import (
    DiscreteBetas,
    HalfCircle,
    KarrasSchedule,
    ListSchedule,
    Shifted,
)
from audio_diffusion_pytorch.nets import AppendChannelsPlugin
from audio_diffusion_pytorch.serialization import Recorded, recorded
from audio_diffusion_pytorch.serialization.described import describe, find_unknown
from audio_diffusion_pytorch.serialization.names import UntrustedNameError, find, name_of
from audio_diffusion_pytorch.serialization.rebuilt import NotDescribedError, rebuild


def through_json(value, trusted=()):
    return rebuild(json.loads(json.dumps(describe(value), allow_nan=False)), trusted)


class Pair(NamedTuple):
    left: int
    right: tuple


class Colour(Enum):
    RED = "red"


class Noted(Recorded):
    def __init__(self, first, *rest, scale=1.0, **others):
        self.seen = (first, rest, scale, others)


def module_function(x):
    return x


PLAIN = [
    None, True, 0, -3, 0.1, 1e-300, 1 / 3, "", "a $word", "ü\n", math.inf, -math.inf,
    [], (), {}, [1, (2, [3.0, ("x",)])], {"a": {"b": (1,)}}, {"$a": 1}, {1: "x", (2, 3): None},
    torch.float32, torch.bfloat16, Pair(1, (2,)), Colour.RED,
    VDiffusion, nn.SiLU, F.mse_loss, F.gelu, F.relu, DiscreteBetas.cosine,
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_plain_values(value):
    again = through_json(value, [Pair, Colour])
    assert again == value and type(again) is type(value)


def test_values_that_json_has_no_equal_of():
    assert math.isnan(through_json(math.nan))
    assert through_json(np.float64(0.1)) == 0.1 and through_json(np.int64(3)) == 3
    assert through_json(torch.Size([1, 2])) == (1, 2)
    for tensor in (
        torch.randn(2, 3, dtype=torch.float64),
        torch.tensor([0.1, torch.inf], dtype=torch.bfloat16),
        torch.tensor([[True], [False]]),
        torch.tensor(7),
        torch.zeros(0, 2),
    ):
        again = through_json(tensor)
        assert torch.equal(again, tensor) and again.dtype == tensor.dtype


def test_partials_and_plugins():
    net_t = LTPlugin(AppendChannelsPlugin(UNetV0, 2), 4, 8, 8)
    again = through_json(net_t)
    assert isinstance(again, partial) and again.func is net_t.func
    inner = again.args[0]
    assert inner.func is net_t.args[0].func and inner.args == (UNetV0, 2)
    net = again(dim=1, in_channels=1, channels=[8], factors=[2], items=[1])
    assert net.net.append_channels == 2
    assert through_json(partial(F.l1_loss, reduction="none")).keywords == {"reduction": "none"}


def test_objects():
    grid = through_json(KarrasSchedule(0.01, 80.0, noise_schedule=Shifted(HalfCircle(), -1.0)))
    wanted = KarrasSchedule(0.01, 80.0, noise_schedule=Shifted(HalfCircle(), -1.0))
    assert torch.equal(grid(5, torch.device("cpu")), wanted(5, torch.device("cpu")))
    betas = DiscreteBetas.cosine(20).with_zero_terminal_snr()
    time = torch.rand(9, dtype=torch.float64)
    assert torch.equal(through_json(betas).log_snr(time), betas.log_snr(time))
    assert through_json(ListSchedule([1.0, 0.5, 0.0]))(3, torch.device("cpu")).tolist() == [
        1,
        0.5,
        0,
    ]


def test_recorded_arguments_of_every_kind():
    part = Noted(1, 2, (3,), scale=0.5, more={"x": 1})
    assert through_json(part, [Noted]).seen == part.seen == (1, (2, (3,)), 0.5, {"more": {"x": 1}})
    assert through_json(Noted("a", other=2), [Noted]).seen == ("a", (), 1.0, {"other": 2})


def test_text_encoders_are_their_names():
    text = through_json(T5Text("t5-small", 32, cache_size=5))
    assert (text.name, text.max_length, text.cache_size) == ("t5-small", 32, 5)
    own = through_json(ByteText(8, 16, num_layers=1, num_heads=2))
    assert len(own.layers) == 1 and own.max_length == 16


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv1d(2, 4, 5, stride=2, dilation=3, groups=2, bias=False),
        nn.Linear(3, 4),
        nn.GroupNorm(2, 4, eps=1e-3),
        nn.GELU(approximate="tanh"),
        nn.L1Loss(reduction="sum"),
        nn.Identity(),
        nn.Sequential(nn.Linear(3, 2, bias=False), nn.Sequential(nn.SiLU())),
    ],
    ids=lambda value: type(value).__name__,
)
def test_layers_of_torch_are_read_off_their_attributes(module):
    again = through_json(module)
    assert str(again) == str(module)
    again.load_state_dict(module.state_dict())


def test_what_is_unlike_its_description_is_not_taken_for_it():
    conv = nn.Conv1d(2, 2, 3)
    conv.note = "set later"
    unlike = nn.Linear(2, 3)
    unlike.in_features = 5
    for part in (conv, unlike):
        with pytest.raises(NotDescribedError, match="recorded"):
            through_json(part)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda: 0, "no name"),
        (partial(lambda: 0), "no name"),
        (torch.device("cpu"), "chosen when a model is loaded"),
        (torch.zeros(100_000), "belongs in the weights"),
        (Noted(1).__init__, "method of an object"),
        (functools.lru_cache(lambda: 0), "not recorded"),
        ([{"deep": {1, 2}}], "not recorded"),
        (object(), "not a part"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_described_says_why(value, reason):
    if reason == "not a part":  # described by its class, which no file may name
        with pytest.raises(UntrustedNameError):
            through_json(value)
        return
    [(_, _, why)] = find_unknown(describe(value))
    assert reason in why
    with pytest.raises(NotDescribedError, match=reason):
        through_json(value)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "subprocess:Popen",
        "torch:load",
        "torch.hub:load",
        "torch.serialization:os.system",
        "torch.nn.functional:importlib.import_module",
        "torch.nn:functional.torch.load",
        "torch.nn.modules.module:torch.load",
        "torch.utils.cpp_extension:load",
        "audio_diffusion_pytorch:models.diffusion_model.torch.load",
        "audio_diffusion_pytorch.training.safe_write:write_aside",
        "audio_diffusion_pytorch.data:AudioFolder",
        "audio_diffusion_pytorch.models.archisound:json.loads",
        "audio_diffusion_pytorch:version",
        "torch.nn.functionalities:x",
        "a_unet:T5Embedder",
        "a_unet.blocks:T5Embedder",
        "a_unet.blocks:T5Embedder.forward",
        "a_unet:TextConditioningPlugin",
        "audio_diffusion_pytorch.models:load_archisound",
    ],
)
@pytest.mark.parametrize("kind", ["$class", "$function", "$object"])
def test_a_file_names_nothing_but_parts_of_models(name, kind):
    with pytest.raises((UntrustedNameError, ValueError)) as caught:
        rebuild({kind: name, "arguments": {}})
    assert isinstance(caught.value, UntrustedNameError) or "there is no" in str(caught.value)


def test_functions_are_not_called_as_if_they_were_classes():
    with pytest.raises(UntrustedNameError):
        rebuild({"$object": "torch.nn.functional:mse_loss", "arguments": {}})


def test_trusted_parts_are_found_by_name():
    name = name_of(module_function)
    assert name.endswith(":module_function")
    with pytest.raises(UntrustedNameError):
        find(name)
    assert find(name, [Pair, module_function]) is module_function
    assert find("moved.elsewhere:module_function", [module_function]) is module_function


def test_names_are_the_shortest_public_ones():
    assert name_of(VDiffusion) == "audio_diffusion_pytorch:VDiffusion"
    assert name_of(HalfCircle) == "audio_diffusion_pytorch.diffusion:HalfCircle"
    assert name_of(F.mse_loss) == "torch.nn.functional:mse_loss"


def test_unknown_words_and_missing_names_are_said():
    with pytest.raises(ValueError, match=r"\$matrix means nothing here"):
        rebuild({"$matrix": [1]})
    with pytest.raises(ValueError, match="there is no NoSuchNet in audio_diffusion_pytorch"):
        rebuild({"$class": "audio_diffusion_pytorch:NoSuchNet"})
    with pytest.raises(ValueError, match="torch has no dtype load"):
        rebuild({"$dtype": "load"})


def test_recorded_classes_make_what_they_make():
    part = recorded(nn.Dropout)(0.25)
    assert type(part) is nn.Dropout and part.p == 0.25
    assert through_json(part).p == 0.25


def test_what_goes_to_the_hub_when_it_is_made_may_be_handed_over():
    a_unet = pytest.importorskip("a_unet")
    assert find("a_unet.blocks:T5Embedder", [a_unet.T5Embedder]) is a_unet.T5Embedder


class Word(str):
    def __str__(self):
        return "another"


class Count(int):
    pass


class Share(float):
    pass


def test_subclasses_of_plain_values_are_their_values():
    described = describe([Word("x"), Count(3), Share(0.5), Share("inf"), {Word("key"): True}])
    assert json.loads(json.dumps(described)) == ["x", 3, 0.5, {"$float": "inf"}, {"key": True}]
    assert [type(item) for item in described[:3]] == [str, int, float]


class Lazy(Sequence):
    """A sequence of a dataset's: each item costs something, and they do not end."""

    asked = 0

    def __init__(self, *files):
        self.files = files

    def __len__(self):
        return 10**9

    def __getitem__(self, index):
        Lazy.asked += 1
        raise OSError("the disk is gone")


class LazyList(list):
    def __iter__(self):
        raise OSError("the disk is gone")


class Sly:
    """An object that answers no question."""

    def __getattribute__(self, name):
        raise OSError(name)


def around_itself():
    knot = [1]
    knot += [knot, knot]
    return knot


def doubled():
    pairs = []
    for _ in range(40):  # 2 ** 40 values if it is walked
        pairs = [pairs, pairs]
    return pairs


def deep():
    nest = []
    for _ in range(10_000):
        nest = [nest]
    return nest


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (around_itself, "holds itself"),
        (lambda: {"a": around_itself()}, "holds itself"),
        (doubled, "values"),
        (deep, "nested"),
        (lambda: [0] * 10**6, "values"),
        (Lazy, "not recorded"),
        (Sly, "raises OSError"),
        (lambda: torch.eye(3).to_sparse(), "sparse"),
    ],
    ids=["itself", "within", "doubled", "deep", "long", "lazy", "sly", "sparse"],
)
def test_recording_breaks_and_slows_no_constructor(make, reason):
    value = make()
    made = Noted(value)
    assert made.seen[0] is value and Lazy.asked == 0
    [(path, _, why)] = find_unknown(made.__dict__["_made_of"])
    assert reason in why and path.startswith("first") and "\n" not in why


def test_what_a_list_holds_is_recorded_not_what_it_says_it_holds():
    assert describe(LazyList([1, 2])) == [1, 2]


def test_a_value_that_is_in_two_places_is_described_twice():
    shared = [1.0]
    assert through_json([shared, shared, {"a": shared}]) == [[1.0], [1.0], {"a": [1.0]}]


def test_lists_of_a_settings_library_are_lists():
    class ListConfig(Sequence):
        __module__ = "omegaconf.listconfig"

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return (8, 16)[index]

    assert describe(ListConfig()) == [8, 16]
