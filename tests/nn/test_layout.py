"""Shortcuts of the blocks: whatever lies innermost in memory, the numbers are the same."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from audio_diffusion_pytorch.nn import (
    Attention,
    ConvBlock,
    Downsample,
    InjectChannels,
    MergeCat,
    MergeGated,
    MergeModulate,
    Modulation,
    ResnetBlock,
    Upsample,
    conv_nd,
)
from audio_diffusion_pytorch.nn.attention import project
from audio_diffusion_pytorch.nn.conv import untouched, upsample_by_phases
from audio_diffusion_pytorch.nn.layout import (
    from_rows,
    is_channels_last,
    rows_of_channels,
    to_channels_last,
)

SHAPES = {1: (12,), 2: (4, 6), 3: (2, 4, 2)}


def same(a, b):
    torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_channels_last_is_a_matter_of_strides_alone(dim):
    x = drawn(2, 8, *SHAPES[dim])
    last = to_channels_last(x)
    assert is_channels_last(last) and not is_channels_last(x)
    assert torch.equal(last, x) and last.stride(1) == 1
    assert to_channels_last(last).data_ptr() == last.data_ptr()
    assert not is_channels_last(last[:, 1:])


@pytest.mark.parametrize("channels", [8, 24, 1024])
@pytest.mark.parametrize("positions", [1, 7, 64])
def test_rows_of_channels_meet_their_vectors_and_turn_back(channels, positions):
    x, vector = to_channels_last(drawn(2, channels, positions)), drawn(2, channels)
    rows, long = rows_of_channels(x, vector)
    same(from_rows(rows * long, x), x * vector[..., None])
    assert rows.data_ptr() == x.data_ptr()


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
def test_upsampling_is_repetition_and_convolution_in_either_layout(dim, factor):
    block = Upsample(dim, 8, 4, factor).double()
    x = drawn(2, 8, *SHAPES[dim])
    long = x
    for axis in range(dim):
        long = long.repeat_interleave(factor, dim=2 + axis)
    expected = block.conv(long)
    same(block(x), expected)
    same(block(to_channels_last(x)), expected)


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_phases_of_any_factor_give_the_gradients_of_the_repeated_signal(factor, length):
    x, weight, bias = drawn(2, 6, length), drawn(5, 6, 3), drawn(5)
    leaves = [to_channels_last(x).requires_grad_(), weight.requires_grad_(), bias.requires_grad_()]
    repeated = F.conv1d(leaves[0].repeat_interleave(factor, -1), *leaves[1:], padding=1)
    phases = upsample_by_phases(*leaves, factor)
    same(phases, repeated)
    seen = drawn(*phases.shape)
    for ours, plain in zip(
        torch.autograd.grad(phases, leaves, seen),
        torch.autograd.grad(repeated, leaves, seen),
        strict=True,
    ):
        same(ours, plain)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(("batch", "features_batch"), [(1, 1), (3, 3), (3, 1)])
@pytest.mark.parametrize("channels", [8, 64])
def test_every_block_gives_the_same_output_and_gradients_in_both_layouts(
    dim, batch, features_batch, channels
):
    blocks = {
        "resnet": ResnetBlock(dim, channels, channels),
        "wider": ResnetBlock(dim, channels, 16),
        "modulation": Modulation(channels, 5),
        "down": Downsample(dim, channels, 3, 2),
        "up": Upsample(dim, channels, 3, 4),
        "merge": MergeModulate(channels, 5),
        "gated": MergeGated(channels, 5),
        "cat": MergeCat(dim, channels),
        "inject": InjectChannels(dim, channels, channels),
        "attention": Attention(channels, head_features=4, num_heads=2),
    }
    size = tuple(4 * n for n in SHAPES[dim][:1]) + SHAPES[dim][1:]
    x, features = drawn(batch, channels, *size), drawn(features_batch, 5)
    arguments = {
        "modulation": lambda x: (x, features),
        "merge": lambda x: (x, x.flip(-1).clone(), features),
        "gated": lambda x: (x, x * 2, features),
        "cat": lambda x: (x, x * 2),
        "inject": lambda x: (x, x.detach() * 2),
    }
    nn.init.normal_(blocks["gated"].to_gain.weight)
    for name, block in blocks.items():
        block.double()
        answers = []
        for layout in (torch.Tensor.contiguous, to_channels_last):
            leaf = layout(x).requires_grad_()
            out = block(*arguments.get(name, lambda x: (x,))(leaf))
            weight = torch.linspace(-1, 1, out.numel()).double().reshape(out.shape)
            grads = torch.autograd.grad((out * weight).sum(), [leaf, *block.parameters()])
            with torch.no_grad():
                same(block(*arguments.get(name, lambda x: (x,))(layout(x))), out)
            answers.append([out, *grads])
        for first, last in zip(*answers, strict=True):
            same(last, first)


def plain_conv_block(block, x, plus=None):
    normed = F.group_norm(
        x, block.norm.num_groups, block.norm.weight, block.norm.bias, block.norm.eps
    )
    out = block.conv(F.silu(normed))
    return out if plus is None else out + plus


@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, to_channels_last])
@pytest.mark.parametrize("groups", [2, 8])
def test_conv_block_has_the_gradients_of_its_formula(layout, groups):
    block = ConvBlock(1, 8, 4, groups=groups).double()
    nn.init.normal_(block.norm.weight)
    x, plus = layout(drawn(2, 8, 16)).requires_grad_(), drawn(2, 4, 16).requires_grad_()
    leaves = [x, plus, *block.parameters()]
    seen = drawn(2, 4, 16)
    ours = torch.autograd.grad(block(x, plus), leaves, seen)
    for got, wanted in zip(
        ours, torch.autograd.grad(plain_conv_block(block, x, plus), leaves, seen), strict=True
    ):
        same(got, wanted)
    parameters = dict(block.named_parameters())

    def call(x, plus, *values):
        return torch.func.functional_call(
            block, dict(zip(parameters, values, strict=True)), (x, plus)
        )

    short = [layout(drawn(2, 8, 4)).requires_grad_(), drawn(2, 4, 4).requires_grad_()]
    weights = [value.detach().clone().requires_grad_() for value in parameters.values()]
    assert torch.autograd.gradcheck(call, [*short, *weights])
    assert torch.autograd.gradgradcheck(call, [*short, *weights])


def test_conv_block_keeps_no_more_than_its_input():
    block, x = ConvBlock(1, 8, 8), torch.randn(2, 8, 4096, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        block(x)
    assert sum(kept) < 1.1 * x.numel()


def test_conv_block_asks_only_for_the_gradients_that_are_wanted():
    block, x = ConvBlock(1, 8, 8), torch.randn(2, 8, 9)
    block.requires_grad_(False)
    block.conv.bias.requires_grad_()
    block(x).sum().backward()
    same(block.conv.bias.grad, torch.full((8,), 18.0))
    assert block.conv.weight.grad is None and block.norm.weight.grad is None


def test_conv_block_under_torch_func_and_forward_derivatives():
    block = ConvBlock(1, 8, 8).double()
    x, tangent = drawn(2, 8, 9), drawn(2, 8, 9)
    _, moved = torch.func.jvp(block, (x,), (tangent,))
    step = 1e-6
    numeric = (block(x + step * tangent) - block(x - step * tangent)) / (2 * step)
    torch.testing.assert_close(moved, numeric, atol=1e-6, rtol=1e-6)
    same(torch.func.vmap(lambda x: block(x[None])[0], randomness="error")(x), block(x))


def test_conv_block_trains_under_autocast_as_its_formula_does():
    block = ConvBlock(1, 16, 16)
    for x in (torch.randn(2, 16, 32), to_channels_last(torch.randn(2, 16, 32))):
        answers = []
        for call in (block, lambda x, plus: plain_conv_block(block, x, plus)):
            leaf = x.clone().requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out = call(leaf, leaf)
            assert out.dtype == torch.float32  # as the shortcut
            grads = torch.autograd.grad(out.square().mean(), [leaf, *block.parameters()])
            assert [g.dtype for g in grads] == [torch.float32] * len(grads)
            answers.append([out, *grads])
        for ours, plain in zip(*answers, strict=True):
            assert (ours - plain).norm() <= 0.02 * plain.norm()


def test_conv_block_does_not_hide_from_hooks_and_wrappers():
    block, seen = ConvBlock(1, 8, 8), []
    assert untouched(block.norm, block.conv)
    block.conv.register_forward_hook(lambda *_: seen.append(1))
    block(torch.randn(1, 8, 4))
    assert seen == [1]
    other = ConvBlock(1, 8, 8)
    nn.utils.parametrizations.weight_norm(other.conv)
    assert not untouched(other.conv)
    other(torch.randn(1, 8, 4)).sum().backward()


def test_conv_block_is_the_same_after_a_deep_copy_and_when_compiled():
    block, x = ConvBlock(1, 8, 8), torch.randn(2, 8, 16, requires_grad=True)
    twin = copy.deepcopy(block)
    assert torch.equal(twin(x), block(x))
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    expected, found = (torch.autograd.grad(f(x).square().sum(), x)[0] for f in (block, compiled))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_flat_convolution_is_that_of_torch(kernel):
    conv = conv_nd(1, 6, 5, kernel, padding=kernel // 2).double()
    x = drawn(2, 6, 7)
    out = conv(to_channels_last(x))
    same(out, F.conv1d(x, conv.weight, conv.bias, padding=kernel // 2))
    assert is_channels_last(out)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("tokens", [3, 64])
def test_projection_is_the_linear_layer(bias, tokens):
    linear, x = nn.Linear(12, 20, bias=bias), torch.randn(2, tokens, 12)
    torch.testing.assert_close(project(x, linear), F.linear(x, linear.weight, linear.bias))
