"""Text through a whole model: loss, samples and guidance."""

import pytest
import torch

from audio_diffusion_pytorch import DiffusionModel, UNetV0
from audio_diffusion_pytorch.conditioning import ByteText
from audio_diffusion_pytorch.diffusion import ClassifierFreeGuidance, Rescale, StaticThreshold

SHAPE = {
    "channels": [8, 16],
    "factors": [1, 2],
    "items": [1, 1],
    "attention_heads": 2,
    "attention_features": 8,
    "modulation_features": 16,
    "cross_attentions": [0, 1],
    "use_embedding_cfg": True,
    "embedding_max_length": 16,
}
TEXTS = ["a bell", "a low note"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = ByteText(16, max_length=16, num_layers=1)
    return DiffusionModel(UNetV0, in_channels=1, text_encoder=encoder, **SHAPE)


def made(model, **kwargs):
    return model.generate(2, 24, 3, generator=torch.Generator().manual_seed(0), **kwargs)


def test_the_loss_reaches_the_encoder_and_drops_texts_for_guidance(model):
    audio = torch.randn(2, 1, 24)
    loss = model(audio, text=TEXTS, embedding_mask_proba=0.5)
    loss.backward()
    assert model.net.text_encoder.bytes.weight.grad.abs().max() > 0


def test_samples_follow_the_text(model):
    one = made(model, text=TEXTS)
    assert one.shape == (2, 1, 24)
    other = made(model, text=["a bell", "a hum"])
    torch.testing.assert_close(one[0], other[0], atol=1e-5, rtol=1e-4)
    assert (one[1] - other[1]).abs().max() > 1e-3
    assert torch.equal(made(model, text="a bell"), made(model, text=["a bell"] * 2))


def test_a_scale_moves_away_from_no_text(model):
    guided = made(model, text=TEXTS, guidance=3.0)
    inside = made(model, text=TEXTS, embedding_scale=3.0)
    torch.testing.assert_close(guided, inside, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(guided, made(model, text=TEXTS), atol=1e-3)
    torch.testing.assert_close(
        made(model, text="a bell", guidance=ClassifierFreeGuidance(3.0)),
        made(model, text="a bell", guidance=3.0),
    )


def test_negative_texts_by_guidance_and_by_the_network_are_one(model):
    outside = made(model, text=TEXTS, guidance=3.0, null_cond={"text": ["hiss"]})
    inside = made(model, text=TEXTS, negative_text="hiss", embedding_scale=3.0)
    torch.testing.assert_close(outside, inside, atol=1e-4, rtol=1e-4)
    rescaled = made(model, text=TEXTS, guidance=Rescale(ClassifierFreeGuidance(3.0)))
    assert rescaled.isfinite().all() and not torch.allclose(rescaled, outside)


def test_a_scale_without_anything_to_follow_is_refused(model):
    with pytest.raises(ValueError, match="needs labels or text to follow, got none"):
        made(model, guidance=3.0)


def test_no_text_at_all_may_be_guided_and_stays_as_it_is(model):
    """What is followed and what is moved away from are the same there."""
    plain = made(model, text=[None, None])
    torch.testing.assert_close(made(model, text=[None, None], guidance=2.0), plain)
    one = model.generate(1, 64, 1, text=[None], guidance=2.0)
    assert one.shape == (1, 1, 64) and one.isfinite().all()
    mixed = made(model, text=["a bell", None], guidance=3.0)
    torch.testing.assert_close(mixed[1], plain[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        mixed[0], made(model, text=TEXTS, guidance=3.0)[0], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"embedding_scale": 3.0}, "both guide, got embedding_scale=3 beside"),
        ({"embedding_scale": 3.0, "negative_text": "hiss"}, 'null_cond, such as {"text"'),
        ({"negative_text": "hiss"}, 'null_cond={"text": '),
    ],
)
def test_guidance_within_guidance_is_refused_in_one_line(model, given, words):
    for guidance in (2.0, Rescale(ClassifierFreeGuidance(2.0))):
        with pytest.raises(ValueError, match=words) as error:
            made(model, text=TEXTS, guidance=guidance, **given)
        assert "\n" not in str(error.value)


def test_a_bound_may_stand_beside_a_scale_of_the_network(model):
    bounded = made(model, text=TEXTS, embedding_scale=3.0, guidance=StaticThreshold(limit=0.05))
    assert bounded.abs().max() <= 0.05 < made(model, text=TEXTS, embedding_scale=3.0).abs().max()


def test_a_model_that_is_told_text_survives_saving(model, tmp_path):
    model.save_pretrained(tmp_path / "saved")
    loaded = DiffusionModel.from_pretrained(tmp_path / "saved")
    torch.testing.assert_close(made(loaded, text=TEXTS), made(model, text=TEXTS))
    assert "net.text_encoder.bytes.weight" in model.state_dict()
