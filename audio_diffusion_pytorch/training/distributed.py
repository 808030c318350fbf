"""One process or many under torchrun: who am I, and what do all of us agree on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

Value = TypeVar("Value")
TIMEOUT = timedelta(hours=2)
"""How long the processes wait for one another; the first makes samples while the rest wait."""


@dataclass
class Processes:
    """This process among those of the run. With a single one every method is trivial.

    Every method that talks is called by all processes at the same point, or all would wait.

    Attributes:
        rank: Which process, 0 being the one that writes.
        world_size: How many there are.
        device: Where this one computes.
        control: The gloo group for small decisions on the CPU; None for a single process.
    """

    rank: int
    world_size: int
    device: torch.device
    control: dist.ProcessGroup | None = None
    owns_group: bool = False

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all processes, in double precision."""
        if self.control is None:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, group=self.control)
        return [float(value) for value in total]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return self.sum([float(flag)])[0] > 0.0

    def from_main(self, value: Value) -> Value:
        """The first process's value; plain values only."""
        if self.control is None:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        if self.control is None:
            return [value]
        boxes: list[Value | None] = [None] * self.world_size
        dist.all_gather_object(boxes, value, group=self.control)
        return [box for box in boxes if box is not None]

    def barrier(self) -> None:
        """Wait for all."""
        if self.control is not None:
            dist.barrier(group=self.control)

    def close(self) -> None:
        """Take the group down if it was set up here."""
        if self.owns_group and dist.is_initialized():
            dist.destroy_process_group()
        self.control, self.owns_group = None, False


def choose_device(
    wanted: str = "auto", local_rank: int = 0, key: str = "train.device"
) -> torch.device:
    """The device to compute on.

    Args:
        wanted: "auto" (CUDA if there is one, else CPU) or a device's name.
        local_rank: Which CUDA device "auto" and "cuda" mean.
        key: The setting or option that `wanted` came from, for the message.

    Raises:
        ValueError: The name is unknown or there is no such device here.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ValueError(
            f"{key}={wanted!r} is no device; use auto, cpu, cuda, cuda:N or mps"
        ) from error
    if device.type == "cuda":
        index = local_rank if device.index is None else device.index
        if index >= torch.cuda.device_count():
            raise ValueError(
                f"{key}={wanted} is not here ({torch.cuda.device_count()} CUDA devices); "
                f"use {key}=cpu or fewer processes"
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"{key}=mps is not here; use {key}=cpu")
    return device


def start_processes(
    device: str = "auto", environment: Mapping[str, str] | None = None
) -> Processes:
    """Join the group that torchrun describes in the environment; alone without torchrun.

    Args:
        device: As `choose_device` takes it.
        environment: By default the process's own.

    Raises:
        ValueError: The environment says several processes but not which this is, or the group has
            another size than torchrun promised.
    """
    environment = os.environ if environment is None else environment
    world_size = int(environment.get("WORLD_SIZE", "1"))
    here = choose_device(device, int(environment.get("LOCAL_RANK", "0")))
    if here.type == "cuda":
        torch.cuda.set_device(here)
    owns_group = False
    if world_size > 1 and not dist.is_initialized():
        missing = [k for k in ("RANK", "MASTER_ADDR", "MASTER_PORT") if k not in environment]
        if missing:
            raise ValueError(
                f"WORLD_SIZE={world_size} but {', '.join(missing)} is not set: start with "
                f"torchrun --nproc_per_node={world_size}, or unset WORLD_SIZE"
            )
        dist.init_process_group("nccl" if here.type == "cuda" else "gloo", timeout=TIMEOUT)
        owns_group = True
    found = dist.get_world_size() if dist.is_initialized() else 1
    if found != world_size and "WORLD_SIZE" in environment:
        raise ValueError(
            f"torchrun promised {world_size} processes but the group has {found}: every process "
            "would train alone; let nothing else call init_process_group"
        )
    if found == 1:
        return Processes(0, 1, here, None, owns_group)
    control = dist.new_group(backend="gloo", timeout=TIMEOUT)
    return Processes(dist.get_rank(), found, here, control, owns_group)
