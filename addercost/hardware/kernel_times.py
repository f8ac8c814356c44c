"""The document of kernels that were timed on a machine. `addercost calibrate --kernels` writes it, and the
cost model `calibrated` reads it.

The document has every sample. The fit to them is computed when it is used.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addercost.counts.kernel_calls import KernelArgument, KernelCall, Operand
from addercost.errors import DataError
from addercost.hardware.loader import host_file
from addercost.input_files import read_text
from addercost.reading import Positive, json_data, misfit, read_as

SCHEMA = "addercost/kernel-times/4"
EARLIER = "addercost/kernel-times/1", "addercost/kernel-times/2", "addercost/kernel-times/3"
"""Far runs of kernels (1) and near ones (1 and 2) were timed with their instructions out of the caches,
networks (1 to 3) in one process after others.
"""

CONTIGUOUS, CHANNELS_LAST = "contiguous", "channels-last"
"""Layouts of images: NCHW and NHWC."""

MODES = EAGER, COMPILED = "eager", "compiled"
"""How a network is run: operator by operator, or after `torch.compile`."""

QUIET, OFTEN = "quiet", "often"
"""Which moments were timed: those at the machine's best known speed, or at the best that it often has."""

_HINT = "measure it again with `addercost calibrate --kernels`"


class EarlierTimesError(DataError):
    """A file has times that mean something else now."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions under which the times are valid. processor: its name, family, model and stepping. dtype:
    torch's name of the floating-point format. torch: its version. layout: the memory layout of images.
    mode: `EAGER` or `COMPILED`. last_level_cache_bytes: the part of the last-level cache that the process
    had, 0 where that is not known. speeds: `QUIET` or `OFTEN`. engine: torch's library for quantised modules;
    "" where none of these were timed.
    """

    processor: str
    threads: int
    dtype: str
    torch: str
    mode: str = EAGER
    layout: str = CONTIGUOUS
    last_level_cache_bytes: int = 0
    date: str = ""
    speeds: str = QUIET
    engine: str = ""

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        where = f"{self.processor}, {threads}"
        moments = "" if self.speeds == QUIET else ", at a speed that the machine often has"
        engine = f", quantised modules by {self.engine}" if self.engine else ""
        return (
            f"{where}, {self.dtype}, torch {self.torch}, {self.mode}, images {self.layout}{engine}{moments}"
        )


@dataclass(frozen=True, slots=True)
class KernelSample:
    """The times of one kernel in seconds. warm_s: consecutive runs. near_s: runs before each of which the
    second-level cache was filled with other data, and then the kernel had run once with other weights. far_s:
    the same with the last-level cache. factor: how many times as long as on the quiet machine a fixed piece
    of work took beside the runs, in the median.
    """

    call: KernelCall
    warm_s: tuple[float, ...]
    near_s: tuple[float, ...]
    far_s: tuple[float, ...]
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class NetworkSample:
    """One timing of a whole network. A network may have several, which have the same name. calls: its
    kernels, each as often as it runs.
    """

    name: str
    calls: tuple[KernelCall, ...]
    seconds: tuple[float, ...]
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class KernelTimes:
    """Everything that a calibration of kernels measured. One of compiled networks has no kernels: a compiler
    makes the kernels of each network anew.
    """

    conditions: Conditions
    samples: tuple[KernelSample, ...]
    networks: tuple[NetworkSample, ...]

    @property
    def network_names(self) -> tuple[str, ...]:
        """The names of the networks, each once."""
        return tuple(dict.fromkeys(network.name for network in self.networks))

    @property
    def usual_factor(self) -> float:
        """How many times as long as on the quiet machine the reference took, in the median of all samples."""
        timed = self.samples or self.networks
        return statistics.median(sample.factor for sample in timed) if timed else 1.0


def kernel_times_file(threads: int, dtype: str, layout: str = CONTIGUOUS, mode: str = EAGER) -> Path:
    """The path of this machine's file of timed kernels, in the user's cache folder beside the calibrated
    table.
    """
    suffix = "" if layout == CONTIGUOUS else f"-{layout}"
    return host_file().with_name(f"kernels-{threads}-{dtype}-{mode}{suffix}.json")


def kernel_time_files() -> tuple[Path, ...]:
    """The files with kernels that were timed on this machine."""
    return tuple(sorted(host_file().parent.glob("kernels-*.json")))


@dataclass(frozen=True, slots=True)
class _Call:
    op: str
    arguments: Mapping[str, Any]
    outputs: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Operand:
    shape: tuple[int, ...]
    dtype: str
    weight: bool = False


@dataclass(frozen=True, slots=True)
class _Sample:
    call: int
    warm_s: tuple[Positive, ...]
    near_s: tuple[Positive, ...]
    far_s: tuple[Positive, ...]
    factor: Positive


