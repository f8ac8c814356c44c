"""Kernels are compiled once and kept as object code."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("halide", reason="the CPU kernels need halide")

import halide as hl

from addercost.kernels.cpu.dense import object_code
from addercost.kernels.cpu.dense.buffers import BufferLayout, Launch
from addercost.kernels.cpu.dense.convolution import compiled, request_of
from addercost.kernels.cpu.dense.plan import choose_class
from addercost.kernels.problem import Geometry

LAYER = """
import sys, torch, halide
from addercost.kernels.cpu.dense.convolution import convolve
from addercost.kernels.problem import Geometry
compiled, compile_to = [], halide.Func.compile_to_object
def counting(*arguments):
    compiled.append(arguments[1])
    return compile_to(*arguments)
halide.Func.compile_to_object = counting
x, w = torch.full((1, 5, 4, 4), 3.0), torch.ones(7, 5, 1, 1)
out = convolve("adder", x, w, Geometry())
print(out.unique().tolist(), len(compiled))
"""


def run(cache: Path) -> str:
    """What a new process prints: the outputs, and how many kernels it has compiled."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", LAYER]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    """|3 - 1| is summed over five channels, and the sum is negative."""
    assert run(tmp_path) == "[-10.0] 1"
    assert run(tmp_path) == "[-10.0] 0"
    kernel = next(tmp_path.glob("addercost/kernels/*/kernel_*.o"))
    whole = kernel.read_bytes()
    kernel.write_bytes(whole[: len(whole) // 2])
    assert run(tmp_path) == "[-10.0] 1", "damaged code is compiled anew"
    assert run(tmp_path) == "[-10.0] 0"


MANY = """
import mmap, re, sys
import llvmlite.binding as llvm
from addercost.kernels.cpu.ir.native import engine_of
NORESERVE = 0x4000  # MAP_NORESERVE of Linux
kept = []
def load(path):
    with open(path, "rb") as file:
        code = file.read()[32:]
    engine = engine_of(llvm.parse_assembly(""))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    for name in set(re.findall(rb"halide_\\w+", code)) if kept else ():
        llvm.add_symbol(name.decode(), kept[0].get_function_address(name.decode()))
    engine.finalize_object()
    kept.append(engine)
load(sys.argv[1])
for i in range(60):
    load(sys.argv[2])
    # Large tensors, and small holes between them.
    kept.append(mmap.mmap(-1, 3 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE))
    kept.append([mmap.mmap(-1, 4096 * (1 + j % 7)) for j in range(10)][::2])
print("loaded")
"""


def test_code_and_constants_are_near_each_other_among_large_tensors(tmp_path: Path) -> None:
    """LLVM ended the process where they were not. The process loads the files itself, since `object_code`
    imports torch: beside its libraries the fault does not show.
    """
    run(tmp_path)
    folder = next(tmp_path.glob("addercost/kernels/*"))
    files = [str(next(folder.glob(name))) for name in ("runtime_*.o", "kernel_*.o")]
    command = [sys.executable, "-c", MANY, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "loaded\n"), done.stderr[-300:]


def test_without_a_cache_folder_kernels_run(tmp_path: Path) -> None:
    (tmp_path / "addercost").write_text("a file where the folder should be")
    assert run(tmp_path) == "[-10.0] 1"
    assert [path.name for path in tmp_path.iterdir()] == ["addercost"]


def test_without_a_folder_for_temporary_files_a_kernel_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dispatch` computes by torch's operators then."""
    monkeypatch.setattr(object_code, "kernels_folder", lambda: tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(hl.HalideError, match="cannot be written"):
        object_code._kept("kernel", lambda path: None)


def test_kernels_of_other_versions_are_removed_when_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_code, "host_file", lambda: tmp_path / "host.toml")
    for name, days in (("new", 29), ("old", 31)):
        folder = tmp_path / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel_1.o").touch()
        seconds = time.time() - days * 24 * 3600
        os.utime(folder, (seconds, seconds))
    own = object_code.kernels_folder.__wrapped__()
    assert sorted(path.name for path in own.parent.iterdir()) == sorted(["new", own.name])
    os.utime(own, (seconds, seconds))
    assert object_code.kernels_folder.__wrapped__() == own
    assert own.is_dir(), "a folder in use is not old"


def test_what_is_wrong_with_a_call_is_said_in_words() -> None:
    """A kernel for images of four columns is given an image of two."""
    x, w = torch.randn(1, 8, 4, 4), torch.randn(8, 8, 3, 3)
    kernel = choose_class(request_of("adder", x, w, Geometry()))
    layouts = [BufferLayout((1, 2, 2, 1, 8), (32, 16, 8, 8, 1)), BufferLayout((1, 8, 72), (576, 72, 1))]
    operands = tuple((layout, torch.float32) for layout in layouts)
    numbers = (1, 1, 0, 0, 1, 1, 3, 3, 2, 2, 1, 1, 0, -1, 2, 2)
    output = BufferLayout((1, 2, 2, 1, 8), (32, 16, 8, 8, 1)), torch.float32
    launch = Launch(lambda: compiled(kernel), operands, numbers, output)
    out = torch.empty(1, 8, 2, 2)
    with pytest.raises(hl.HalideError, match="input"):
        launch(x.data_ptr(), w.data_ptr(), out.data_ptr())
