"""Which timed kernels stand for a target: read once, refused by name where they belong to something else."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from addercost.cost.calibrated.fit import Calibrated, fit
from addercost.cost.target import Target
from addercost.errors import AddercostError
from addercost.hardware.kernel_times import Conditions, KernelTimes, read_kernel_times

THREADS = 1
"""An estimate is for one core."""


def why_unusable(target: Target) -> str:
    """Why no file of the target can be used; "" if one can."""
    if target.clock_hz is None:
        return f"{target.name} has no clock"
    reasons = [_why_not(target, path) for path in target.kernel_files]
    return "" if "" in reasons else reasons[0]


def usable_times(target: Target) -> list[tuple[Path, KernelTimes]]:
    """The files of the target that can be used, and what they have."""
    return [(path, _read(path, _stamp(path))) for path in target.kernel_files if not _why_not(target, path)]


def fitted(path: Path) -> Calibrated:
    """The fit to a file, made once for each state of it. Raises ArgumentError where it has too little."""
    return _fitted(path, _stamp(path))


def differences(conditions: Conditions, target: Target) -> list[str]:
    """How the conditions of times differ from those that an estimate for the target is made for."""
    found = []
    if target.processor not in (conditions.processor, conditions.processor.rpartition(" ")[0]):
        found.append(f"on {conditions.processor}, and {target.name} is {target.processor or 'not named'}")
    if conditions.threads != THREADS:
        found.append(f"with {conditions.threads} threads, and an estimate is for {THREADS}")
    installed = _installed_torch()
    if installed not in ("", conditions.torch):
        found.append(f"with torch {conditions.torch}, and {installed} is installed")
    return found


def _why_not(target: Target, path: Path) -> str:
    try:
        times = _read(path, _stamp(path))
        _fitted(path, _stamp(path))
    except (AddercostError, OSError) as error:
        return str(error)
    found = [] if target.borrows_kernels else differences(times.conditions, target)
    if not found:
        return ""
    return (
        f"the kernels of {path.name} were timed {'; '.join(found)}: run `addercost calibrate --kernels` "
        "here, or name the file with --kernels to borrow it"
    )


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


@lru_cache(maxsize=8)
def _read(path: Path, stamp: int) -> KernelTimes:
    return read_kernel_times(path)


@lru_cache(maxsize=8)
def _fitted(path: Path, stamp: int) -> Calibrated:
    with one_thread():
        return fit(_read(path, stamp))


def one_thread() -> AbstractContextManager[object]:
    """Trees of a thousand samples take one thread less time than several that wait for each other."""
    import sklearn.ensemble  # noqa: F401  (only threads of libraries that are loaded can be limited)
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def _installed_torch() -> str:
    """Its version, "" where it is not installed and so nothing can run otherwise."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
