"""The axes of a sweep, and the key that all of its shards share."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from addercost.arithmetic import Arithmetic
from addercost.cost.energy import memory_level
from addercost.cost.layers import Parts
from addercost.cost.models import common_model, cost_model_named, usable_model
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.counts.conventions import convention_named
from addercost.counts.what_if import parse
from addercost.errors import ArgumentError, unknown_name
from addercost.hardware import load_energy
from addercost.reading import Size, Whole
from addercost.version import __version__

SCHEMA = "addercost/sweep/1"
_CHUNK, _CHUNKS = 500, 30
_LARGEST_BATCH = 1 << 40
"""The largest batch. With a larger one, every tensor has more elements than torch can address."""


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """The axes of a sweep. Each architecture has a row for every combination. The columns of an empty axis of
    hardware are null.

    cost_model: "" for the best that all of `cpus` have figures for. memories: levels of memory that are
    charged for each byte, by every energy table. what_if: changes of every architecture, in order. chunk: the
    number of architectures in a task and its shard, 0 to choose it by the size of the space. The chunk
    decides the layout of the result; the number of workers does not.
    """

    cpus: tuple[str, ...] = ()
    energies: tuple[str, ...] = ()
    arithmetics: tuple[str, ...] = ("mac",)
    conventions: tuple[str, ...] = ("full",)
    batches: tuple[Whole, ...] = (1,)
    cost_model: str = ""
    chunk: Size = 0
    memories: tuple[str, ...] = ()
    what_if: tuple[str, ...] = ()

    @property
    def combinations(self) -> tuple[tuple[int, str, str], ...]:
        """(batch, convention, arithmetic) of every combination, in the order of rows."""
        return tuple(itertools.product(self.batches, self.conventions, self.arithmetics))

    @property
    def rows_per_architecture(self) -> int:
        hardware = max(len(self.cpus), 1) * max(len(self.energies), 1)
        return hardware * len(self.combinations)

    @property
    def predicts_kernels(self) -> bool:
        """Whether layers are predicted by timed kernels. No default of a sweep does so."""
        return bool(self.cost_model) and cost_model_named(self.cost_model).predict is not None

    @property
    def parts(self) -> Parts:
        """Which optional data of layers costing needs: for example matrix products for a GPU, which cuts them
        into tiles.
        """
        on_a_gpu = any(load_target(name).multiprocessors is not None for name in self.cpus)
        return Parts(products=on_a_gpu, kernels=self.predicts_kernels)

    def checked(self) -> SweepSettings:
        """The settings with the cost model filled in. Raises ArgumentError for an unknown name or a number
        out of range.
        """
        targets = [load_target(cpu) for cpu in self.cpus]
        cost_model = cost_model_named(self.cost_model or common_model(targets)).name
        for target in targets:
            usable_model(cost_model, target)
        if self.memories and not self.energies:
            raise ArgumentError("--memory changes an estimate of energy", "give --energy too: 45nm or 7nm")
        for table in self.energies:
            for name in self.memories:
                memory_level(load_energy(table), name)
            load_energy(table)
        for arithmetic in self.arithmetics:
            if arithmetic not in list(Arithmetic):
                raise unknown_name("arithmetic", arithmetic, Arithmetic)
        for convention in self.conventions:
            convention_named(convention)
        for change in self.what_if:
            parse(change)
        for axis in ("arithmetics", "conventions", "batches"):
            if not getattr(self, axis):
                raise ArgumentError(f"a sweep needs at least one of its {axis}")
        if min(self.batches) < 1:
            raise ArgumentError(f"a batch of {min(self.batches)} is none", "give sizes of 1 or more")
        if max(self.batches) > _LARGEST_BATCH:
            raise ArgumentError(
                f"a batch of {max(self.batches):,}"[:80], f"give sizes of at most {_LARGEST_BATCH:,}"
            )
        if self.chunk < 0:
            raise ArgumentError("a chunk has at least one architecture")
        return replace(self, cost_model=cost_model)

    def with_chunk_for(self, architectures: int) -> SweepSettings:
        """The settings with a chunk size: large enough for little overhead, and small enough that every
        worker gets chunks.
        """
        return replace(self, chunk=self.chunk or max(1, min(_CHUNK, -(-architectures // _CHUNKS))))


def sweep_key(settings: SweepSettings, space_digest: str, architectures: int) -> str:
    """A digest of everything that decides the rows: the bytes of hardware tables, torch's version, and the
    times of kernels where these predict.

    Every shard has it in its footer, so that a shard of another sweep is never mistaken for one of this
    sweep.
    """
    from importlib.metadata import version

    targets = [load_target(name) for name in settings.cpus]
    tables = [_content(target) for target in targets]
    if settings.predicts_kernels:
        tables += [path.read_bytes() for target in targets for path in target.kernel_files]
    tables += [Path(load_energy(name).file).read_bytes() for name in settings.energies]
    digests = [hashlib.sha256(table).hexdigest() for table in tables]
    content = {
        "schema": SCHEMA,
        "addercost": __version__,
        "torch": version("torch"),
        "space": space_digest,
        "architectures": architectures,
        "settings": asdict(settings),
        "tables": digests,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _content(target: Target) -> bytes:
    """Everything that decides a target's estimates: the bytes of its table, or its figures where it has no
    table.
    """
    return Path(target.file).read_bytes() if target.file else repr(target).encode()
