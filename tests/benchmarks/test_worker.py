"""The side that is ours, on a tiny network."""

from __future__ import annotations

import json

import pytest
import torch
from _networks import Network, networks
from _sides import Launcher, SideError, Variant
from _worker import Worker, answers, compile_net, with_net
from torch import nn

TINY = Network(
    "tiny",
    {
        "in_channels": 2,
        "channels": [8, 16],
        "factors": [1, 2],
        "items": [1, 1],
        "attentions": [0, 1],
        "attention_heads": 2,
        "attention_features": 4,
        "modulation_features": 16,
    },
    [1, 2, 32],
    {},
    {},
)


@pytest.fixture
def worker():
    """A worker that holds the tiny network."""
    worker = Worker(upstream=False)
    worker.build(TINY._asdict(), None, make=True, device="cpu")
    return worker


def view(worker, variant):
    settings = variant._asdict()
    settings.pop("side")
    worker.view(**settings)
    return worker.views[variant.name].model


def test_views_share_the_weights_unless_their_format_differs(worker):
    weights = [weight.data_ptr() for weight in worker.model.parameters()]
    lean = view(worker, Variant("lean", checkpointing=True))
    assert [weight.data_ptr() for weight in lean.parameters()] == weights
    assert lean.net is not worker.model.net
    half = view(worker, Variant("half", precision="bf16"))
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in worker.model.parameters()} == {torch.float32}


def test_every_task_runs_and_leaves_the_weights_as_they_were(worker, tmp_path):
    before = [weight.clone() for weight in worker.model.parameters()]
    for variant in (
        Variant("eager"),
        Variant("autocast", precision="autocast"),
        Variant("lean", checkpointing=True),
    ):
        view(worker, variant)
        found = worker.train(variant.name)
        assert found["seconds"] == pytest.approx(sum(found["parts"].values()))
        assert worker.call(variant.name)["seconds"] > 0
        assert worker.sample(variant.name, steps=2)["seconds"] > 0
        worker.output(variant.name, str(tmp_path / variant.name))
    eager, autocast, lean = (torch.load(tmp_path / n) for n in ("eager", "autocast", "lean"))
    torch.testing.assert_close(lean, eager)
    assert 0 < (autocast - eager).abs().max() < 0.1  # it is another format, and near
    for weight, old in zip(worker.model.parameters(), before, strict=True):
        assert torch.equal(weight, old)
    assert worker.flops("train")["flops"] > 2 * worker.flops("call")["flops"] > 0
    assert worker.copies(steps=2)["bytes"] >= 0


def test_the_peak_stands_on_weights_gradients_and_both_moments(worker):
    view(worker, Variant("eager"))
    found = worker.peak("eager", settle=False)
    weights = sum(weight.nbytes for weight in worker.model.parameters())
    counters = 4 * len(list(worker.model.parameters()))  # AdamW counts its steps
    assert 4 * weights <= found["kept"] <= 4 * weights + counters
    assert found["bytes"] >= 0


def test_conditions_and_appended_channels_reach_the_network(worker):
    text = {"use_embedding_cfg": True, "embedding_max_length": 5, "embedding_features": 6}
    network = TINY._replace(
        arguments={**TINY.arguments, **text, "cross_attentions": [0, 1]},
        tensors={"embedding": [1, 5, 6], "append_channels": [1, 3, 32]},
        numbers={"embedding_scale": 2.0},
        append_channels=3,
    )
    plain = worker.flops("call")["flops"]
    worker.build(network._asdict(), None, make=True, device="cpu")
    view(worker, Variant("eager"))
    assert worker.sample("eager", steps=1)["seconds"] > 0
    assert worker.train("eager")["seconds"] > 0
    assert worker.flops("call")["flops"] > 2 * plain  # guidance calls twice, and attends


def test_an_error_is_an_answer(worker):
    lines = [json.dumps({"do": "sample", "view": "none", "steps": 1}), json.dumps({"do": "about"})]
    first, second = map(json.loads, answers(worker, iter(lines)))
    assert first == {"error": "KeyError", "reason": "'none'"}
    assert second["threads"] == torch.get_num_threads()


def test_compiling_is_left_to_whoever_offers_it():
    asked = []

    class Blocks(nn.Module):
        def compile_blocks(self):
            asked.append("blocks")

    class Own(nn.Module):
        def compile(self):
            asked.append("model")

    class Whole(nn.Module):
        def compile(self):
            asked.append("network")

    plain, own = nn.Module(), Own()
    plain.net, own.net = Whole(), Whole()
    compile_net(own)
    compile_net(plain)
    own.net = nn.Sequential(Blocks())
    compile_net(own)
    assert asked == ["model", "network", "blocks"]


def test_another_network_takes_the_place_of_one_that_cannot_be_copied():
    model = nn.Module()
    model.net = nn.Linear(2, 2)
    for part in ("diffusion", "sampler"):
        inner = nn.Module()
        inner.net = model.net
        setattr(model, part, inner)
    other = nn.Linear(2, 2)
    twin = with_net(model, other)
    assert twin.net is twin.diffusion.net is twin.sampler.net is other
    assert model.net is model.diffusion.net is model.sampler.net is not other


def test_a_process_answers_refuses_and_goes_on():
    side = Launcher(None, alone=True).start("ours")
    try:
        asked = side.ask("build", network=TINY._asdict(), weights=None, make=True, device="cpu")
        assert asked["parameters"] > 0
        with pytest.raises(SideError, match="KeyError"):
            side.ask("call", view="none")
        assert side.ask("about")["torch"] == torch.__version__
    finally:
        side.close()
    with pytest.raises(SideError, match="ended with status 0"):
        side.ask("about")


@pytest.mark.parametrize("small", [True, False])
def test_networks_travel_as_json(small):
    for network in networks(small):
        assert Network(**json.loads(json.dumps(network._asdict()))).shape == network.shape
