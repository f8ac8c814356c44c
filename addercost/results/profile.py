"""A profile: what the layers of a model count and are estimated to cost; its JSON document, both ways.

Reading what was written gives an equal profile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.energy import LayerEnergy, ModelEnergy
from addercost.cost.estimate import LayerEstimate, MissingFigure, ModelCost
from addercost.counts.conventions import convention_named
from addercost.counts.model import LayerCounts, ModelCounts, UncountedOp
from addercost.errors import AddercostError, DataError
from addercost.results.trace import check_schema
from addercost.trace.record import TensorSpec

SCHEMA = "addercost/profile/1"


@dataclass(frozen=True, slots=True)
class Profile:
    """Counts and estimates of the same layers in order: a cost per processor and model, energies."""

    counts: ModelCounts
    costs: tuple[ModelCost, ...] = ()
    keep_first_last: bool = False
    energies: tuple[ModelEnergy, ...] = ()

    @property
    def estimates(self) -> tuple[ModelCost | ModelEnergy, ...]:
        return (*self.costs, *self.energies)

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON document as plain data."""
        counts = self.counts
        return {
            "schema": SCHEMA,
            "model": counts.model,
            "convention": counts.convention.name,
            "mac_sites": counts.mac_sites,
            "arithmetic": counts.arithmetic.value if counts.arithmetic else None,
            "what_if": list(counts.what_if),
            "keep_first_last": self.keep_first_last,
            "tracer": counts.tracer,
            "complete": counts.complete,
            "uncounted": [
                {"op": item.op, "calls": item.calls, "paths": list(item.paths)} for item in counts.uncounted
            ],
            "inputs": [{"shape": list(spec.shape), "dtype": spec.dtype} for spec in counts.inputs],
            "parameters": counts.parameters,
            "unused_parameters": counts.unused_parameters,
            "notes": list(counts.notes),
            "totals": counts.total.by_class(),
            "totals_by_format": counts.total.by_format(),
            "layers": [_layer_to_data(layer) for layer in counts.layers],
            "cost": [_cost_to_data(cost) for cost in self.costs],
            "energy": [_energy_to_data(energy) for energy in self.energies],
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"


def _layer_to_data(layer: LayerCounts) -> dict[str, Any]:
    return {
        "path": layer.path,
        "type": layer.type,
        "op": layer.op,
        "ops": dict(layer.ops),
        "output_shape": list(layer.output_shape),
        "parameters": layer.parameters,
        "mac_sites": layer.mac_sites,
        "arithmetic": layer.arithmetic.value if layer.arithmetic else None,
        "bytes_read": layer.bytes_read,
        "bytes_written": layer.bytes_written,
        "counts": layer.counts.by_class(),
        "counts_by_format": layer.counts.by_format(),
    }


def _energy_to_data(energy: ModelEnergy) -> dict[str, Any]:
    return {
        "hardware": energy.hardware,
        "total_j": energy.total_j,
        "arithmetic_j": energy.arithmetic_j,
        "complete": energy.complete,
        "missing": [{"figure": item.figure, "count": item.count} for item in energy.missing],
        "assumptions": list(energy.assumptions),
        "layers": [
            {
                "path": layer.path,
                "arithmetic_j": layer.arithmetic_j,
                "memory_j": dict(layer.memory_j),
                "complete": layer.complete,
            }
            for layer in energy.layers
        ],
    }


def _cost_to_data(cost: ModelCost) -> dict[str, Any]:
    return {
        "hardware": cost.hardware,
        "model": cost.model,
        "lowering": cost.lowering,
        "cycles": cost.cycles,
        "seconds": cost.seconds,
        "complete": cost.complete,
        "missing": [{"figure": item.figure, "count": item.count} for item in cost.missing],
        "assumptions": list(cost.assumptions),
        "layers": [
            {"path": layer.path, "cycles": layer.cycles, "bound": layer.bound, "complete": layer.complete}
            for layer in cost.layers
        ],
    }


def profile_from_data(data: Any, source: str = "profile") -> Profile:
    """Reads what `Profile.to_dict` made. Raises DataError naming `source` for anything else."""
    check_schema(data, SCHEMA, source)
    try:
        return _profile(data)
    except (KeyError, TypeError, ValueError, AttributeError, AddercostError) as error:
        raise DataError(
            f"{source} is a damaged profile: {type(error).__name__}: {error}",
            "make it again with `addercost profile … --format json`",
        ) from None


def _profile(data: Mapping[str, Any]) -> Profile:
    counts = ModelCounts(
        model=str(data["model"]),
        convention=convention_named(data["convention"]),
        arithmetic=_arithmetic(data["arithmetic"]),
        layers=tuple(_layer(layer) for layer in data["layers"]),
        uncounted=tuple(
            UncountedOp(str(item["op"]), _whole(item["calls"]), tuple(map(str, item["paths"])))
            for item in data["uncounted"]
        ),
        parameters=_whole(data["parameters"]),
        unused_parameters=_whole(data["unused_parameters"]),
        tracer=str(data["tracer"]),
        inputs=tuple(
            TensorSpec(tuple(map(_whole, spec["shape"])), str(spec["dtype"]), "input")
            for spec in data["inputs"]
        ),
        notes=tuple(map(str, data["notes"])),
        what_if=tuple(map(str, data["what_if"])),
    )
    if counts.total.by_format() != data["totals_by_format"]:
        raise ValueError("the layers do not sum to its totals")
    return Profile(
        counts,
        tuple(_cost(cost) for cost in data["cost"]),
        bool(data["keep_first_last"]),
        tuple(_energy(energy) for energy in data["energy"]),
    )


def _layer(data: Mapping[str, Any]) -> LayerCounts:
    return LayerCounts(
        path=str(data["path"]),
        type=str(data["type"]),
        op=str(data["op"]),
        ops={str(op): _whole(calls) for op, calls in data["ops"].items()},
        output_shape=tuple(map(_whole, data["output_shape"])),
        parameters=_whole(data["parameters"]),
        counts=OpCounts.from_mapping(
            {
                (OpClass(name), str(number_format)): _whole(n)
                for number_format, by_class in data["counts_by_format"].items()
                for name, n in by_class.items()
            }
        ),
        mac_sites=_whole(data["mac_sites"]),
        arithmetic=_arithmetic(data["arithmetic"]),
        bytes_read=_whole(data["bytes_read"]),
        bytes_written=_whole(data["bytes_written"]),
    )


def _cost(data: Mapping[str, Any]) -> ModelCost:
    hardware = str(data["hardware"])
    return ModelCost(
        hardware=hardware,
        model=str(data["model"]),
        lowering=str(data["lowering"]),
        cycles=_number(data["cycles"]),
        seconds=None if data["seconds"] is None else _number(data["seconds"]),
        complete=bool(data["complete"]),
        missing=_missing(data, hardware),
        assumptions=tuple(map(str, data["assumptions"])),
        layers=tuple(
            LayerEstimate(
                str(layer["path"]), _number(layer["cycles"]), str(layer["bound"]), bool(layer["complete"])
            )
            for layer in data["layers"]
        ),
    )


def _energy(data: Mapping[str, Any]) -> ModelEnergy:
    hardware = str(data["hardware"])
    return ModelEnergy(
        hardware=hardware,
        total_j=_number(data["total_j"]),
        arithmetic_j=_number(data["arithmetic_j"]),
        complete=bool(data["complete"]),
        missing=_missing(data, hardware),
        assumptions=tuple(map(str, data["assumptions"])),
        layers=tuple(
            LayerEnergy(
                str(layer["path"]),
                _number(layer["arithmetic_j"]),
                tuple((str(level), _number(joules)) for level, joules in layer["memory_j"].items()),
                bool(layer["complete"]),
            )
            for layer in data["layers"]
        ),
    )


def _missing(data: Mapping[str, Any], hardware: str) -> tuple[MissingFigure, ...]:
    return tuple(
        MissingFigure(str(item["figure"]), hardware, _whole(item["count"])) for item in data["missing"]
    )


def _arithmetic(name: Any) -> Arithmetic | None:
    return None if name is None else Arithmetic(name)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"not a count: {value!r}")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ValueError(f"not a cost: {value!r}")
    return value
