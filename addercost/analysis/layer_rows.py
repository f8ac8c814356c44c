"""The layers of a profile as rows of counts, cycles and joules that can be summed by module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from addercost.arithmetic import OpCounts
from addercost.cost.cost_model import Seconds
from addercost.cost.estimate import ModelCost
from addercost.results.profile import Profile


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One layer of a profile, or the sum of several (`merged`)."""

    path: str
    type: str
    output_shape: tuple[int, ...] | None
    parameters: int
    counts: OpCounts
    cycles: Mapping[str, float]
    """Cycles, by the label of the estimate (see `labelled_costs`) or the name of an accelerator."""
    joules: Mapping[str, float]
    """Joules, by the name of the energy table or of the accelerator."""
    seconds: Mapping[str, Seconds]
    """Seconds with their ends, by the label of the estimate. Only estimates with an interval are here."""
    calls: int | None = None
    """How often the module's forward ran; None for several modules, and where it is not known."""
    output_shapes: tuple[tuple[int, ...], ...] = ()
    """The output shapes of all calls, where there are several."""
    peak_bytes: int | None = None
    """The most memory in use while it runs; None where that is not known."""
    nodes: tuple[str, ...] = ()
    """The nodes of an ONNX graph that the layer consists of; none for a sum of layers."""

    @classmethod
    def merged(
        cls,
        rows: Sequence[ProfileRow],
        path: str,
        kind: str = "",
        output_shape: tuple[int, ...] | None = None,
    ) -> ProfileRow:
        """The sum of several rows, with a given path and type."""
        return cls(
            path=path,
            type=kind,
            output_shape=output_shape,
            parameters=sum(row.parameters for row in rows),
            counts=OpCounts.sum(row.counts for row in rows),
            cycles=_sums([row.cycles for row in rows]),
            joules=_sums([row.joules for row in rows]),
            seconds=_sums_of_seconds([row.seconds for row in rows]),
            peak_bytes=max((row.peak_bytes for row in rows if row.peak_bytes is not None), default=None),
        )


def labelled_costs(profile: Profile) -> dict[str, ModelCost]:
    """The estimates by label: the processor, with the cost model where the profile has several models."""
    several = len({cost.model for cost in profile.costs}) > 1
    return {f"{cost.hardware}:{cost.model}" if several else cost.hardware: cost for cost in profile.costs}


def layer_rows(profile: Profile) -> list[ProfileRow]:
    """A row for each layer, in the order of the counts."""
    return [
        ProfileRow(
            path=layer.path,
            type=layer.type,
            output_shape=layer.output_shape,
            parameters=layer.parameters,
            counts=layer.counts,
            cycles={
                **{name: cost.layers[index].cycles for name, cost in labelled_costs(profile).items()},
                **{item.hardware: item.layers[index].cycles for item in profile.accelerators},
            },
            joules={
                **{energy.hardware: energy.layers[index].total_j for energy in profile.energies},
                **{item.hardware: item.layers[index].energy_j for item in profile.accelerators},
            },
            seconds=_seconds(profile, index),
            calls=layer.module_calls,
            output_shapes=layer.call_shapes,
            peak_bytes=profile.memory.layers[index].peak_bytes if profile.memory is not None else None,
            nodes=layer.nodes,
        )
        for index, layer in enumerate(profile.counts.layers)
    ]


def folded(rows: list[ProfileRow], depth: int | None) -> list[ProfileRow]:
    """The rows with those summed whose paths agree in the first `depth` components. Other rows are
    unchanged.
    """
    if depth is None:
        return rows
    groups: dict[str, list[ProfileRow]] = {}
    for row in rows:
        groups.setdefault(".".join(row.path.split(".")[:depth]), []).append(row)
    return [
        replace(group[0], path=path)
        if len(group) == 1
        else ProfileRow.merged(group, path, f"{len(group)} layers", group[-1].output_shape)
        for path, group in groups.items()
    ]


LARGEST_BLOCK = 0.25
"""The largest share of the total that a block may have, if the tree can be divided so far."""


def basis_of(profile: Profile) -> str | None:
    """The label of the first estimate, of which shares are computed; None where shares are of operations."""
    first = next(iter(labelled_costs(profile).items()), None)
    return first[0] if first and first[1].cycles else None


def weight_of(row: ProfileRow, basis: str | None) -> float:
    """The number from which the row's share is computed: the cycles of the estimate `basis`, or
    operations.
    """
    return row.cycles[basis] if basis else row.counts.total


def block_depth(rows: list[ProfileRow], basis: str | None) -> int:
    """The depth of the module tree that shows where the cost is: the least depth at which no block of several
    layers has more than `LARGEST_BLOCK` of the cost. A single layer with more cannot be divided.
    """
    whole = sum(weight_of(row, basis) for row in rows)
    deepest = max((len(row.path.split(".")) for row in rows), default=0)
    for depth in range(1, deepest):
        blocks: dict[str, list[float]] = {}
        for row in rows:
            blocks.setdefault(".".join(row.path.split(".")[:depth]), []).append(weight_of(row, basis))
        if all(len(parts) == 1 or sum(parts) <= LARGEST_BLOCK * whole for parts in blocks.values()):
            return depth
    return deepest


def _seconds(profile: Profile, index: int) -> dict[str, Seconds]:
    found = {}
    for name, cost in labelled_costs(profile).items():
        layer = cost.layers[index]
        if layer.interval_s is not None and cost.cycles and cost.seconds is not None:
            found[name] = Seconds(layer.cycles * cost.seconds / cost.cycles, *layer.interval_s)
    return found


def _sums_of_seconds(parts: Sequence[Mapping[str, Seconds]]) -> dict[str, Seconds]:
    """The sums of times and of the ends of their intervals. The ends are added because errors of one kind of
    kernel have the same direction.
    """
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: Seconds(*map(sum, zip(*(part[name] for part in parts if name in part), strict=True)))
        for name in names
    }


def _sums(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part[name] for part in parts) for name in names}
