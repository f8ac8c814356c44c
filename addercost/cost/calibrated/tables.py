"""The files of timed kernels that predict a target. A file is read once. One of another machine is refused,
with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from addercost.cost.calibrated.compiled import CompiledNetworks, fit_compiled
from addercost.cost.calibrated.fit import Calibrated, Fit, fit, fit_alone, has_enough, refuse_few
from addercost.cost.calibrated.formats import by_format
from addercost.cost.target import IN_NETWORK, STREAMED, Target
from addercost.errors import AddercostError
from addercost.hardware.kernel_times import (
    CHANNELS_LAST,
    COMPILED,
    CONTIGUOUS,
    EAGER,
    OFTEN,
    Conditions,
    KernelTimes,
    read_kernel_times,
)


def why_unusable(target: Target) -> str:
    """Why none of the target's files can be used; "" if one can. Compiled networks need a file of kernels
    that were run eagerly as well.
    """
    if target.clock_hz is None:
        return f"{target.name} has no clock"
    eagerly = _nearest(run_eagerly(target))[0] if target.kernel_mode == COMPILED else ""
    return _nearest(target)[0] or eagerly


def run_eagerly(target: Target) -> Target:
    """The target with its kernels run eagerly, with images in the layout that a compiler chooses."""
    return replace(target, kernel_mode=EAGER, kernel_layout=CHANNELS_LAST)


def nearest_file(target: Target) -> Path:
    """The file whose conditions differ least from those of the target's estimates. The target has at least
    one file.
    """
    return _nearest(target)[1]


def _nearest(target: Target) -> tuple[str, Path]:
    """(why the nearest file cannot be used or "", the file). Files of one machine differ in threads, formats,
    layouts and modes; one of another mode is the farthest.
    """
    of_mode = [path for path in target.kernel_files if _may_be_of_mode(target.kernel_mode, path)]
    reasons = [(_why_not(target, path), path) for path in of_mode or target.kernel_files]
    return min(reasons, key=lambda reason: (reason[0] != "", reason[0].count(";")))


def usable_files(target: Target) -> list[Path]:
    """The files of the target that can be used."""
    return [path for path in target.kernel_files if not _why_not(target, path)]


def read_times(path: Path) -> Mapping[str, KernelTimes]:
    """The content of a file by the formats that it predicts: those of which it has enough for a fit. It is
    read again only when the file has changed. Raises DataError for a damaged one, and ArgumentError where
    there is too little of every format.
    """
    return _read(path, _stamp(path))


def fitted(path: Path, caches: str = IN_NETWORK, dtype: str = "float32") -> Fit:
    """The fit to one of the formats that `read_times` gives for the file, made again only when the file has
    changed.
    """
    return _fitted(path, _stamp(path), caches, dtype)


def fitted_compiled(path: Path, eager: Path, dtype: str) -> CompiledNetworks:
    """The fit to a file of compiled networks. eager: the file of the kernels, run eagerly. dtype: as in
    `fitted`.
    """
    return _fitted_compiled(path, _stamp(path), eager, _stamp(eager), dtype)


def usual_factor(target: Target, dtype: str = "") -> float | None:
    """How many times as long as on the quiet machine a fixed reference took beside the target's kernels of a
    format, or beside any where none is named. None where these were timed at the machine's best speed alone,
    or were not timed.
    """
    for path in usable_files(target):
        for name, times in read_times(path).items():
            if times.conditions.speeds == OFTEN and dtype in ("", name):
                return times.usual_factor
    return usual_factor(target) if dtype else None


def differences(conditions: Conditions, target: Target) -> list[str]:
    """Each way in which the conditions of a file's times differ from those of an estimate for the target, as
    words.
    """
    found = []
    if target.processor != conditions.processor:
        found.append(f"on {conditions.processor}, and {target.name} is {target.processor or 'not named'}")
    if conditions.threads != target.working_cores:
        found.append(
            f"with {_number(conditions.threads, 'thread')}, and this estimate is for "
            f"{_number(target.working_cores, 'core')}"
        )
    if conditions.mode != target.kernel_mode:
        found.append(f"in {conditions.mode} networks, and this estimate is for {target.kernel_mode} ones")
    if conditions.layout != target.kernel_layout:
        found.append(f"with images {conditions.layout}, and these are {target.kernel_layout}")
    installed = _installed_torch()
    if installed not in ("", conditions.torch):
        found.append(f"with torch {conditions.torch}, and {installed} is installed")
    return found


def _may_be_of_mode(mode: str, path: Path) -> bool:
    """False where the file says that it is of another mode."""
    try:
        return conditions_of(path).mode == mode
    except (AddercostError, OSError):
        return True


def _number(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n > 1)}"


def _why_not(target: Target, path: Path) -> str:
    try:
        found = [] if target.borrows_kernels else differences(conditions_of(path), target)
        if not found:
            read_times(path)
            return ""
    except (AddercostError, OSError) as error:
        return str(error)
    return (
        f"the kernels of {path.name} were timed {'; '.join(found)}: run `addercost calibrate --kernels"
        f"{_options(target)}` here, or borrow them: --force, or the file with --kernels"
    )


def _options(target: Target) -> str:
    """The options with which `calibrate --kernels` times the kernels that the target needs."""
    threads = f" --threads {target.working_cores}" if target.working_cores > 1 else ""
    layout = f" --layout {target.kernel_layout}" if target.kernel_layout != CONTIGUOUS else ""
    return threads + layout + (f" --mode {target.kernel_mode}" if target.kernel_mode != EAGER else "")


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


def conditions_of(path: Path) -> Conditions:
    """Under what a file was timed. Raises DataError for a damaged file."""
    return _document(path, _stamp(path)).conditions


@lru_cache(maxsize=16)
def _document(path: Path, stamp: int) -> KernelTimes:
    return read_kernel_times(path)


@lru_cache(maxsize=16)
def _read(path: Path, stamp: int) -> Mapping[str, KernelTimes]:
    every = by_format(_document(path, stamp))
    enough = {name: times for name, times in every.items() if has_enough(times)}
    if not enough:
        refuse_few(next(iter(every.values())))
    return enough


@lru_cache(maxsize=16)
def _fitted(path: Path, stamp: int, caches: str, dtype: str) -> Fit:
    if caches == STREAMED:
        in_network = _fitted(path, stamp, IN_NETWORK, dtype)
        assert isinstance(in_network, Calibrated)
        return replace(in_network, streamed=True)
    with one_thread():
        times = _read(path, stamp)[dtype]
        return fit(times) if caches == IN_NETWORK else fit_alone(times, caches)


@lru_cache(maxsize=16)
def _fitted_compiled(path: Path, stamp: int, eager: Path, eager_stamp: int, dtype: str) -> CompiledNetworks:
    with one_thread():
        kernels = _fitted(eager, eager_stamp, IN_NETWORK, dtype)
        assert isinstance(kernels, Calibrated)
        return fit_compiled(_read(path, stamp)[dtype], kernels)


def one_thread() -> AbstractContextManager[object]:
    """Limits numerical libraries to one thread inside the block. Trees of a thousand samples are evaluated
    faster by one thread than by several that wait for each other.
    """
    import sklearn.ensemble  # noqa: F401  (only threads of libraries that are loaded can be limited)
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def _installed_torch() -> str:
    """The version of the installed torch, "" where there is none."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
