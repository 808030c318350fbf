"""Plugins around a network: what goes in, any length, and ordinary modules."""

import copy
import pickle
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import Generator, nn

from audio_diffusion_pytorch.nets import (
    AppendChannels,
    AppendChannelsPlugin,
    LearnedTransform,
    LTPlugin,
    UNetV0,
)

SMALL = {"channels": [8, 16], "factors": [1, 2], "items": [1, 1], "modulation_features": 8}


class Pointwise(nn.Module):
    """Mixes the channels of each place, and keeps the calls it got."""

    def __init__(self, in_channels, out_channels, dim=1, bias=True):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, 1, bias=bias)
        self.calls = []

    def forward(self, x, *args, **kwargs):
        self.calls.append((x, args, kwargs))
        return self.conv(x)

    def prepare(self, **cond):
        return {**cond, "ready": True}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def appended(channels=3):
    torch.manual_seed(0)
    return AppendChannelsPlugin(UNetV0, channels)(dim=1, in_channels=2, **SMALL)


def transformed(window=8, stride=4, **changes):
    torch.manual_seed(0)
    arguments = {"dim": 1, "in_channels": 2, **SMALL, **changes}
    return LTPlugin(UNetV0, num_filters=4, window_length=window, stride=stride)(**arguments)


def test_appended_channels_stand_behind_the_noisy_ones():
    net = AppendChannelsPlugin(Pointwise, channels=3)(in_channels=2)
    x, beside = noise(4, 2, 9), noise(4, 3, 9, seed=1)
    assert net(x, "time", append_channels=beside, labels="b").shape == (4, 2, 9)
    seen, args, kwargs = net.net.calls[0]
    assert torch.equal(seen, torch.cat([x, beside], 1))
    assert (args, kwargs) == (("time",), {"labels": "b"})


def test_the_output_is_as_wide_as_asked_for():
    net = AppendChannelsPlugin(Pointwise, channels=3)(in_channels=2, out_channels=5)
    assert net(noise(1, 2, 9), append_channels=noise(1, 3, 9)).shape == (1, 5, 9)
    net = LTPlugin(Pointwise, 4, 8, 4)(dim=1, in_channels=2, out_channels=3)
    assert net(noise(1, 2, 16)).shape == (1, 3, 16)


def test_the_signal_to_follow_takes_the_precision_of_the_noisy_one():
    net = appended().to(torch.bfloat16)
    x = noise(1, 2, 9).bfloat16()
    assert net(x, torch.ones(1).bfloat16(), append_channels=noise(1, 3, 9)).dtype == x.dtype


@pytest.mark.parametrize("shape", [(2, 3, 8), (1, 3, 9), (2, 2, 9), (2, 9)])
def test_a_signal_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"append_channels must have shape \(2, 3, 9\)"):
        appended()(noise(2, 2, 9), torch.ones(2), append_channels=noise(*shape))


@pytest.mark.parametrize(("window", "stride"), [(8, 4), (8, 8), (9, 4), (8, 3), (9, 3), (7, 6)])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 13, 64, 129])
def test_any_length_through_a_learned_transform(window, stride, length):
    net = transformed(window, stride)
    x = noise(3, 2, length).requires_grad_()
    out = net(x, torch.ones(3))
    assert out.shape == x.shape
    out.square().sum().backward()
    assert x.grad.isfinite().all() and x.grad[..., -1].abs().min() > 0


def test_filters_that_rebuild_make_the_transform_transparent():
    """A frame's own samples, undoubled: analysis and synthesis are then the identity."""
    net = LTPlugin(partial(Pointwise, bias=False), num_filters=4, window_length=8, stride=4)(
        dim=1, in_channels=1
    )
    own = torch.zeros(4, 1, 8)
    own[torch.arange(4), 0, torch.arange(4) + 2] = 1.0  # the stride in the middle of the window
    with torch.no_grad():
        net.encode.weight.copy_(own)
        net.decode.weight.copy_(own)
        net.net.conv.weight.copy_(torch.eye(4)[..., None])
    for length in (1, 4, 7, 22):
        x = noise(2, 1, length)
        torch.testing.assert_close(net(x), x)


