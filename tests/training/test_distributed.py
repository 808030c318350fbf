"""Several processes: one group, equal weights, no clip twice, one decision to stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
import torch

from audio_diffusion_pytorch.training import choose_device, start_processes


@pytest.fixture(scope="module")
def reports(tone_training, tones, tmp_path_factory, project_root):
    """What two processes under torchrun said of four trainings, by rank."""
    folder = tmp_path_factory.mktemp("together")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
         tone_training.__file__, "together", str(tones), str(folder)],
        cwd=project_root, capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": str(project_root), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads((folder / f"rank_{rank}.json").read_text()) for rank in range(2)]


def test_there_are_two_of_them(reports):
    assert [(report["rank"], report["world_size"]) for report in reports] == [(0, 2), (1, 2)]


@pytest.mark.parametrize("run", ["steps", "minutes", "stopped", "resumed"])
def test_they_end_together_with_equal_weights(reports, run):
    one, other = (report[run] for report in reports)
    for key in ("step", "reason", "digest", "ema"):
        assert one[key] == other[key]
    assert one["digest"] != one["ema"]


def test_no_clip_is_seen_twice_in_an_epoch(reports):
    # Both ranks together: 10 steps of 2 * 2 * 3 clips of 12 are ten epochs, each complete.
    seen = [tuple(item) for report in reports for item in report["steps"]["seen"]]
    counts = Counter(seen)
    assert set(counts.values()) == {1} and len(counts) == 120
    assert Counter(epoch for epoch, _ in counts) == dict.fromkeys(range(10), 12)


def test_reasons_and_steps(reports):
    first = reports[0]
    assert (first["steps"]["step"], first["steps"]["reason"]) == (10, "finished")
    assert first["minutes"]["step"] > 0
    assert 0 < first["stopped"]["step"] < 10 and "SIGTERM" in first["stopped"]["reason"]
    assert first["resumed"]["step"] == 10


def test_only_the_first_writes_rows_and_both_know_the_validation(reports):
    assert len(reports[0]["steps"]["losses"]) == 10 and not reports[1]["steps"]["losses"]
    assert reports[0]["steps"]["best_loss"] == reports[1]["steps"]["best_loss"] < 10


def test_resume_goes_on_bit_for_bit(reports):
    first = reports[0]
    assert first["resumed"]["digest"] == first["steps"]["digest"]
    assert first["resumed"]["ema"] == first["steps"]["ema"]
    assert {**first["stopped"]["losses"], **first["resumed"]["losses"]} == first["steps"]["losses"]


def test_alone_everything_is_trivial():
    processes = start_processes("cpu", environment={})
    assert (processes.rank, processes.world_size, processes.is_main) == (0, 1, True)
    assert processes.sum([1.0, 2.0]) == [1.0, 2.0]
    assert processes.gather("x") == ["x"] and processes.from_main(3) == 3
    assert processes.any(True) and not processes.any(False)
    processes.barrier()
    processes.close()


def test_a_broken_promise_of_torchrun_is_an_error():
    with pytest.raises(
        ValueError, match="WORLD_SIZE=2 but RANK, MASTER_ADDR, MASTER_PORT is not set"
    ):
        start_processes("cpu", environment={"WORLD_SIZE": "2"})


def test_a_group_of_another_size_is_an_error(tmp_path):
    import torch.distributed as dist

    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match="promised 2 processes but the group has 1:"):
            start_processes("cpu", environment={"WORLD_SIZE": "2", "RANK": "0"})
    finally:
        dist.destroy_process_group()


def test_devices_that_are_not_here_are_refused():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="is no device"):
        choose_device("gpu")
    with pytest.raises(ValueError, match=r"^--device='gpu' is no device"):
        choose_device("gpu", key="--device")
    if not torch.cuda.is_available():
        assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(ValueError, match=r"train\.device=cuda is not here"):
            choose_device("cuda")
