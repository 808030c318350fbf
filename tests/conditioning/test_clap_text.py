"""ClapText: words, or a whole text as one point, with a tokenizer made on the spot."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    ClapTextConfig,
    ClapTextModel,
    ClapTextModelWithProjection,
    PreTrainedTokenizerFast,
)

from audio_diffusion_pytorch.conditioning import ClapText

TEXTS = ["a bell", "a low piano note in a hall"]
WORDS = ["<s>", "<pad>", "</s>", "<unk>", "a", "bell", "low", "piano", "note", "in", "hall"]


@pytest.fixture
def tiny_clap():
    """Make a `(tokenizer, transformer)` of 16 features that go to a point of 8."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )

    def make(kind: type) -> tuple[PreTrainedTokenizerFast, torch.nn.Module]:
        torch.manual_seed(0)
        config = ClapTextConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            projection_dim=8,
        )
        return tokenizer, kind(config)

    return make


def test_each_word_is_a_token_and_padding_none(tiny_clap):
    encoder = ClapText(tiny_clap(ClapTextModel))
    embedding, mask = encoder(TEXTS)
    assert encoder.embedding_features == 16
    assert embedding.shape == (2, 9, 16)
    assert mask.sum(dim=1).tolist() == [4, 9]
    alone, _ = ClapText(tiny_clap(ClapTextModel))(TEXTS[:1])
    torch.testing.assert_close(alone[0], embedding[0, :4])


@pytest.mark.parametrize("cache_size", [0, 10])
def test_pooled_texts_are_one_token_each(tiny_clap, cache_size):
    tokenizer, transformer = tiny_clap(ClapTextModelWithProjection)
    encoder = ClapText((tokenizer, transformer), pooled=True, cache_size=cache_size)
    embedding, mask = encoder(TEXTS)
    assert encoder.embedding_features == 8
    assert embedding.shape == (2, 1, 8) and mask.all() and mask.shape == (2, 1)
    ids = tokenizer(TEXTS, padding=True, return_tensors="pt")
    expected = transformer.eval()(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"])[
        "text_embeds"
    ]
    torch.testing.assert_close(embedding[:, 0], expected)


@pytest.mark.parametrize("pooled", [False, True])
def test_a_model_by_name_equals_the_ready_one(tiny_clap, tmp_path, pooled):
    parts = tiny_clap(ClapTextModelWithProjection if pooled else ClapTextModel)
    for part in parts:
        part.save_pretrained(tmp_path)
    named = ClapText(str(tmp_path), pooled=pooled)
    assert named.embedding_features == (8 if pooled else 16)
    torch.testing.assert_close(named(TEXTS)[0], ClapText(parts, pooled=pooled)(TEXTS)[0])
