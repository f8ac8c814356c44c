"""Places that take nothing: a full disk, folders that cannot be written to, a user without rights."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import random
import resource
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.attack.attempt import Attempt
from tests.attack.bad_calls import left_behind, names_in
from tests.attack.call import called, fault_of
from tests.attack.material import BENCH, SWEEP, TRAIN, VALIDATE

WRITERS: dict[str, Sequence[str]] = {
    "profile": ("profile", "trace.json", "--cpu", "via-nano-2000", "-o", "out/made.csv"),
    "save-trace": ("profile", "net.py:Net", "--save-trace", "out/made.json", "-q"),
    "report": ("report", "trace.json", "-o", "out/made.html", "-q"),
    "xlsx": ("report", "trace.json", "-o", "out/made.xlsx", "-q"),
    "plot": ("plot", "breakdown", "trace.json", "-o", "out/made.svg", "-q"),
    "diff": ("diff", "trace.json", "trace.json", "--format", "html", "-o", "out/made.html"),
    "bench": (*BENCH, "-o", "out/made.json"),
    "sweep": (*SWEEP, "-o", "out/made"),
    "train": (*TRAIN, "-o", "out/made"),
    "validate": (*VALIDATE, "-o", "out/made"),
    "query": ("query", "swept", "SELECT * FROM sweep", "-o", "out/made.csv"),
}
KEPT = ("sweep", "train", "bench", "validate")
"""These keep what is whole, so that the same command goes on."""
NOBODY = 65534
CAPSET = {"x86_64": 126, "aarch64": 91}[platform.machine()]
FULL_BYTES = 2048


def attempts(inputs: Path, rng: random.Random, share: float) -> Sequence[Attempt]:
    found = []
    for name, arguments in WRITERS.items():
        for place in (
            full_disk,
            full_temporary_folder,
            unwritable_folder,
            folder_of_another_user,
            unwritable_home,
        ):
            found.append(
                Attempt(
                    f"{name} with {place.__name__.replace('_', ' ')}",
                    _with(inputs, name, arguments, place),
                    1,
                    150,
                )
            )
    rng.shuffle(found)
    return found[: max(round(len(found) * max(share, 0.15)), 1)]


Place = Callable[[Path], tuple[bool, Callable[[], object]]]
"""Prepares a folder. Returns whether the call has to be refused with 5, and what the call does first."""


def full_disk(folder: Path) -> tuple[bool, Callable[[], object]]:
    """A file system in memory without a free byte, where one may be mounted; else no file above 2 kB."""
    if _mounted(folder / "out"):
        _fill(folder / "out")
        return True, lambda: None

    def few_bytes() -> None:
        # The signal of a file that grew too large would end the process: Python ignores it, as we do here.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))

    return False, few_bytes


def full_temporary_folder(folder: Path) -> tuple[bool, Callable[[], object]]:
    (folder / "tmp").mkdir()
    os.environ["TMPDIR"] = str(folder / "tmp")
    tempfile.tempdir = None
    if _mounted(folder / "tmp"):
        _fill(folder / "tmp")
    return False, lambda: None


def _fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))


def unwritable_folder(folder: Path) -> tuple[bool, Callable[[], object]]:
    (folder / "out").chmod(0o555)
    return True, _without_privileges


def folder_of_another_user(folder: Path) -> tuple[bool, Callable[[], object]]:
    """Who may write to it, and to nothing else."""
    (folder / "out").chmod(0o777)
    if os.geteuid() == 0:
        os.chown(folder / "out", NOBODY, NOBODY)
    return False, _without_privileges


def unwritable_home(folder: Path) -> tuple[bool, Callable[[], object]]:
    home = folder / "no home"
    home.mkdir(mode=0o555)

    def enter() -> None:
        os.environ["HOME"] = str(home)
        _without_privileges()

    return False, enter


def _without_privileges() -> None:
    """The permissions of files hold for root as well, once it has no capabilities."""
    version_3, empty = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    failed = ctypes.CDLL(None, use_errno=True).syscall(CAPSET, version_3, empty)
    assert not failed, os.strerror(ctypes.get_errno())


def _mounted(at: Path) -> bool:
    """Whether a small file system is there now; it is this process's alone, and ends with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, private = 0x00020000, 1 << 18 | 1 << 14
    if libc.unshare(new_namespace) or libc.mount(b"none", b"/", None, private, None):
        return False
    return libc.mount(b"tmpfs", str(at).encode(), b"tmpfs", 0, b"size=4096,mode=777") == 0


def _with(inputs: Path, name: str, arguments: Sequence[str], place: Place) -> Callable[[Path], list[str]]:
    def run(folder: Path) -> list[str]:
        shutil.copytree(inputs, folder, dirs_exist_ok=True)
        # mkdtemp makes folders that are nobody's business.
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o055)
        (folder / "out").mkdir()
        (folder / "home").mkdir(mode=0o777)
        os.environ["HOME"] = str(folder / "home")
        refused, first = place(folder)
        before = names_in(folder)
        ended = called(arguments, first)
        fault = fault_of(ended, arguments)
        if not fault and refused and ended.code != 5:
            fault = f"it has to end with 5, exit code {ended.code}: {ended.stderr[-300:]!r}"
        if not fault and ended.code not in (0, 5):
            fault = f"exit code {ended.code}: {ended.stderr[-300:]!r}"
        if not fault:
            after = names_in(folder)
            half = [each for each in after - before if each.endswith(".tmp")]
            fault = f"it leaves {', '.join(half)}" if half else ""
            fault = fault or ("" if name in KEPT else left_behind(before, folder, ended.code))
        return [fault] if fault else []

    return run
