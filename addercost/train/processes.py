"""The process, or the processes of `torchrun`, that train one model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from addercost.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run. rank: the number of this one, from 0. count: how many there are. device: that
    of this one.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def share(self, batches: Sequence[Tensor]) -> list[Tensor]:
        """This process's share of each batch of indices. All shares are equal, so `count` must divide every
        batch.
        """
        return [batch.chunk(self.count)[self.rank] for batch in batches]

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all processes. Every process gets it."""
        if self.count > 1:
            torch.distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        if self.count > 1:
            torch.distributed.barrier()

    def parallel(self, model: nn.Module) -> nn.Module:
        """`model`, with gradients averaged over processes. With a single process it is the model itself."""
        if self.count == 1:
            return model
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=devices)

    def same_buffers(self, model: nn.Module) -> None:
        """Copies the running statistics of the first process to all others."""
        if self.count > 1:
            for buffer in model.buffers():
                torch.distributed.broadcast(buffer, src=0)


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Joins the processes that `torchrun` started, if it did, on `device`: cpu, cuda or cuda:N.

    Raises ArgumentError for a device that does not exist.
    """
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")), count)
    if count == 1:
        yield Processes(0, 1, chosen)
        return
    torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(rank, count, chosen)
    finally:
        torch.distributed.destroy_process_group()


def _device(name: str, local_rank: int, count: int) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ArgumentError(f"{name!r} is no device", "give cpu, cuda or cuda:N") from None
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise ArgumentError(f"cannot train on {name!r}", "give cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise ArgumentError(
            f"--device {name}: torch finds no GPU here", "give --device cpu, or install torch for CUDA"
        )
    index = device.index if device.index is not None else local_rank if count > 1 else 0
    if index >= torch.cuda.device_count():
        raise ArgumentError(
            f"--device {name}: there are {torch.cuda.device_count()} GPUs, counted from 0",
            "start no more processes a machine than it has GPUs",
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
