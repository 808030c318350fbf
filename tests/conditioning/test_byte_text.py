"""ByteText: a text encoder that is learnt along with the network."""

import copy
import warnings

import pytest
import torch

from audio_diffusion_pytorch.conditioning import ByteText, TextEncoder


def test_tokens_are_the_bytes_and_an_end_mark():
    encoder = ByteText(16)
    embedding, mask = encoder(["ab", "", "é"])
    assert embedding.shape == (3, 3, 16)
    assert mask.tolist() == [[True] * 3, [True, False, False], [True] * 3]  # é has two bytes
    assert isinstance(encoder, TextEncoder) and encoder.embedding_features == 16


@pytest.mark.parametrize("num_layers", [0, 2])
@pytest.mark.parametrize("training", [False, True])
def test_a_text_does_not_see_the_rest_of_the_batch(num_layers, training):
    encoder = ByteText(16, num_layers=num_layers).train(training)
    texts = ["low", "a very high note"]
    embedding, mask = encoder(texts)
    for text, tokens, real in zip(texts, embedding, mask, strict=True):
        torch.testing.assert_close(encoder([text])[0][0], tokens[real], atol=1e-5, rtol=1e-5)


def test_evaluation_without_gradients_gives_the_same_numbers():
    encoder = ByteText(16)
    texts = ["low", "a very high note"]
    embedding, mask = encoder(texts)
    with torch.no_grad():
        faster, _ = encoder.eval()(texts)
    torch.testing.assert_close(faster[mask], embedding[mask], atol=1e-5, rtol=1e-5)


def test_order_matters_and_layers_let_letters_see_one_another():
    encoder = ByteText(16)
    one, other = encoder(["ab", "ba"])[0].detach()
    assert (one.sum(dim=0) - other.sum(dim=0)).abs().max() > 1e-2
    first, second = encoder(["ab", "ac"])[0].detach()
    assert (first[0] - second[0]).abs().max() > 1e-3  # the same letter beside another


def test_it_is_part_of_the_weights_and_copies_are_independent():
    encoder = ByteText(16)
    twin = copy.deepcopy(encoder)
    before = encoder(["a"])[0].detach()
    with torch.no_grad():
        twin.bytes.weight.zero_()
    assert torch.equal(encoder(["a"])[0], before)
    other = ByteText(16)
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(other(["a"])[0], before)


def test_long_texts_are_cut_with_one_warning():
    encoder = ByteText(16, max_length=4)
    with pytest.warns(UserWarning, match="2 of 3 texts .* max_length=4 tokens: 5 tokens were cut"):
        _, mask = encoder(["abcd", "abc", "abcdefgh"])
    assert mask.sum(dim=1).tolist() == [4, 4, 4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut, _ = encoder(["abcdefgh"])
    torch.testing.assert_close(cut, encoder(["abc"])[0])  # the end mark is always the last


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding_features": 0}, "must be at least 1"),
        ({"max_length": 0}, "must be at least 1"),
        ({"num_layers": -1}, "num_layers at least 0"),
        ({"embedding_features": 10, "num_heads": 4}, "multiple of num_heads=4, got 10"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ByteText(**arguments)


def test_it_learns_to_tell_texts_apart():
    encoder = ByteText(32)
    texts = [f"note {number:03d}" for number in range(16)]
    head = torch.nn.Linear(32, 16)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    for _ in range(80):
        loss = torch.nn.functional.cross_entropy(
            head(encoder(texts)[0].mean(dim=1)), torch.arange(16)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5  # 2.8 for knowing nothing
