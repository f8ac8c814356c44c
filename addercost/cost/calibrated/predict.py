"""What layers and a network take, by the fit to timed kernels, with intervals and reservations.

A layer's interval is the sum of its kernels' intervals, since kernels of one kind err the same way. A
network's is that of whole networks which the fit did not see: errors of its layers cancel in part. Kernels
of a kind that was not timed, or with more or less work than any of their kind that was, have an interval
twice as wide in its logarithm, and add it to the network's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from addercost.cost.calibrated.features import FAMILIES, family_of, sizes_of
from addercost.cost.calibrated.fit import Calibrated
from addercost.cost.calibrated.tables import differences, fitted, one_thread, usable_times
from addercost.cost.cost_model import Prediction, Seconds
from addercost.cost.layers import CountedLayer
from addercost.cost.target import Target
from addercost.counts.kernel_calls import KernelCall, kernel_calls
from addercost.hardware.kernel_times import KernelTimes

_NOTHING = Seconds(0.0, 0.0, 0.0)
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Known:
    """What one distinct kernel takes. doubt: why its interval is wider, "" where it is not."""

    seconds: Seconds
    kind: str
    doubt: str


def predict(target: Target, layers: Sequence[CountedLayer]) -> Prediction:
    """Needs a target for which `why_unusable` has nothing to say."""
    kernels, missing = _kernels(layers)
    dtype = _float_dtype([call for of_layer in kernels for call in of_layer])
    found = [item for item in usable_times(target) if item[1].conditions.dtype == dtype]
    if not found:
        lacking = [{f"kernels in {dtype}, none was timed": max(len(of_layer), 1)} for of_layer in kernels]
        return Prediction(_NOTHING, (_NOTHING,) * len(layers), ("nothing",) * len(layers), tuple(lacking), ())
    path, times = found[0]
    model = fitted(path)
    with one_thread():
        known = _known(model, kernels)
    return Prediction(
        _total(model, known, kernels),
        tuple(_sum(known, of_layer) for of_layer in kernels),
        tuple(_main_kind(known, of_layer) for of_layer in kernels),
        missing,
        _notes(target, times, known, kernels),
    )


def _kernels(layers: Sequence[CountedLayer]) -> tuple[list[list[KernelCall]], tuple[Mapping[str, int], ...]]:
    """The kernels of each layer, and those that nothing timed is like."""
    kernels: list[list[KernelCall]] = []
    missing: list[Mapping[str, int]] = []
    for layer in layers:
        calls = getattr(layer, "calls", None)
        if calls is None:
            kernels.append([])
            missing.append({"the kernels of saved counts, which keep their sums only": 1})
            continue
        own, lacking = [], Counter[str]()
        for _, call in kernel_calls(calls):
            if call.has_operator:
                own.append(call)
            else:
                lacking[f"the kernel {call.name}, which nothing runs"] += 1
        kernels.append(own)
        missing.append(dict(lacking))
    return kernels, tuple(missing)


def _float_dtype(calls: Sequence[KernelCall]) -> str:
    """That of most bytes; float32 where nothing floats."""
    n_bytes = Counter[str]()
    for call in calls:
        for operand in (*call.operands(), *call.outputs):
            if "float" in operand.dtype:
                n_bytes[operand.dtype] += operand.n_bytes
    return n_bytes.most_common(1)[0][0] if n_bytes else "float32"


def _known(model: Calibrated, kernels: Sequence[Sequence[KernelCall]]) -> dict[KernelCall, _Known]:
    """Each distinct kernel once."""
    every = [call for of_layer in kernels for call in of_layer]
    distinct = list(dict.fromkeys(every))
    if not distinct:
        return {}
    found = {}
    for call, value in zip(distinct, model.seconds(distinct).tolist(), strict=True):
        kind = family_of(call)
        family = FAMILIES.index(kind)
        spread, doubt = model.spread.get(family, model.spread[-1]), ""
        if family not in model.sampled:
            doubt = "of kinds that were not timed"
        else:
            least, most = model.sampled[family]
            if not least <= sizes_of(call).sites <= most:
                doubt = "with more or less work than any of their kind that was timed, so extrapolated"
        spread = spread**2 if doubt else spread
        found[call] = _Known(Seconds(value, value / spread, value * spread), kind, doubt)
    return found


def _sum(known: Mapping[KernelCall, _Known], calls: Sequence[KernelCall]) -> Seconds:
    parts = [known[call].seconds for call in calls]
    return Seconds(*(sum(ends) for ends in zip(*parts, strict=True))) if parts else _NOTHING


def _total(
    model: Calibrated, known: Mapping[KernelCall, _Known], kernels: Sequence[Sequence[KernelCall]]
) -> Seconds:
    every = [call for of_layer in kernels for call in of_layer]
    sure = sum(known[call].seconds.value for call in every if not known[call].doubt)
    value, low, high = _sum(known, [call for call in every if known[call].doubt])
    spread = model.network_spread
    return Seconds(sure + value, sure / spread + low, sure * spread + high)


def _main_kind(known: Mapping[KernelCall, _Known], calls: Sequence[KernelCall]) -> str:
    most = max(calls, key=lambda call: known[call].seconds.value, default=None)
    return known[most].kind if most is not None else "nothing"


def _notes(
    target: Target,
    times: KernelTimes,
    known: Mapping[KernelCall, _Known],
    kernels: Sequence[Sequence[KernelCall]],
) -> tuple[str, ...]:
    notes = [f"{len(times.samples)} kernels and {len(times.networks)} networks timed on {times.conditions}"]
    others = differences(times.conditions, target)
    if others:
        notes.append(f"borrowed: they were timed {'; '.join(others)}")
    doubts: dict[str, Counter[str]] = {}
    for of_layer in kernels:
        for call in of_layer:
            if known[call].doubt:
                doubts.setdefault(known[call].doubt, Counter())[known[call].kind] += 1
    for doubt, kinds in doubts.items():
        named = ", ".join(kind for kind, _ in kinds.most_common(_MOST_NAMED))
        more = f" and {len(kinds) - _MOST_NAMED} more" if len(kinds) > _MOST_NAMED else ""
        notes.append(f"{sum(kinds.values())} kernels {doubt} ({named}{more}): intervals twice as wide")
    return tuple(notes)
