"""Kernels as object code: compiled by Halide, kept in the user's cache folder, and loaded.

Compiling a kernel takes about a second, and loading it a millisecond. A file's name follows from everything
that its code depends on, so a file is never out of date. It begins with the digest of its code, since damaged
code could end the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import re
import shutil
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import halide as hl
import llvmlite.binding as llvm

from addercost.errors import OutputError
from addercost.hardware.loader import host_file
from addercost.kernels.cpu.ir.native import engine_of
from addercost.kernels.cpu.torch_threads import address_of, parallel_loop
from addercost.results.files import write_file
from addercost.version import __version__

_UNUSED_S = 30 * 24 * 3600
"""Kernels of other versions are removed when no process has used them for so long."""


def kernel_function(name: str, scheduled: Callable[[], tuple[Any, list[Any]]], target: Any) -> Any:
    """The compiled kernel: a function of one argument, the address of an array of addresses of the kernel's
    arguments. It returns 0, or Halide's number of what was wrong; `said` has the words for it. name: what
    determines the Halide function and its arguments, which `scheduled` makes. Raises halide.HalideError.
    """
    target = target.without_feature(hl.TargetFeature.JIT).with_feature(hl.TargetFeature.NoRuntime)
    symbol = f"kernel_{hashlib.sha256(f'{name} {target}'.encode()).hexdigest()[:32]}"

    def compile_to(path: str) -> None:
        output, arguments = scheduled()
        output.compile_to_object(path, arguments, symbol, target)

    code = _kept(symbol, compile_to)
    with _lock:
        _load_runtime()
        engine = _loaded(code)
    function: Any = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(
        engine.get_function_address(f"{symbol}_argv")
    )
    # The engine owns the code.
    function.engine = engine
    return function


def said() -> str:
    """What Halide said last about a kernel that failed."""
    return _said[-1] if _said else "the kernel failed"


@cache
def kernels_folder() -> Path:
    """Where the kernels of this version are kept. Those of unused versions are removed."""
    digest = hashlib.sha256(f"{version('halide')} {__version__}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    folder = host_file().with_name("kernels") / digest.hexdigest()[:16]
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        # Its time is that of its last use.
        folder.touch()
        for other in folder.parent.iterdir():
            if other.stat().st_mtime < time.time() - _UNUSED_S:
                shutil.rmtree(other, ignore_errors=True)
    return folder


def _kept(name: str, compile_to: Callable[[str], None]) -> bytes:
    """The code with this name from the user's cache folder. Otherwise it is compiled into a file, and kept if
    possible. Raises halide.HalideError.
    """
    path = kernels_folder() / f"{name}.o"
    with contextlib.suppress(OSError):
        data = path.read_bytes()
        digest, code = data[:32], data[32:]
        if hashlib.sha256(code).digest() == digest:
            return code
    try:
        with TemporaryDirectory() as folder:
            made = Path(folder, "made.o")
            compile_to(str(made))
            code = made.read_bytes()
    except OSError as error:
        raise hl.HalideError(f"a kernel's object code cannot be written: {error}") from error
    with contextlib.suppress(OutputError):
        write_file(path, hashlib.sha256(code).digest() + code, force=True)
    return code


_lock = Lock()
_said: list[str] = []


def _say(context: int, text: bytes) -> None:
    """Halide's own error handler would end the process."""
    _said[:] = [text.decode("utf-8", "replace").strip()]


_handler = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)(_say)


@cache
def _load_runtime() -> Any:
    """Loads Halide's runtime, whose functions LLVM knows by name from then on: memory, errors, loops on
    threads. Returns the engine that owns it.
    """
    host = hl.get_host_target()
    target = hl.Target(host.os, host.arch, host.bits)
    code = _kept(f"runtime_{target}", lambda path: hl.compile_standalone_runtime(path, target))
    engine = _loaded(code)
    for name in sorted(set(re.findall(rb"halide_\w+", code))):
        address = engine.get_function_address(name.decode())
        if address:
            llvm.add_symbol(name.decode(), address)
    pointer = ctypes.c_void_p
    setters = {"halide_set_error_handler": _handler, "halide_set_custom_do_par_for": parallel_loop()}
    for name, function in setters.items():
        if function is not None:
            ctypes.CFUNCTYPE(pointer, pointer)(engine.get_function_address(name))(address_of(function))
    return engine


def _loaded(code: bytes) -> Any:
    """An engine with this object code."""
    engine = engine_of(llvm.parse_assembly(""))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine
