"""Tokens, guidance and labels of UNetV0."""

import pytest
import torch

TIME = torch.tensor([0.2, 0.7])
TOKENS = {"cross_attentions": [0, 1], "embedding_features": 6}
GUIDANCE = {**TOKENS, "use_embedding_cfg": True, "embedding_max_length": 9}


@pytest.fixture
def x():
    return torch.randn(2, 2, 32)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_padding_tokens_have_no_effect(small_unet, x, scale):
    net = small_unet(**GUIDANCE).eval()
    tokens = torch.randn(2, 4, 6)
    padded = torch.cat([tokens, 100 * torch.randn(2, 3, 6)], dim=1)
    mask = torch.arange(7).expand(2, 7) < 4
    out = net(x, TIME, embedding=padded, embedding_mask=mask, embedding_scale=scale)
    short = net(x, TIME, embedding=tokens, embedding_mask=mask[:, :4], embedding_scale=scale)
    torch.testing.assert_close(out, short, atol=1e-5, rtol=1e-5)
    seen = net(x, TIME, embedding=padded, embedding_scale=scale)
    assert (seen - short).abs().max() > 1e-4


def test_an_item_without_any_real_token_is_finite_and_ignores_them(small_unet, x):
    net = small_unet(**TOKENS)
    mask = torch.tensor([[True, False], [False, False]])
    tokens = torch.randn(2, 2, 6)
    first = net(x, TIME, embedding=tokens, embedding_mask=mask)
    second = net(
        x, TIME, embedding=tokens * torch.tensor([1.0, 5.0])[:, None, None], embedding_mask=mask
    )
    assert torch.equal(first, second)
    first.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_guidance_extrapolates_from_the_null_embedding_in_one_call(small_unet, x):
    net = small_unet(**GUIDANCE, num_classes=3, context_channels=[1, 0]).eval()
    cond = {
        "labels": torch.tensor([0, 2]),
        "channels": [torch.randn(2, 1, 16)],
        "features": torch.randn(2, 32),
    }
    tokens = torch.randn(2, 4, 6)
    calls = []
    handle = net.levels[0].down.register_forward_hook(lambda *_: calls.append(1))
    guided = net(x, TIME, embedding=tokens, embedding_scale=2.5, **cond)
    assert len(calls) == 1
    handle.remove()
    conditional = net(x, TIME, embedding=tokens, **cond)
    null = net(x, TIME, embedding=net.null_embedding(tokens), **cond)
    torch.testing.assert_close(guided, null + 2.5 * (conditional - null), atol=1e-5, rtol=1e-5)


def test_embedding_mask_draws_follow_the_generator(small_unet, x):
    net = small_unet(**GUIDANCE)
    x, tokens, time = x[:1].expand(64, -1, -1), torch.randn(1, 4, 6).expand(64, -1, -1), TIME[:1]

    def run(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return net(
            x, time, embedding=tokens, embedding_mask_proba=0.5, generator=generator
        ).detach()

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))
    null = net(x[:1], time, embedding=tokens[:1], embedding_mask_proba=1.0)
    share = ((run(0) - null).abs().amax(dim=(1, 2)) < 1e-5).float().mean()
    assert 0.25 < share < 0.75


def test_labels_change_the_output_and_minus_one_is_no_label(small_unet, x):
    net = small_unet(num_classes=(5, 3)).eval()
    labels = torch.tensor([[0, 1], [4, 2]])
    out = net(x, TIME, labels=labels)
    for other in ([[1, 1], [3, 2]], [[0, 2], [4, 1]], [[0, -1], [4, -1]]):
        assert (net(x, TIME, labels=torch.tensor(other)) - out).abs().max() > 1e-3
    assert torch.equal(net(x, TIME), net(x, TIME, labels=torch.full((2, 2), -1)))


def test_a_single_label_column_may_be_flat(small_unet, x):
    net = small_unet(num_classes=5).eval()
    labels = torch.tensor([0, 4])
    assert torch.equal(net(x, TIME, labels=labels), net(x, TIME, labels=labels[:, None]))


def test_labels_add_nothing_to_a_network_without_classes(small_unet):
    plain, labelled = small_unet(), small_unet(num_classes=(5, 3))
    extra = set(labelled.state_dict()) - set(plain.state_dict())
    assert extra
    assert all(name.startswith("class_embedding.") for name in extra)


def test_labels_are_dropped_in_training_mode_only(small_unet, x):
    net = small_unet(num_classes=5, class_dropout=1.0)
    labels = torch.tensor([0, 4])
    assert torch.equal(net(x, TIME, labels=labels), net(x, TIME))
    net.eval()
    assert not torch.allclose(net(x, TIME, labels=labels), net(x, TIME))


def test_a_network_learns_to_follow_its_labels(small_unet):
    # The target is decided by the label alone, through the modulation alone.
    net = small_unet(in_channels=1, attentions=[0, 0], num_classes=(4, 2), class_dropout=0.0)
    table = torch.randn(4, 1, 1) * torch.ones(1, 1, 16)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        labels = torch.stack([torch.randint(4, (16,)), torch.randint(2, (16,))], dim=1)
        target = table[labels[:, 0]] * (1 - 2 * labels[:, 1])[:, None, None]
        loss = (net(torch.randn(16, 1, 16), torch.rand(16), labels=labels) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # A tenth of the second labels is dropped, which no network can make good.
    assert sum(losses[-20:]) < 0.35 * sum(losses[:20])
