"""What UNetV0 promises beside upstream's outputs."""

import copy
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from audio_diffusion_pytorch.nets import UNetV0

TIME = torch.tensor([0.2, 0.7])


@pytest.mark.parametrize("batch", [1, 2])
def test_every_length_from_1_to_300_comes_back_as_long(small_unet, batch):
    net = small_unet().eval()
    for length in range(1, 301) if batch == 1 else (1, 7, 8, 9, 299):
        x = torch.randn(batch, 2, length)
        with torch.no_grad():
            out = net(x, TIME[:batch])
        assert out.shape == x.shape
        assert torch.isfinite(out).all()


def test_any_length_equals_zeros_appended_and_the_result_cropped(small_unet):
    net = small_unet().eval()
    x = torch.randn(2, 2, 61)
    padded = torch.cat([x, torch.zeros(2, 2, 3)], dim=-1)
    torch.testing.assert_close(net(x, TIME), net(padded, TIME)[..., :61])


@pytest.mark.parametrize(("dim", "shape"), [(2, (5, 19)), (3, (3, 9, 2))])
def test_images_and_volumes_of_any_size(small_unet, dim, shape):
    net = small_unet(dim=dim, factors=[2, 2], out_channels=3)
    assert net(torch.randn(2, 2, *shape), TIME).shape == (2, 3, *shape)


def test_context_channels_of_any_length(small_unet):
    net = small_unet(context_channels=[0, 3])
    x = torch.randn(2, 2, 61)
    context = torch.randn(2, 3, 8)  # 61 / 8, rounded up
    out = net(x, TIME, channels=[None, context])
    assert out.shape == x.shape
    assert not torch.allclose(out, net(x, TIME, channels=[None, -context]))


