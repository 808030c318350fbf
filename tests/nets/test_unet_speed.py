"""What makes UNetV0 fast changes nothing that it says."""

import copy
import pickle

import pytest
import torch

from audio_diffusion_pytorch.diffusion import (
    ClassifierFreeGuidance,
    DiffusionSampler,
    VDiffusion,
    VSampler,
)
from audio_diffusion_pytorch.diffusion.guidance import Interval
from audio_diffusion_pytorch.nets import UNetV0
from audio_diffusion_pytorch.nn import layout

TIME = torch.tensor([0.2, 0.7])


@pytest.fixture
def conditioned_unet(small_unet):
    """A network with every kind of conditioning, and what it may be told."""

    def make(**changes):
        net = small_unet(
            channels=[8, 16, 16],
            factors=[2, 4, 1],
            items=[1, 2, 1],
            attentions=[0, 1, 0],
            cross_attentions=[0, 1, 2],
            context_channels=[3, 0, 2],
            embedding_features=6,
            use_embedding_cfg=True,
            embedding_max_length=5,
            num_classes=3,
            **changes,
        ).eval()
        cond = {
            "embedding": torch.randn(2, 4, 6),
            "embedding_mask": torch.tensor([[True, True, False, True], [False] * 4]),
            "channels": [torch.randn(2, 3, 19), None, torch.randn(2, 2, 5)],
            "labels": torch.tensor([0, 2]),
        }
        return net, cond

    return make


