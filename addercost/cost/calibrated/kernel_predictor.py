"""Seconds of single kernels on a target. Each distinct kernel is predicted once, and the result is kept.

A kernel is predicted by times of its own number format: the format of its weights, else of most of its bytes.
Kernels on codes have a format of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from addercost.cost.calibrated.codes import CODES, is_of_codes
from addercost.cost.calibrated.families import FAMILIES, is_like_timed
from addercost.cost.calibrated.features import Sizes, sizes_of
from addercost.cost.calibrated.fit import Fit
from addercost.cost.calibrated.tables import (
    fitted,
    fitted_compiled,
    one_thread,
    read_times,
    run_eagerly,
    usable_files,
)
from addercost.cost.cost_model import LayerParts, Seconds
from addercost.cost.target import Target
from addercost.counts.kernel_calls import KernelCall
from addercost.hardware.kernel_times import COMPILED, KernelTimes

_MOST_KEPT = 200_000
"""The most distinct kernels that are kept. Beyond that all are dropped, so that memory does not grow with a
sweep.
"""

_FAR_BEYOND = 2.0
"""A note names a kernel that has this many times the sites of the largest timed one or more, or the sites of
the smallest one divided by this or fewer.
"""

_NOT_TIMED = "of a kind that was not timed"
_EXTRAPOLATED = "with more or less work than any of its kind that was timed, so extrapolated"


@dataclass(frozen=True, slots=True)
class KnownKernel:
    """The prediction for one distinct kernel. parts: the seconds that it adds to a network and to the ends of
    the network's interval. spread: its own interval is from the time / spread to the time × spread. dtype:
    the format of the times that predicted it. doubt: why its interval is widened, "" where it is not. beyond:
    how far its work is from that of the timed kernels, where that is far.
    """

    parts: LayerParts
    spread: float
    kind: str
    dtype: str
    doubt: str = ""
    beyond: str = ""

    def seconds(self, part: float) -> Seconds:
        """Seconds of this kernel with their interval, in a network of which `part` (0 to 1) of the weights is
        in no cache.
        """
        value = self.parts.at(part).value
        return Seconds(value, value / self.spread, value * self.spread)


class KernelPredictor:
    """Seconds of kernels by fits to timed kernels. There is one fit for each number format, made when it is
    first needed. files: the file of each format, by torch's name of the format. compiled: the file of
    compiled networks of each format; where there is any, the kernels are those of compiled networks.
    """

    def __init__(
        self, files: Mapping[str, Path], caches: str, compiled: Mapping[str, Path] | None = None
    ) -> None:
        self._compiled = compiled or {}
        self._files = {name: path for name, path in files.items() if not compiled or name in compiled}
        self._caches = caches
        self._known: dict[KernelCall, KnownKernel] = {}

    def known(self, calls: Sequence[KernelCall]) -> Mapping[KernelCall, KnownKernel]:
        """The prediction for each distinct kernel. Kernels in a format that was not timed are left out."""
        if len(self._known) > _MOST_KEPT:
            self._known.clear()
        new: dict[str, list[KernelCall]] = {}
        for call in dict.fromkeys(calls):
            if call not in self._known:
                new.setdefault(self.dtype_of(call), []).append(call)
        for dtype, distinct in new.items():
            if dtype in self._files:
                fit = self._fit(dtype)
                with one_thread():
                    near, far = (part.tolist() for part in fit.seconds(distinct))
                self._known |= {
                    call: _known(fit, dtype, call, *parts)
                    for call, *parts in zip(distinct, near, far, strict=True)
                }
        return self._known

    @property
    def half_bytes(self) -> float:
        """The `half_bytes` of `far_part`. Any file gives it, since all files are of one machine."""
        dtype, path = next(iter(self._files.items()))
        return fitted(path, self._caches, dtype).half_bytes

    def _fit(self, dtype: str) -> Fit:
        if self._compiled:
            return fitted_compiled(self._compiled[dtype], self._files[dtype], dtype)
        return fitted(self._files[dtype], self._caches, dtype)

    def times(self, dtype: str) -> Sequence[KernelTimes]:
        """The measurements that predict kernels of a format: timed kernels, and compiled networks if any."""
        files = (self._files[dtype], *(path for name, path in self._compiled.items() if name == dtype))
        return [read_times(path)[dtype] for path in files]

    def dtype_of(self, call: KernelCall) -> str:
        """The format of the times that predict the kernel. A kernel that moves only integers takes those of
        any format.
        """
        if is_of_codes(call):
            return CODES
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


def predictor_of(target: Target) -> KernelPredictor:
    """The predictor for a target for which `why_unusable` returns ""."""
    found = _with_stamps(usable_files(target))
    if target.kernel_mode == COMPILED:
        eager = _with_stamps(usable_files(run_eagerly(target)))
        return _predictor(eager, target.kernel_caches, found)
    return _predictor(found, target.kernel_caches)


_Files = tuple[tuple[Path, int], ...]
"""Files, each with the time of its last change."""


def _with_stamps(files: Sequence[Path]) -> _Files:
    return tuple((path, path.stat().st_mtime_ns) for path in files)


@lru_cache(maxsize=4)
def _predictor(files: _Files, caches: str, compiled: _Files = ()) -> KernelPredictor:
    return KernelPredictor(_by_format(files), caches, _by_format(compiled))


def _by_format(files: _Files) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path, _ in files:
        for dtype in read_times(path):
            found.setdefault(dtype, path)
    return found


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
    """(why a kernel is unlike the timed ones, how far its work is beyond theirs); both "" where it is like
    them.
    """
    if family not in fit.sampled:
        return _NOT_TIMED, ""
    least, most = fit.sampled[family]
    if least <= sizes.sites <= most:
        return "", ""
    times, than = (sizes.sites / most, "most") if sizes.sites > most else (least / sizes.sites, "least")
    word = "more" if than == "most" else "less"
    beyond = f", {times:.3g} times {word} than the {than}" if times >= _FAR_BEYOND else ""
    return _EXTRAPOLATED, beyond