@dataclass(frozen=True, slots=True)
class _Network:
    name: str
    calls: tuple[int, ...]
    seconds: tuple[Positive, ...]
    factor: Positive


@dataclass(frozen=True, slots=True)
class _Document:
    schema: str
    conditions: Conditions
    calls: tuple[_Call, ...]
    samples: tuple[_Sample, ...]
    networks: tuple[_Network, ...]


def to_json(times: KernelTimes) -> str:
    """The document as text. Each call is written once, and samples and networks refer to it by number."""
    numbers: dict[KernelCall, int] = {}
    for call in (*(s.call for s in times.samples), *(c for n in times.networks for c in n.calls)):
        numbers.setdefault(call, len(numbers))
    conditions = {name: getattr(times.conditions, name) for name in Conditions.__dataclass_fields__}
    parts = {
        "calls": [_encoded(call) for call in numbers],
        "samples": [
            {
                "call": numbers[s.call],
                "warm_s": s.warm_s,
                "near_s": s.near_s,
                "far_s": s.far_s,
                "factor": s.factor,
            }
            for s in times.samples
        ],
        "networks": [
            {"name": n.name, "calls": [numbers[c] for c in n.calls], "seconds": n.seconds, "factor": n.factor}
            for n in times.networks
        ],
    }
    lines = [f'{{"schema": {json.dumps(SCHEMA)}, "conditions": {json.dumps(conditions)}']
    for name, rows in parts.items():
        body = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
        lines.append(f'"{name}": [\n{body}\n]')
    return ",\n".join(lines) + "}\n"


def from_json(text: str, source: str) -> KernelTimes:
    """Reads the text that `to_json` wrote. Raises DataError, which names `source`, for anything else."""
    data = json_data(text, source)
    found = data.get("schema") if isinstance(data, Mapping) else None
    if found in EARLIER:
        raise EarlierTimesError(
            f"{source} has kernels or networks that an earlier version timed in another way",
            f"{_HINT}, with the --threads, --dtype and --layout of its name",
        )
    if found != SCHEMA:
        raise DataError(f"{source} has schema {found!r}, expected {SCHEMA!r}", _HINT)
    try:
        read = read_as(_Document, data, source)
        calls = [_decoded(call, source, f"calls[{i}]") for i, call in enumerate(read.calls)]
        return KernelTimes(
            read.conditions,
            tuple(
                KernelSample(
                    _at(calls, s.call, source, f"samples[{i}].call"), s.warm_s, s.near_s, s.far_s, s.factor
                )
                for i, s in enumerate(read.samples)
            ),
            tuple(
                NetworkSample(
                    n.name,
                    tuple(_at(calls, c, source, f"networks[{i}].calls") for c in n.calls),
                    n.seconds,
                    n.factor,
                )
                for i, n in enumerate(read.networks)
            ),
        )
    except DataError as error:
        raise DataError(error.message, error.hint or _HINT) from None


def read_kernel_times(path: Path) -> KernelTimes:
    """Reads a file. Raises DataError for a file that is damaged or missing."""
    return from_json(read_text(path, _HINT), str(path))


def _at(calls: Sequence[KernelCall], number: int, source: str, where: str) -> KernelCall:
    if not 0 <= number < len(calls):
        raise misfit(source, where, number, f"the number of one of {len(calls)} calls")
    return calls[number]


def _encoded(call: KernelCall) -> dict[str, Any]:
    return {
        "op": call.op,
        "arguments": {name: _plain(value) for name, value in call.arguments},
        "outputs": [_plain(operand) for operand in call.outputs],
    }


def _plain(value: KernelArgument) -> Any:
    if isinstance(value, Operand):
        data: dict[str, Any] = {"shape": list(value.shape), "dtype": value.dtype}
        return data | {"weight": True} if value.is_weight else data
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value


def _decoded(call: _Call, source: str, where: str) -> KernelCall:
    arguments = tuple((n, _value(v, source, f"{where}.arguments.{n}")) for n, v in call.arguments.items())
    outputs = tuple(_value(o, source, f"{where}.outputs[{i}]") for i, o in enumerate(call.outputs))
    if not all(isinstance(output, Operand) for output in outputs) or "." not in call.op:
        raise misfit(source, where, call.op, "an operator and the tensors that it returns")
    return KernelCall(call.op, arguments, tuple(o for o in outputs if isinstance(o, Operand)))


def _value(data: Any, source: str, where: str) -> KernelArgument:
    if isinstance(data, dict):
        read = read_as(_Operand, data, source, where)
        if math.prod(read.shape) >= 1 << 63 or any(size < 0 for size in read.shape):
            raise misfit(source, f"{where}.shape", list(read.shape), "the shape of a tensor")
        return Operand(read.shape, read.dtype, read.weight)
    if isinstance(data, list):
        return tuple(_value(item, source, f"{where}[{i}]") for i, item in enumerate(data))
    plain: bool | int | float | str | None = data
    return plain
