import pytest
import torch

from audio_diffusion_pytorch.nn import ClassEmbedding

MANY = 20_000


def kept(embedding: ClassEmbedding, seed: int = 0) -> torch.Tensor:
    """Which labels (items, columns) survive one call in training mode, read off the tables."""
    rows: list[torch.Tensor] = []
    handles = [
        table.register_forward_pre_hook(lambda _m, args: rows.append(args[0]))
        for table in embedding.tables
    ]
    labels = torch.zeros(MANY, len(embedding.tables), dtype=torch.long)
    embedding(torch.zeros(MANY, 4), labels, generator=torch.Generator().manual_seed(seed))
    for handle in handles:
        handle.remove()
    return torch.stack(rows, dim=1) == 0


def test_dropout_rates_of_items_and_columns():
    alive = kept(ClassEmbedding((1, 1, 1), 4, dropout=0.2, column_dropout=0.3))
    assert alive[:, 0].float().mean() == pytest.approx(0.8, abs=0.01)
    assert alive[:, 1].float().mean() == pytest.approx(0.8 * 0.7, abs=0.015)
    assert alive[:, 1:].all(dim=1).float().mean() == pytest.approx(0.8 * 0.49, abs=0.015)
    assert not alive[~alive[:, 0]].any()  # without the first label there is none


def test_draws_follow_the_generator():
    embedding = ClassEmbedding((1, 1), 4)
    assert torch.equal(kept(embedding, 0), kept(embedding, 0))
    assert not torch.equal(kept(embedding, 0), kept(embedding, 1))


def test_evaluation_drops_nothing():
    assert kept(ClassEmbedding((1, 1), 4, dropout=0.9, column_dropout=0.9).eval()).all()


def test_the_effect_of_a_label_depends_on_the_features():
    embedding = ClassEmbedding(2, 16).eval()
    features = torch.randn(2, 16)
    effect = embedding(features, torch.tensor([1, 1])) - embedding(features, torch.tensor([0, 0]))
    assert (effect[0] - effect[1]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[0, 3], [0, 0]]), r"-1\.\.4, -1\.\.2 .*got 3 in column 1"),
        (torch.tensor([[5, 0], [0, 0]]), r"got 5 in column 0"),
        (torch.tensor([[0, 0], [0, -2]]), r"got -2 in column 1"),
        (torch.tensor([0, 0]), r"shape \(2, 2\).*got \(2, 1\)"),
        (torch.tensor([[0, 0]]), r"shape \(2, 2\).*got \(1, 2\)"),
        (torch.tensor([[0.0, 0.0], [0.0, 0.0]]), "integers"),
    ],
)
def test_bad_labels_are_refused_in_one_line(labels, message):
    with pytest.raises(ValueError, match=message) as error:
        ClassEmbedding((5, 3), 4)(torch.zeros(2, 4), labels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32])
def test_any_integer_type_will_do(dtype):
    """-1, for unknown, is 255 in uint8: comparing in that type would refuse every class."""
    embedding = ClassEmbedding((5, 3), 4).eval()
    labels = torch.tensor([[0, 2], [4, 1]])
    features = torch.randn(2, 4)
    assert torch.equal(embedding(features, labels.to(dtype)), embedding(features, labels))
