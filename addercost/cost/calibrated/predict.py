"""Predicts layers and a network by the fit to timed kernels, with intervals and notes.

A layer's interval is the sum of its kernels' intervals, since predictions of one kind of kernel err in the
same direction. A network's interval comes from the errors of whole networks that the fit did not see, because
errors of its layers cancel in part. The interval of a kernel is twice as wide in its logarithm if its kind
was not timed, or if it has more or less work than all timed kernels of its kind. Such a kernel widens the
network's interval as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from addercost.cost.calibrated.codes import as_product, is_of_codes
from addercost.cost.calibrated.families import rounds_inputs
from addercost.cost.calibrated.kernel_predictor import KernelPredictor, KnownKernel, predictor_of
from addercost.cost.calibrated.tables import differences, run_eagerly
from addercost.cost.cost_model import Kernels, LayerParts, NetworkPrediction, Seconds, far_part
from addercost.cost.target import Target
from addercost.counts.kernel_calls import KernelCall
from addercost.hardware.kernel_times import OFTEN, KernelTimes

_NOTHING = Seconds(0.0, 0.0, 0.0)
_MOST_NAMED = 3

HOW_TO_TIME_CODES = "`addercost calibrate --kernels --dtype int8` times them"


def predict(target: Target, layers: Sequence[Kernels]) -> NetworkPrediction:
    """The prediction for layers on a target for which `why_unusable` returns ""."""
    predictor = predictor_of(target)
    layers = [None if layer is None else _timed_apart(layer) for layer in layers]
    runnable = [[call for call in layer or () if call.has_operator] for layer in layers]
    known = predictor.known([call for layer in runnable for call in layer])
    predicted = [[known[call] for call in layer if call in known] for layer in runnable]
    parts = tuple(_together(kernel.parts for kernel in layer) for layer in predicted)
    weights, half_bytes = sum(part.weights for part in parts), predictor.half_bytes
    far = far_part(float(weights), half_bytes)
    shares = tuple(part.at(far) for part in parts)
    return NetworkPrediction(
        _sum(shares),
        tuple(_sum(kernel.seconds(far) for kernel in layer) for layer in predicted),
        shares,
        tuple(_main_kind(layer, far) for layer in predicted),
        tuple(_missing(layer, known, predictor) for layer in layers),
        tuple(_notes(target, predictor, predicted)),
        parts,
        half_bytes,
    )


_ROUNDING = ("addercost.round_inputs", "addercost.scale_block_sums")


def _timed_apart(layer: Sequence[KernelCall]) -> Sequence[KernelCall]:
    """The kernels as they were timed: without those that a product of rounded inputs does itself."""
    layer = [as_product(call) for call in layer]
    if not any(map(rounds_inputs, layer)):
        return layer
    return [call for call in layer if call.name not in _ROUNDING]


def _sum(parts: Iterable[Seconds]) -> Seconds:
    found = list(parts)
    return Seconds(*(sum(ends) for ends in zip(*found, strict=True))) if found else _NOTHING


def _together(kernels: Iterable[LayerParts]) -> LayerParts:
    found = list(kernels)
    return LayerParts(
        _sum(part.near for part in found),
        _sum(part.far for part in found),
        sum(part.weights for part in found),
    )


def _main_kind(kernels: Sequence[KnownKernel], far: float) -> str:
    most = max(kernels, key=lambda kernel: kernel.seconds(far).value, default=None)
    return most.kind if most is not None else "nothing"


def _missing(
    layer: Kernels, known: Mapping[KernelCall, KnownKernel], predictor: KernelPredictor
) -> Mapping[str, int]:
    """How many kernels cannot be predicted, by the reason."""
    if layer is None:
        return {"the kernels of saved counts, which keep their sums only": 1}
    lacking = Counter[str]()
    for call in layer:
        if not call.has_operator:
            lacking[f"the kernel {call.name}, which nothing runs"] += 1
        elif is_of_codes(call) and call not in known:
            lacking[f"kernels of quantised modules, none was timed: {HOW_TO_TIME_CODES}"] += 1
        elif call not in known:
            lacking[f"kernels in {predictor.dtype_of(call)}, none was timed"] += 1
    return dict(lacking)


def _notes_on_times(target: Target, times: KernelTimes) -> Iterable[str]:
    networks = f"{len(times.network_names)} networks"
    timed = f"{len(times.samples)} kernels and {networks}" if times.samples else networks
    yield f"{timed} timed on {times.conditions}"
    if times.conditions.speeds == OFTEN:
        yield (
            "for a speed that the machine often has, at which a fixed reference takes "
            f"{times.usual_factor:.2f} times as long as at its best"
        )
    of_kernels = target if times.conditions.mode == target.kernel_mode else run_eagerly(target)
    if others := differences(times.conditions, of_kernels):
        yield f"borrowed: they were timed {'; '.join(others)}"


def _notes(
    target: Target, predictor: KernelPredictor, layers: Sequence[Sequence[KnownKernel]]
) -> Iterable[str]:
    every = [kernel for layer in layers for kernel in layer]
    for dtype in dict.fromkeys(kernel.dtype for kernel in every):
        for times in predictor.times(dtype):
            yield from _notes_on_times(target, times)
    doubts: dict[str, Counter[str]] = {}
    for kernel in every:
        if kernel.doubt:
            doubts.setdefault(kernel.doubt, Counter())[kernel.kind + kernel.beyond] += 1
    for doubt, kinds in doubts.items():
        named = ", ".join(kind for kind, _ in kinds.most_common(_MOST_NAMED))
        more = f" and {len(kinds) - _MOST_NAMED} more" if len(kinds) > _MOST_NAMED else ""
        number = sum(kinds.values())
        yield f"{number} kernel{'s' * (number > 1)} {doubt} ({named}{more}): intervals twice as wide"
