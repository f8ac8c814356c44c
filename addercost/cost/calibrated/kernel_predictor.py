"""What single kernels take on a target: each distinct one is predicted once, and kept.

A kernel is predicted by times of its own number format: that of its weights, else that of most of its bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from addercost.cost.calibrated.families import FAMILIES, is_like_timed
from addercost.cost.calibrated.features import Sizes, sizes_of
from addercost.cost.calibrated.fit import Fit
from addercost.cost.calibrated.tables import fitted, one_thread, read_times, usable_files
from addercost.cost.cost_model import LayerParts, Seconds
from addercost.cost.target import Target
from addercost.counts.kernel_calls import KernelCall
from addercost.hardware.kernel_times import KernelTimes

_MOST_KEPT = 200_000
"""At more distinct kernels all are forgotten, so that memory does not grow with a sweep."""

_FAR_BEYOND = 2.0
"""Work of so many times the most that was timed, or so many times less than the least, is named."""

_NOT_TIMED = "of a kind that was not timed"
_EXTRAPOLATED = "with more or less work than any of its kind that was timed, so extrapolated"


@dataclass(frozen=True, slots=True)
class KnownKernel:
    """What one distinct kernel takes. parts: what it adds to a network and to the ends of its interval.
    spread: the factor of its own interval. dtype: of the times that predicted it. doubt: why its interval is
    wider, "" where it is not; beyond: how far it is from what was timed, where that is far.
    """

    parts: LayerParts
    spread: float
    kind: str
    dtype: str
    doubt: str = ""
    beyond: str = ""

    def seconds(self, part: float) -> Seconds:
        """Of it alone, with its interval, in a network of whose weights that part is far."""
        value = self.parts.at(part).value
        return Seconds(value, value / self.spread, value * self.spread)


class KernelPredictor:
    """Seconds of kernels by fits to times, one a number format, made when one is asked for. files: by torch's
    name of the format.
    """

    def __init__(self, files: Mapping[str, Path], caches: str) -> None:
        self._files, self._caches = files, caches
        self._known: dict[KernelCall, KnownKernel] = {}

    def known(self, calls: Sequence[KernelCall]) -> Mapping[KernelCall, KnownKernel]:
        """What each distinct kernel takes; without those of formats in which none was timed, and of codes."""
        if len(self._known) > _MOST_KEPT:
            self._known.clear()
        new: dict[str, list[KernelCall]] = {}
        for call in dict.fromkeys(calls):
            if call not in self._known and not is_of_codes(call):
                new.setdefault(self.dtype_of(call), []).append(call)
        for dtype, distinct in new.items():
            if dtype in self._files:
                fit = fitted(self._files[dtype], self._caches)
                with one_thread():
                    near, far = (part.tolist() for part in fit.seconds(distinct))
                self._known |= {
                    call: _known(fit, dtype, call, *parts)
                    for call, *parts in zip(distinct, near, far, strict=True)
                }
        return self._known

    @property
    def half_bytes(self) -> float:
        """Of a network's weights, by `far_part`: all files are of one machine."""
        path = next(iter(self._files.values()))
        return fitted(path, self._caches).half_bytes

    def times(self, dtype: str) -> KernelTimes:
        return read_times(self._files[dtype])

    def dtype_of(self, call: KernelCall) -> str:
        """The format of the times that predict it. A kernel that moves integers alone takes those of any."""
        weights = [o.dtype for o in call.operands() if o.is_weight and o.dtype in ("int8", *self._files)]
        if weights:
            return weights[-1]
        n_bytes = Counter[str]()
        for operand in (*call.operands(), *call.outputs):
            if "float" in operand.dtype:
                n_bytes[operand.dtype] += operand.n_bytes
        if n_bytes:
            return n_bytes.most_common(1)[0][0]
        return "float32" if "float32" in self._files else next(iter(self._files), "float32")


def is_of_codes(call: KernelCall) -> bool:
    """Whether it computes on tensors of codes with a scale, as torch's quantised modules do: a calibration
    times 8-bit layers by other kernels, which take other times.
    """
    return any("qint" in o.dtype or "quint" in o.dtype for o in (*call.operands(), *call.outputs))


def predictor_of(target: Target) -> KernelPredictor:
    """Needs a target for which `why_unusable` has nothing to say."""
    files = tuple((path, path.stat().st_mtime_ns) for path in usable_files(target))
    return _predictor(files, target.kernel_caches)


@lru_cache(maxsize=4)
def _predictor(files: tuple[tuple[Path, int], ...], caches: str) -> KernelPredictor:
    by_format: dict[str, Path] = {}
    for path, _ in files:
        by_format.setdefault(read_times(path).conditions.dtype, path)
    return KernelPredictor(by_format, caches)


def _known(fit: Fit, dtype: str, call: KernelCall, near_s: float, far_s: float) -> KnownKernel:
    sizes = sizes_of(call)
    family = FAMILIES.index(sizes.family)
    spread = fit.spread.get(family, fit.spread[-1])
    like_timed = is_like_timed(call)
    doubt, beyond = _doubt(fit, family, sizes) if like_timed else (_NOT_TIMED, "")
    together = fit.network_spread
    if doubt:
        spread = together = spread**2
    near, far = (Seconds(value, value / together, value * together) for value in (near_s, far_s))
    kind = sizes.family if like_timed else call.name
    return KnownKernel(LayerParts(near, far, sizes.weight_bytes), spread, kind, dtype, doubt, beyond)


def _doubt(fit: Fit, family: int, sizes: Sizes) -> tuple[str, str]:
    """Why a kernel is unlike those that were timed, and how far beyond; both "" where it is not."""
    if family not in fit.sampled:
        return _NOT_TIMED, ""
    least, most = fit.sampled[family]
    if least <= sizes.sites <= most:
        return "", ""
    times, than = (sizes.sites / most, "most") if sizes.sites > most else (least / sizes.sites, "least")
    word = "more" if than == "most" else "less"
    beyond = f", {times:.3g} times {word} than the {than}" if times >= _FAR_BEYOND else ""
    return _EXTRAPOLATED, beyond