def count_calls(module):
    calls = []
    module.register_forward_hook(lambda _module, inputs, _out: calls.append(len(inputs[0])))
    return calls


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_layout_changes_neither_outputs_nor_gradients(dim, small_unet, monkeypatch):
    shape = {1: (64,), 2: (8, 24), 3: (4, 4, 8)}[dim]
    net = small_unet(dim=dim, factors=[2, 2], items=[1, 2], context_channels=[0, 2]).double()
    x = torch.randn(2, 2, *shape, dtype=torch.float64, requires_grad=True)
    context = torch.randn(2, 2, *(size // 4 for size in shape), dtype=torch.float64)
    answers = []
    for threshold in (0, 3, 10**9):  # all levels channels last, the outer one, none
        monkeypatch.setattr(layout, "POSITIONS_PER_CHANNEL", threshold)
        out = net(x, TIME.double(), channels=[None, context])
        with torch.no_grad():
            torch.testing.assert_close(net(x, TIME.double(), channels=[None, context]), out)
        assert out.is_contiguous()
        leaves = [x, *net.parameters()]
        answers.append([out, *torch.autograd.grad(out.square().mean(), leaves)])
    for one, other, last in zip(*answers, strict=True):
        torch.testing.assert_close(one, last, atol=1e-10, rtol=1e-8)
        torch.testing.assert_close(other, last, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("length", [37, 38])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_prepared_conditions_say_the_same(conditioned_unet, length, scale):
    net, cond = conditioned_unet()
    cond |= {"embedding_scale": scale}
    if scale != 1.0:
        cond |= {"negative_embedding": torch.randn(1, 2, 6)}
    ready = net.prepare(**cond)
    assert set(ready) == {"labels", "prepared"}
    for _ in range(2):
        x = torch.randn(2, 2, length)
        torch.testing.assert_close(net(x, TIME, **ready), net(x, TIME, **cond))
    assert net.prepare(**ready) == ready


def test_guidance_inside_is_two_calls_and_doubles_no_level_before_the_tokens(conditioned_unet):
    net, cond = conditioned_unet()
    x, null = torch.randn(2, 2, 37), net.null_embedding.embedding.weight.expand(2, -1, -1)
    batches = [count_calls(level.down) for level in net.levels]
    guided = net(x, TIME, embedding_scale=3.0, **cond)
    assert batches == [[2], [4], [4]]
    one = net(x, TIME, **cond)
    other = net(x, TIME, **{**cond, "embedding": null, "embedding_mask": None})
    torch.testing.assert_close(guided, other + 3 * (one - other), atol=1e-5, rtol=1e-5)


def test_guidance_of_a_network_that_attends_to_nothing_is_the_plain_answer(small_unet):
    net = small_unet(embedding_features=4, use_embedding_cfg=True, embedding_max_length=3).eval()
    x, embedding = torch.randn(2, 2, 32), torch.randn(2, 3, 4)
    plain = net(x, TIME, embedding=embedding)
    torch.testing.assert_close(net(x, TIME, embedding=embedding, embedding_scale=4.0), plain)


@pytest.mark.parametrize("guidance", [None, ClassifierFreeGuidance(2.0)])
@pytest.mark.parametrize("general", [False, True])
def test_samplers_compute_keys_and_values_once(conditioned_unet, guidance, general):
    net, cond = conditioned_unet()
    null = {"labels": torch.full((2,), -1), "embedding": torch.zeros(1, 4, 6)}
    sampler = DiffusionSampler(VDiffusion(net)) if general else VSampler(net)
    calls = count_calls(net.levels[1].items_up[0].cross_attentions[0].norm_context)
    noise = torch.randn(2, 2, 38)
    options = {} if guidance is None else {"guidance": guidance, "null_cond": null}
    with torch.no_grad():
        made = sampler(noise, 4, **options, **cond)
    assert calls == [2 if guidance is None else 4]
    # The same without: a network that does not say it can prepare.
    stubborn = copy.deepcopy(net)
    stubborn.prepare = None
    plain = DiffusionSampler(VDiffusion(stubborn)) if general else VSampler(stubborn)
    with torch.no_grad():
        torch.testing.assert_close(plain(noise, 4, **options, **cond), made)


def test_each_side_of_an_interval_prepares_its_own_condition(conditioned_unet):
    net, cond = conditioned_unet()
    calls = count_calls(net.levels[1].items_up[0].cross_attentions[0].norm_context)
    guidance = Interval(ClassifierFreeGuidance(2.0), 0.3, 0.8)
    null = {"embedding": torch.zeros(1, 4, 6)}
    VSampler(net)(torch.randn(2, 2, 38), 6, guidance=guidance, null_cond=null, **cond)
    assert sorted(calls) == [2, 4]


def test_nothing_is_prepared_in_training_mode_or_without_a_batch_size(conditioned_unet):
    net, cond = conditioned_unet()
    assert net.prepare(embedding_scale=2.0) == {"embedding_scale": 2.0}
    assert net.prepare() == {}
    assert net.train().prepare(**cond) == cond


def test_prepared_conditions_refuse_what_they_are_not_for(conditioned_unet):
    net, cond = conditioned_unet()
    ready = net.prepare(**cond)
    del ready["labels"]
    with pytest.raises(ValueError, match="for a batch of 2, got a signal of 3"):
        net(torch.randn(3, 2, 38), torch.rand(3), **ready)
    with pytest.raises(ValueError, match=r"channels\[0\] must have shape \(2, 3, 40\)"):
        net(torch.randn(2, 2, 80), TIME, **ready)
    with pytest.raises(ValueError, match="prepared holds tokens"):
        net(torch.randn(2, 2, 38), TIME, embedding=cond["embedding"], **ready)
    with pytest.raises(ValueError, match="embedding must have shape"):
        net.prepare(embedding=torch.randn(2, 4, 5), labels=cond["labels"])


def counting_backend(graphs):
    def backend(module, _inputs):
        graphs.append(module)
        return module.forward

    return backend


def test_items_of_one_shape_are_compiled_once(small_unet):
    net = small_unet(items=[3, 2]).eval()
    x, graphs = torch.randn(1, 2, 64), []
    expected = net(x, TIME[:1])
    net.compile_blocks(backend=counting_backend(graphs))
    with torch.no_grad():
        torch.testing.assert_close(net(x, TIME[:1]), expected)
        assert len(graphs) == 2  # of ten items
        net(x, TIME[:1])
    assert len(graphs) == 2


@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_items_have_the_same_gradients(small_unet, checkpointing):
    net = small_unet(cross_attentions=[0, 1], embedding_features=4)
    net.set_gradient_checkpointing(checkpointing)
    x, graphs, cond = torch.randn(2, 2, 37), [], {"embedding": torch.randn(2, 3, 4)}
    leaves = list(net.parameters())
    expected = torch.autograd.grad(net(x, TIME, **cond).square().mean(), leaves)
    net.compile_blocks(backend=counting_backend(graphs))
    found = torch.autograd.grad(net(x, TIME, **cond).square().mean(), leaves)
    assert graphs
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_compiled_network_copies_and_pickles_as_a_plain_one(small_unet):
    net, graphs = small_unet().eval(), []
    net.compile_blocks(backend=counting_backend(graphs))
    x = torch.randn(1, 2, 64)
    expected, made = net(x, TIME[:1]), len(graphs)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        torch.testing.assert_close(twin(x, TIME[:1]), expected)
    assert len(graphs) == made


def test_without_a_compiler_the_error_is_a_sentence(small_unet, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(FileNotFoundError, match="needs a C\\+\\+ compiler, found none") as error:
        small_unet().compile_blocks()
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_inductor_compiles_the_items_and_trains(small_unet):
    net = small_unet(cross_attentions=[0, 1], embedding_features=4, context_channels=[0, 2]).eval()
    x, leaves = torch.randn(2, 2, 37), list(net.parameters())
    cond = {"embedding": torch.randn(2, 3, 4), "channels": [None, torch.randn(2, 2, 5)]}
    out = net(x, TIME, **cond)
    expected = [out, *torch.autograd.grad(out.square().mean(), leaves)]
    net.compile_blocks()
    with torch.no_grad():
        ready = net.prepare(**cond)
        torch.testing.assert_close(net(x, TIME, **ready), expected[0], atol=1e-5, rtol=1e-5)
    out = net(x, TIME, **cond)
    found = [out, *torch.autograd.grad(out.square().mean(), leaves)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_checkpointing_keeps_the_inputs_of_items_alone():
    shape = {"channels": [8, 16], "factors": [1, 4], "items": [2, 2], "attentions": [0, 1]}
    kept = {}
    for checkpointing in (False, True):
        net = UNetV0(
            dim=1,
            in_channels=1,
            **shape,
            attention_heads=2,
            attention_features=8,
            gradient_checkpointing=checkpointing,
        )
        own, sizes = {p.data_ptr() for p in net.parameters()}, []

        def pack(tensor, own=own, sizes=sizes):
            if tensor.data_ptr() not in own:
                sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            net(torch.randn(1, 1, 4096), TIME[:1])
        kept[checkpointing] = sum(sizes)
    assert kept[True] < kept[False] / 2
