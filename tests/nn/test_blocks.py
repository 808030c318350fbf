"""Each block against its formula."""

import pytest
import torch
import torch.nn.functional as F

from audio_diffusion_pytorch.nn import (
    Attention,
    ConvBlock,
    Downsample,
    FixedEmbedding,
    InjectChannels,
    MergeCat,
    MergeModulate,
    Modulation,
    NumberEmbedder,
    ResnetBlock,
    TimeEmbedding,
    Upsample,
    conv_nd,
    crop_to,
    pad_to,
)

SHAPES = {1: (12,), 2: (4, 6), 3: (2, 4, 2)}


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_shapes_of_all_blocks(dim):
    size = SHAPES[dim]
    x, features = torch.randn(2, 8, *size), torch.randn(2, 5)
    assert ResnetBlock(dim, 8, 16)(x).shape == (2, 16, *size)
    assert Downsample(dim, 8, 3, 2)(x).shape == (2, 3, *(n // 2 for n in size))
    assert Upsample(dim, 8, 3, 2)(x).shape == (2, 3, *(n * 2 for n in size))
    assert Modulation(8, 5)(x, features).shape == x.shape
    assert MergeModulate(8, 5)(x, x, features).shape == x.shape
    assert MergeCat(dim, 8)(x, x).shape == x.shape
    assert InjectChannels(dim, 8, 3)(x, torch.randn(2, 3, *size)).shape == x.shape
    assert Attention(8, head_features=4, num_heads=2)(x).shape == x.shape


def test_modulation_is_a_layer_norm_scaled_and_shifted():
    x, features = torch.randn(2, 8, 5), torch.randn(2, 6)
    block = Modulation(8, 6)
    scale, shift = block.to_scale_shift(F.silu(features)).chunk(2, dim=1)
    normed = F.layer_norm(x.transpose(1, 2), (8,), eps=1e-6).transpose(1, 2)
    expected = normed * (1 + scale[..., None]) + shift[..., None]
    torch.testing.assert_close(block(x, features), expected, atol=1e-6, rtol=1e-6)


def test_modulation_is_exact_beside_a_large_offset():
    x = torch.randn(2, 8, 5)
    block, features = Modulation(8, 6), torch.randn(2, 6)
    torch.testing.assert_close(block(x + 100, features), block(x, features), atol=1e-4, rtol=1e-4)


def test_attention_is_softmax_over_all_positions():
    block = Attention(6, head_features=4, num_heads=1)
    x = torch.randn(2, 6, 5)
    sequence = x.transpose(1, 2)
    keys, values = block.to_kv(block.norm_context(sequence)).chunk(2, dim=-1)
    weights = (block.to_q(block.norm(sequence)) @ keys.transpose(1, 2) / 2).softmax(dim=-1)
    expected = x + block.to_out(weights @ values).transpose(1, 2)
    torch.testing.assert_close(block(x), expected, atol=1e-6, rtol=1e-5)


def test_attention_without_positions_commutes_with_a_permutation():
    block, order = Attention(6, head_features=4, num_heads=2), torch.randperm(9)
    x = torch.randn(1, 6, 9)
    torch.testing.assert_close(block(x)[..., order], block(x[..., order]), atol=1e-6, rtol=1e-5)


def test_heads_are_summed_over_separate_subspaces():
    # Two heads equal the sum of two single heads with the matching slices of the weights.
    both = Attention(6, head_features=4, num_heads=2)
    x = torch.randn(2, 6, 5)
    total = -x
    for head in (slice(0, 4), slice(4, 8)):
        one = Attention(6, head_features=4, num_heads=1)
        with torch.no_grad():
            one.to_q.weight.copy_(both.to_q.weight[head])
            keys, values = both.to_kv.weight.chunk(2)
            one.to_kv.weight.copy_(torch.cat([keys[head], values[head]]))
            one.to_out.weight.copy_(both.to_out.weight[:, head])
        total = total + one(x)
    torch.testing.assert_close(both(x), total, atol=1e-6, rtol=1e-5)


def test_upsampling_repeats_before_it_convolves():
    block = Upsample(1, 1, 1, 3)
    x = torch.randn(1, 1, 4)
    repeated = x.repeat_interleave(3, dim=-1)
    torch.testing.assert_close(block(x), block.conv(repeated))


def test_resnet_block_without_its_branch_is_the_identity():
    block = ResnetBlock(1, 8, 8)
    torch.nn.init.zeros_(block.block2.conv.weight)
    torch.nn.init.zeros_(block.block2.conv.bias)
    x = torch.randn(2, 8, 5)
    assert torch.equal(block(x), x)


def test_conv_block_of_a_single_value_a_group_is_its_bias():
    block = ConvBlock(1, 8, 4)
    out = block(torch.randn(1, 8, 1))
    torch.testing.assert_close(out, block.conv.bias[None, :, None])


def test_merge_cat_scales_the_skip_down():
    block = MergeCat(1, 3)
    skip, branch = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    expected = block.conv(torch.cat([skip / 2**0.5, branch], dim=1))
    torch.testing.assert_close(block(skip, branch), expected)


def test_number_embedder_is_affine_in_the_number_and_its_waves():
    block = NumberEmbedder(4, dim=6)
    x = torch.tensor([[0.1, -2.0, 0.7]])
    angle = 2 * torch.pi * x[..., None] * block.weights
    waves = torch.cat([x[..., None], angle.sin(), angle.cos()], dim=-1)
    torch.testing.assert_close(block(x), block.to_out(waves), atol=1e-6, rtol=1e-5)
    assert torch.equal(block([0.1, 0.7]), block(x[0, [0, 2]]))
    assert block(x).shape == (1, 3, 4)


def test_number_embedder_keeps_its_phase_in_half_precision():
    block, x = NumberEmbedder(4), torch.tensor([0.5, 0.75])  # exact in bfloat16
    reference = block(x)
    with torch.no_grad():
        block.weights.copy_(block.weights.bfloat16())
    exact = block(x)
    half = block.bfloat16()(x.bfloat16())
    assert (half.float() - exact).abs().max() < 0.02 * max(1.0, reference.abs().max().item())


def test_several_times_are_embedded_singly_and_summed():
    block, time = TimeEmbedding(8), torch.rand(2, 3)
    torch.testing.assert_close(block(time), sum(block(time[:, i]) for i in range(3)))


def test_fixed_embedding_depends_on_the_position_only():
    block = FixedEmbedding(5, 3)
    out = block(torch.randn(2, 4, 3))
    assert torch.equal(out, block.embedding.weight[:4].expand(2, 4, 3))


@pytest.mark.parametrize("sizes", [(5, 7), (8, 7), (5, 9), (6, 12)])
def test_cropping_undoes_padding_and_padding_is_zero(sizes):
    x = torch.randn(2, 5, 7)
    padded = pad_to(x, sizes)
    assert padded.shape == (2, *sizes)
    assert torch.equal(crop_to(padded, (5, 7)), x)
    assert padded.sum() == pytest.approx(x.sum().item(), abs=1e-4)
    assert padded[:, 5:].abs().sum() == 0
    assert padded[:, :, 7:].abs().sum() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: conv_nd(4, 1, 1, 1), "dim must be 1, 2 or 3, got 4"),
        (lambda: ConvBlock(1, 12, 8), "multiple of its 8 normalisation groups, got 12"),
        (lambda: ConvBlock(1, 8, 8, kernel_size=4), "kernel_size must be odd"),
        (lambda: NumberEmbedder(4, dim=3), "dim must be even"),
        (lambda: FixedEmbedding(2, 3)(torch.zeros(1, 3, 3)), "at most 2 tokens, got 3"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
