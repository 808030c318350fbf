"""Upstream's helpers do what they did: the values they are used for, and the odd ones."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from audio_diffusion_pytorch import diffusion, utils


def test_closest_power_2_is_the_nearest_and_the_lower_of_two_as_near():
    for x in range(1, 3000):
        powers = [2**n for n in range(14)]
        assert utils.closest_power_2(x) == min(powers, key=lambda power: (abs(power - x), power))
    assert utils.closest_power_2(768) == 512  # upstream decoded 768 samples as 512 or 1024 (no. 7)
    assert utils.closest_power_2(0.3) == 0.25
    with pytest.raises(ValueError, match="above 0"):
        utils.closest_power_2(0)


def test_default_calls_plain_functions_only():
    assert utils.default(0, 5) == 0  # 0 is a value
    assert utils.default(None, 5) == 5
    assert utils.default(None, lambda: 5) == 5
    assert utils.default(None, dict) is dict  # a class is a value, as it was
    half = partial(int, 5)
    assert utils.default(None, half) is half


def test_questions_and_lists():
    assert utils.exists(0) and not utils.exists(None)
    assert utils.iff(True, 3) == 3 and utils.iff(False, 3) is None
    assert utils.is_sequence([1]) and utils.is_sequence((1,)) and not utils.is_sequence("ab")
    held = [1, 2]
    assert utils.to_list(held) is held
    assert utils.to_list((1, 2)) == [1, 2] and utils.to_list("ab") == ["ab"]
    assert utils.prod([2, 3, 4]) == 24


def test_arguments_are_parted_by_prefix():
    arguments = {"mel_n_fft": 1, "channels": 2, "mel_": 3, "a_mel_": 4}
    assert utils.groupby("mel_", arguments) == ({"n_fft": 1, "": 3}, {"channels": 2, "a_mel_": 4})
    kept = {"mel_n_fft": 1, "mel_": 3}
    assert utils.groupby("mel_", arguments, keep_prefix=True)[0] == kept
    assert utils.group_dict_by_prefix("mel_", arguments)[0] == kept
    assert utils.prefix_dict("net_", {"a": 1, 2: 3}) == {"net_a": 1, "net_2": 3}
    assert utils.groupby("", arguments) == (arguments, {})


def test_randn_like_draws_as_torch_does_and_takes_the_dtype_of_the_tensor():
    x = torch.zeros(2, 3, 4, dtype=torch.float64)
    drawn = utils.randn_like(x, generator=torch.Generator().manual_seed(5))
    wanted = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(5))
    assert drawn.dtype == torch.float64
    assert torch.equal(drawn, wanted.double())


@pytest.mark.gpu
def test_randn_like_takes_a_generator_of_any_device():
    x = torch.zeros(2, 3, device="cuda")
    for device in ("cpu", "cuda"):
        generator = torch.Generator(device).manual_seed(5)
        drawn = utils.randn_like(x, generator=generator)
        wanted = torch.randn(2, 3, generator=torch.Generator(device).manual_seed(5), device=device)
        assert drawn.is_cuda and torch.equal(drawn.cpu(), wanted.cpu())


def test_axes_are_appended():
    x = torch.zeros(3)
    assert diffusion.extend_dim(x, dim=4).shape == (3, 1, 1, 1)
    assert diffusion.extend_dim(x, dim=1).shape == (3,)
    assert diffusion.pad_dims(x, ndim=2).shape == (3, 1, 1)
    assert diffusion.extend_dim(x, dim=3).data_ptr() == x.data_ptr()  # a view, as it was


def test_clip_is_static_or_dynamic():
    x = torch.tensor([[[0.5, -3.0, 1.0, 2.0]], [[0.1, 0.2, 0.3, -0.4]]])
    assert torch.equal(diffusion.clip(x), x.clamp(-1, 1))
    dynamic = diffusion.clip(x, dynamic_threshold=0.5)
    torch.testing.assert_close(dynamic[0], x[0].clamp(-1.5, 1.5) / 1.5)  # the median of 0.5 1 2 3
    assert torch.equal(dynamic[1], x[1])  # quiet items stay as they are


def test_levels_of_every_part_that_had_them():
    """Upstream's `get_alpha_beta`: a quarter of a circle, for times of any shape."""
    net = torch.nn.Identity()
    times = torch.rand(2, 1, 5)
    wanted = torch.cos(times * torch.pi / 2), torch.sin(times * torch.pi / 2)
    for part in (
        diffusion.VDiffusion(net),
        diffusion.VSampler(net),
        diffusion.VInpainter(net),
        diffusion.ARVDiffusion(net, length=4, num_splits=2),
        diffusion.ARVSampler(net, in_channels=1, length=4, num_splits=2),
    ):
        torch.testing.assert_close(part.get_alpha_beta(times), wanted)
