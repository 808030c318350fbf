from __future__ import annotations

from itertools import islice

import pytest

from audio_diffusion_pytorch.data import StreamSampler

Batches = list[list[tuple[int, int]]]


def batches(sampler: StreamSampler, count: int) -> Batches:
    return list(islice(sampler, count))


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize(("num_items", "batch_size"), [(10, 4), (7, 7), (5, 8), (12, 3)])
def test_every_epoch_holds_every_item_once(
    world_size: int, num_items: int, batch_size: int
) -> None:
    ranks = [
        batches(StreamSampler(num_items, batch_size, 3, rank, world_size), 20)
        for rank in range(world_size)
    ]
    assert all(len(batch) == batch_size for rank in ranks for batch in rank)
    stream = [item for step in zip(*ranks, strict=True) for batch in step for item in batch]
    epochs = len(stream) // num_items
    for epoch in range(epochs):
        part = stream[epoch * num_items : (epoch + 1) * num_items]
        assert sorted(part) == [(epoch, index) for index in range(num_items)]
    assert len(set(stream)) == len(stream)


def test_two_ranks_are_disjoint_and_cover() -> None:
    first, second = (
        {item for batch in batches(StreamSampler(64, 4, 0, rank, 2), 8) for item in batch}
        for rank in range(2)
    )
    assert not first & second
    assert first | second == {(0, index) for index in range(64)}


def test_ranks_together_follow_one_process_with_the_same_global_batch() -> None:
    one = batches(StreamSampler(10, 6, seed=5), 9)
    two = [batches(StreamSampler(10, 3, 5, rank, 2), 9) for rank in range(2)]
    assert one == [left + right for left, right in zip(*two, strict=True)]


@pytest.mark.parametrize("start", [1, 7, 13])
def test_start_goes_on_exactly_where_it_stopped(start: int) -> None:
    whole = batches(StreamSampler(10, 4, seed=1), 20)
    assert batches(StreamSampler(10, 4, seed=1, start=start), 20 - start) == whole[start:]


def test_start_far_ahead_costs_no_more_than_an_epoch() -> None:
    sampler = StreamSampler(10, 4, seed=1, start=10**12)
    assert batches(sampler, 1)[0][0][0] == 4 * 10**12 // 10


def test_epochs_and_seeds_differ_and_repeat() -> None:
    sampler = StreamSampler(50, 5, seed=1)
    assert sampler.order(0) != sampler.order(1)
    assert sampler.order(0) != StreamSampler(50, 5, seed=2).order(0)
    assert sampler.order(3) == StreamSampler(50, 5, seed=1).order(3)
    assert StreamSampler(5, 5, shuffle=False).order(7) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "options", [{"num_items": 0}, {"batch_size": 0}, {"rank": 2, "world_size": 2}, {"start": -1}]
)
def test_arguments_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="got"):
        StreamSampler(**{"num_items": 4, "batch_size": 2, **options})