def test_the_ends_go_on_as_a_mirror_image():
    net = LTPlugin(Pointwise, 4, 12, 4)(dim=1, in_channels=1)
    x = noise(1, 1, 16)
    net(x)
    padded = torch.nn.functional.pad(x, (4, 4), mode="reflect")
    torch.testing.assert_close(net.net.calls[0][0], net.encode(padded))


@pytest.mark.parametrize("make", [appended, transformed])
def test_copies_are_equal_and_of_their_own(make):
    net = make()
    given = {"append_channels": noise(1, 3, 9)} if make is appended else {}
    before = net(noise(1, 2, 9), torch.ones(1), **given)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(noise(1, 2, 9), torch.ones(1), **given), before)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.zero_()
        assert torch.equal(net(noise(1, 2, 9), torch.ones(1), **given), before)


def test_plugins_can_be_pickled_and_stacked():
    net_t = pickle.loads(pickle.dumps(LTPlugin(AppendChannelsPlugin(UNetV0, 3), 4, 8, 4)))
    net = net_t(dim=1, in_channels=2, **SMALL)
    assert isinstance(net, LearnedTransform) and isinstance(net.net, AppendChannels)
    # The signal to follow is for the frames there: 20 samples are 5.
    out = net(noise(1, 2, 20), torch.ones(1), append_channels=noise(1, 3, 5))
    assert out.shape == (1, 2, 20)


def test_conditioning_is_prepared_by_the_network_inside():
    net = AppendChannelsPlugin(Pointwise, 3)(in_channels=2)
    beside = noise(1, 3, 9)
    assert net.prepare(append_channels=beside, a=1) == {
        "append_channels": beside,
        "a": 1,
        "ready": True,
    }
    net = LTPlugin(Pointwise, 4, 8, 4)(dim=1, in_channels=2)
    assert net.prepare(a=1) == {"a": 1, "ready": True}
    plain = LTPlugin(lambda **kwargs: nn.Identity(), 4, 8, 4)(dim=1, in_channels=2)
    assert plain.prepare(a=1) == {"a": 1}


@pytest.mark.parametrize(
    "changes", [{"window": 3}, {"stride": 0}, {"dim": 2}, {"in_channels": 0}], ids=str
)
def test_a_learned_transform_refuses_sizes_that_cannot_be(changes):
    with pytest.raises(ValueError, match="learned transform"):
        transformed(**changes)


def test_inputs_of_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"shape \(b, 2, t\)"):
        transformed()(noise(1, 3, 9), torch.ones(1))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        AppendChannelsPlugin(UNetV0, 0)(dim=1, in_channels=2, **SMALL)


def test_keys_of_upstream_load_strictly():
    """Upstream numbers the parts of a plugin: the transform's filters, then the network."""
    for net, blocks in (
        (appended(), {"net.": "blocks.0."}),
        (transformed(), {"encode.": "blocks.0.", "decode.": "blocks.1.", "net.": "blocks.2."}),
    ):
        state = {}
        for key, value in net.state_dict().items():
            part = next(part for part in blocks if key.startswith(part))
            state[blocks[part] + key.removeprefix(part)] = value + 1
        net.load_state_dict(state)
        for value, wanted in zip(net.state_dict().values(), state.values(), strict=True):
            assert torch.equal(value, wanted)


def test_xunet_is_a_unets_and_imported_when_asked_for():
    code = (
        "import sys, audio_diffusion_pytorch.nets as nets; assert 'a_unet' not in sys.modules; "
        "from audio_diffusion_pytorch.nets import XUNet; from a_unet.apex import XUNet as theirs; "
        "assert XUNet is theirs; assert not hasattr(nets, 'YUNet')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
