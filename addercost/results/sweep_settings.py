"""The axes of a sweep, and the key that its shards have in common."""

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
"""Beyond it no tensor of a network has fewer elements than torch can address."""


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """The axes of a sweep. Every combination is one row an architecture; an empty axis of hardware is null.

    cost_model: "" for the best that all of `cpus` have figures for. memories: levels that every energy table
    is charged for, per byte. what_if: changes of every architecture, in order. chunk: architectures in one
    task and one shard, 0 to choose by the size of the space. It is part of the result's layout; the number of
    workers is not.
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
        """(batch, convention, arithmetic), in the order of rows."""
        return tuple(itertools.product(self.batches, self.conventions, self.arithmetics))

    @property
    def rows_per_architecture(self) -> int:
        hardware = max(len(self.cpus), 1) * max(len(self.energies), 1)
        return hardware * len(self.combinations)

    @property
    def predicts_kernels(self) -> bool:
        """Whether layers are predicted by kernels that were timed, which no default of a sweep does."""
        return bool(self.cost_model) and cost_model_named(self.cost_model).predict is not None

    @property
    def parts(self) -> Parts:
        """What costing needs of layers beside their counts: a GPU cuts their products into tiles."""
        on_a_gpu = any(load_target(name).multiprocessors is not None for name in self.cpus)
        return Parts(products=on_a_gpu, kernels=self.predicts_kernels)

    def checked(self) -> SweepSettings:
        """With its cost model. Raises ArgumentError for a name or number that is unknown or does not fit."""
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
        """Itself with a chunk size: large enough to cost little, small enough that every worker gets some."""
        return replace(self, chunk=self.chunk or max(1, min(_CHUNK, -(-architectures // _CHUNKS))))


def sweep_key(settings: SweepSettings, space_digest: str, architectures: int) -> str:
    """A digest of everything that decides the rows: the hardware tables' bytes, torch's version, and the
    times of kernels where these are predicted by them.

    Every shard of a sweep has it in its footer, so that a shard of another sweep is never taken for its own.
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
    """Everything that decides what a target's estimates are: its table, or its figures where it has none."""
    return Path(target.file).read_bytes() if target.file else repr(target).encode()
