"""Compiled kernels with buffers that are kept: every call sees the tensors it was given, and only those."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import pytest
import torch

pytest.importorskip("halide", reason="the CPU kernels need halide")

from addercost.kernels import dispatch, reference
from addercost.kernels.cpu.dense import buffers
from addercost.kernels.cpu.dense.buffers import BufferLayout, Launch
from addercost.kernels.problem import Geometry
from addercost.layers import ops
from tests.kernels.geometries import exhaustive

_LAYOUT = BufferLayout((2, 3), (3, 1))


def test_two_threads_in_one_kernel_have_buffers_of_their_own() -> None:
    both, seen = threading.Barrier(2, timeout=30), []

    def kernel(arguments: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            return
        both.wait()
        source, number, target = arguments
        seen.append((source, target, ctypes.c_int32.from_address(number).value))
        both.wait()

    launch = Launch(lambda: kernel, ((_LAYOUT, torch.float32),), (7,), (_LAYOUT, torch.float32))
    images = [torch.zeros(2, 3) for _ in range(2)]
    # What an earlier call has left may serve one of them.
    launch(*(image.data_ptr() for image in images))
    threads = [threading.Thread(target=launch, args=(x.data_ptr(), x.data_ptr())) for x in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({buffer for source, target, _ in seen for buffer in (source, target)}) == 4
    assert {number for *_, number in seen} == {7}


def test_a_launch_takes_as_many_addresses_as_it_has_buffers() -> None:
    launch = Launch(lambda: lambda *_: None, ((_LAYOUT, torch.float32),), (), (_LAYOUT, torch.float32))
    with pytest.raises(ValueError, match="shorter"):
        launch(0)


@pytest.mark.parametrize("filter_size", [3, *exhaustive(1)])
def test_each_call_sees_its_own_tensors(filter_size: int) -> None:
    geometry = Geometry(padding=(filter_size // 2,) * 2)
    seen = []
    for _ in range(3):
        x, w = torch.randn(2, 5, 6, 7), torch.randn(4, 5, filter_size, filter_size)
        grad = torch.randn(2, 4, 6, 7)
        outputs = (
            dispatch.adder_forward(x, w, geometry),
            dispatch.adder_input_gradient(grad, x, w, geometry, "full"),
        )
        expected = (
            reference.adder_forward(x, w, geometry),
            reference.adder_input_gradient(grad, x, w, geometry, "full"),
        )
        seen.append((outputs, expected))
    # Compared at the end: a call that wrote where an earlier one did would have spoilt that one's output.
    for outputs, expected in seen:
        for output, oracle in zip(outputs, expected, strict=True):
            torch.testing.assert_close(output, oracle, rtol=1e-4, atol=1e-4)


def test_views_that_torch_has_only_marked_as_negated() -> None:
    # The kernel of the test before.
    x = torch.randn(2, 5, 6, 7, dtype=torch.complex64).conj().imag
    assert x.is_neg()
    w = torch.randn(4, 5, 3, 3)
    output = ops.adder.conv2d(x, w, None, [1, 1], [1, 1], [1, 1], 1, "full")
    expected = reference.adder_forward(x.resolve_neg().contiguous(), w, Geometry(padding=(1, 1)))
    torch.testing.assert_close(output, expected)


def test_an_axis_of_one_element_has_the_stride_of_its_view() -> None:
    # Halide's axes are in the reverse order.
    strides = []

    def kernel(arguments: Any) -> None:
        for address in arguments:
            buffer = buffers._Buffer.from_address(address)
            assert (buffer.dimensions, buffer.type) == (3, 0x12002), "fp32, one lane"
            strides.append([buffer.dim[axis].stride for axis in range(3)])

    view = BufferLayout((12, 1, 64), (1, 1, 12))
    Launch(lambda: kernel, ((view, torch.float32),), (), (view, torch.float32))(0, 0)
    assert strides == [[12, 1, 1]] * 2


@pytest.mark.exhaustive
def test_the_gradient_of_a_column_of_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w, geometry = torch.randn(1, 2, 25, 2), torch.randn(64, 2, 2, 4), Geometry((2, 2), (0, 3), (1, 2))
    grad = torch.randn(1, 64, 12, 1)
    out = dispatch.adder_input_gradient(grad, x, w, geometry, "full")
    expected = reference.adder_input_gradient(grad, x, w, geometry, "full")
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)