def test_a_zeroed_deep_copy_differs_and_leaves_the_original_alone(small_unet):
    net = small_unet(num_classes=3).eval()
    x = torch.randn(2, 2, 32)
    before = net(x, TIME)
    twin = copy.deepcopy(net)
    assert torch.equal(twin(x, TIME), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert (twin(x, TIME) - before).abs().max() > 0.1
    assert torch.equal(net(x, TIME), before)


def test_pickle_and_safetensors_round_trips(small_unet, golden, tmp_path):
    net = small_unet(num_classes=(3, 2)).eval()
    x = torch.randn(2, 2, 32)
    assert torch.equal(pickle.loads(pickle.dumps(net))(x, TIME), net(x, TIME))
    save_file(net.state_dict(), tmp_path / "net.safetensors")  # refuses shared tensors
    other = small_unet(num_classes=(3, 2)).eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(load_file(tmp_path / "net.safetensors"))
    assert torch.equal(other(x, TIME), net(x, TIME))
    # The hook that reads upstream's weights survives copies too.
    case = golden("plain")
    fresh = pickle.loads(pickle.dumps(copy.deepcopy(UNetV0(**case.arguments))))
    fresh.load_state_dict(case.weights)
    torch.testing.assert_close(fresh(**case.inputs), case.output, atol=1e-5, rtol=0)


def test_gradient_checkpointing_changes_no_gradient(small_unet):
    gradients = []
    for checkpointing in (False, True):
        net = small_unet(gradient_checkpointing=checkpointing, num_classes=5, class_dropout=0.5)
        generator = torch.Generator().manual_seed(1)
        x = torch.linspace(-1, 1, 128).reshape(2, 2, 32)
        out = net(x, TIME, labels=torch.tensor([1, 4]), generator=generator)
        out.square().sum().backward()
        gradients.append([p.grad for p in net.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain)


def test_gradient_checkpointing_keeps_fewer_activations(small_unet):
    kept = []
    for checkpointing in (False, True):
        net = small_unet(gradient_checkpointing=checkpointing, items=[4, 4])
        saved: list[int] = []

        def pack(tensor: torch.Tensor, saved: list[int] = saved) -> torch.Tensor:
            saved.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            net(torch.randn(2, 2, 256), TIME)
        kept.append(sum(saved))
    assert kept[1] < kept[0] / 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_stay_close_to_float32(small_unet, dtype):
    net = small_unet(num_classes=4).eval()
    x, labels = torch.randn(2, 2, 37), torch.tensor([0, -1])
    reference = net(x, TIME, labels=labels)
    out = copy.deepcopy(net).to(dtype)(x.to(dtype), TIME.to(dtype), labels=labels)
    assert out.dtype == dtype
    error = (out.float() - reference).square().mean().sqrt() / reference.square().mean().sqrt()
    assert error < (0.03 if dtype == torch.bfloat16 else 1e-5)


def test_bfloat16_autocast_trains(small_unet):
    net = small_unet(
        num_classes=4, cross_attentions=[0, 1], embedding_features=6, context_channels=[1, 0]
    )
    x = torch.randn(2, 2, 37)
    cond = {"embedding": torch.randn(2, 3, 6), "channels": [torch.randn(2, 1, 19)]}
    reference = net(x, TIME, **cond)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net(x, TIME, **cond)
    assert (out.float() - reference).square().mean().sqrt() < 0.05
    out.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_compiles_as_one_graph(small_unet):
    net = small_unet(channels=[8], factors=[2], items=[1], attentions=[1], num_classes=3)
    x, labels = torch.randn(2, 2, 37), torch.tensor([0, -1])
    compiled = torch.compile(net.eval(), fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        out, expected = compiled(x, TIME, labels=labels), net(x, TIME, labels=labels)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_inductor_compiles_everything_and_trains(small_unet):
    net = small_unet(
        items=[1, 0],
        num_classes=(3, 2),
        cross_attentions=[1, 0],
        embedding_features=4,
        use_embedding_cfg=True,
        embedding_max_length=5,
        context_channels=[1, 0],
    ).eval()
    x = torch.randn(2, 2, 37)
    cond = {
        "labels": torch.tensor([[0, 1], [-1, -1]]),
        "embedding": torch.randn(2, 3, 4),
        "embedding_mask": torch.tensor([[True, True, False], [True, False, False]]),
        "channels": [torch.randn(2, 1, 19)],
    }
    compiled = torch.compile(net, fullgraph=True)
    for scale in (1.0, 3.0):
        torch.testing.assert_close(
            compiled(x, TIME, embedding_scale=scale, **cond),
            net(x, TIME, embedding_scale=scale, **cond),
            atol=1e-4,
            rtol=1e-4,
        )
    net.train()
    compiled(x, TIME, embedding_mask_proba=0.5, **cond).square().sum().backward()
    assert all(p.grad is not None for p in net.levels.parameters())


def test_items_of_a_batch_do_not_see_one_another(small_unet):
    net = small_unet(num_classes=4).eval()
    x, labels = torch.randn(2, 2, 32), torch.tensor([1, 3])
    together = net(x, TIME, labels=labels)
    alone = [net(x[i : i + 1], TIME[i : i + 1], labels=labels[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_one_time_serves_a_whole_batch(small_unet):
    net = small_unet().eval()
    x = torch.randn(2, 2, 32)
    same = torch.full((2,), 0.3)
    torch.testing.assert_close(net(x, same[:1]), net(x, same))


GOOD = {
    "dim": 1,
    "in_channels": 1,
    "channels": [8, 16],
    "factors": [1, 2],
    "items": [1, 1],
    "attention_heads": 2,
    "attention_features": 4,
}
BAD_ARGUMENTS = [
    ({"dim": 4}, "dim must be 1, 2 or 3, got 4"),
    ({"factors": [1]}, "factors must have one entry for each of the 2 levels of channels, got 1"),
    ({"attentions": [1, 0, 1]}, "attentions must have one entry .* got 3"),
    ({"channels": []}, "at least one level"),
    ({"channels": [8, 0]}, "channels must be at least 1"),
    ({"channels": [8, 12]}, r"multiples of resnet_groups=8, got \[8, 12\]"),
    ({"factors": [1, 0]}, "factors must be at least 1"),
    (
        {"attentions": [0, 1], "attention_heads": None},
        "attention_heads must be at least 1 .* got None",
    ),
    ({"cross_attentions": [0, 1]}, "need embedding_features, got None"),
    ({"use_embedding_cfg": True}, "need embedding_features, got None"),
    ({"use_embedding_cfg": True, "embedding_features": 4}, "needs embedding_max_length"),
    ({"use_modulation": False}, "use_time_conditioning needs use_modulation=True"),
    (
        {"use_modulation": False, "use_time_conditioning": False, "num_classes": 3},
        "num_classes needs use_modulation=True",
    ),
    ({"use_text_conditioning": True}, "use_text_conditioning needs cross_attentions, got none"),
    ({"num_classes": 0}, "num_classes must be one or more positive counts"),
    ({"num_classes": 3, "class_dropout": 1.5}, r"probability in 0..1, got 1.5"),
    ({"resnet_groups": 0}, "resnet_groups must be at least 1, got 0"),
    ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
    ({"attentions": [0, 1], "attention_heads": 0}, "attention_heads must be at least 1 .* got 0"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_ARGUMENTS)
def test_arguments_that_do_not_fit_are_refused_in_one_line(changes, message):
    UNetV0(**GOOD)
    with pytest.raises(ValueError, match=message) as error:
        UNetV0(**{**GOOD, **changes})
    assert "\n" not in str(error.value)


X = torch.zeros(2, 1, 16)
BAD_CALLS = [
    ({}, {"x": torch.zeros(2, 2, 16)}, r"shape \(b, 1, t\) .* got \(2, 2, 16\)"),
    ({}, {"x": torch.zeros(2, 16)}, r"shape \(b, 1, t\)"),
    ({}, {"x": torch.zeros(2, 1, 0)}, "not be empty"),
    ({}, {"time": None}, "time is missing"),
    ({}, {"time": torch.zeros(2, 1, 16)}, "a time for each position is not available yet"),
    ({}, {"time": torch.zeros(3)}, r"time must have shape \(2,\)"),
    ({}, {"time": torch.tensor(0.5)}, r"time must have shape \(2,\)"),
    ({}, {"features": torch.zeros(2, 3)}, "modulation_features=1024"),
    ({}, {"text": ["a piano"] * 2}, "text needs a network with use_text_conditioning=True"),
    ({}, {"embedding_scale": 2.0}, "use_embedding_cfg=True"),
    ({}, {"labels": torch.zeros(2).long()}, "labels need a network with num_classes"),
    ({"use_time_conditioning": False}, {}, "features are missing"),
    (
        {"use_time_conditioning": False, "use_modulation": False},
        {"features": torch.zeros(2, 1024)},
        "features need use_modulation=True",
    ),
    ({"context_channels": [0, 3]}, {}, r"channels\[1\] must have shape \(2, 3, 8\), got nothing"),
    (
        {"context_channels": [0, 3]},
        {"channels": [None, torch.zeros(2, 3, 7)]},
        r"must have shape \(2, 3, 8\), got shape \(2, 3, 7\)",
    ),
    (
        {"cross_attentions": [0, 1], "embedding_features": 4},
        {},
        r"an embedding is missing: .* \(2, n, 4\)",
    ),
    (
        {"use_embedding_cfg": True, "embedding_features": 4, "embedding_max_length": 3},
        {"embedding_scale": 2.0},
        "need a text or an embedding to act on, got none",
    ),
    (
        {"use_embedding_cfg": True, "embedding_features": 4, "embedding_max_length": 3},
        {"embedding": torch.zeros(2, 5, 4)},
        "at most 3 tokens, got 5",
    ),
    (
        {"use_embedding_cfg": True, "embedding_features": 4, "embedding_max_length": 3},
        {"embedding": torch.zeros(2, 3, 5)},
        r"embedding must have shape \(2, n, 4\), got \(2, 3, 5\)",
    ),
    (
        {"cross_attentions": [0, 1], "embedding_features": 4},
        {"embedding": torch.zeros(2, 3, 4), "embedding_mask": torch.ones(2, 4).bool()},
        r"embedding_mask must be bool of shape \(2, 3\)",
    ),
    ({}, {"embedding": torch.zeros(2, 3, 4)}, "embedding needs a network with cross_attentions"),
]


@pytest.mark.parametrize(("changes", "call", "message"), BAD_CALLS)
def test_calls_that_do_not_fit_are_refused_in_one_line(changes, call, message):
    net = UNetV0(**{**GOOD, **changes})
    inputs = {"x": X, "time": TIME, **call}
    with pytest.raises(ValueError, match=message) as error:
        net(**inputs)
    assert "\n" not in str(error.value)


@pytest.mark.gpu
def test_cuda_equals_cpu_and_trains_under_autocast(small_unet):
    net = small_unet(num_classes=4)
    x, labels = torch.randn(2, 2, 37), torch.tensor([0, -1])
    expected = net.eval()(x, TIME, labels=labels)
    net, x, labels, time = net.cuda(), x.cuda(), labels.cuda(), TIME.cuda()
    torch.testing.assert_close(
        net(x, time, labels=labels).cpu(), expected, atol=2e-3, rtol=2e-3
    )  # TensorFloat-32 convolutions
    net.train()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        out = net(x, time, labels=labels, generator=torch.Generator().manual_seed(0))
    out.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
