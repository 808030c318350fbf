"""Reflection of signals shorter than what they are padded by."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from audio_diffusion_pytorch.ops import reflect_pad


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("amounts", [(0, 0), (2, 0), (3, 9), (20, 7)])
def test_mirrors_as_numpy_does(length, amounts):
    x = torch.randn(2, 3, length, generator=torch.Generator().manual_seed(0))
    wanted = np.pad(x.numpy(), [(0, 0), (0, 0), amounts], mode="reflect")
    np.testing.assert_array_equal(reflect_pad(x, *amounts).numpy(), wanted)


def test_equals_torchs_reflection_where_that_works():
    x = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(reflect_pad(x, 39, 12), F.pad(x, (39, 12), mode="reflect"))
    assert reflect_pad(x[0, 0], 3, 4).shape == (47,)


def test_refuses_an_empty_signal():
    with pytest.raises(ValueError, match="at least 1 sample"):
        reflect_pad(torch.zeros(2, 0), 3, 3)
