"""A dispatch mode that records every operator call. It computes the output shapes of common operators
itself.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from addercost.trace.backward import BACKWARD, GradientPaths, Idle, start_backward
from addercost.trace.control_flow import CONTROL_FLOW
from addercost.trace.decompositions import Decompositions
from addercost.trace.modules import CallStack
from addercost.trace.op_info import OpInfo, known_op_info
from addercost.trace.patterns import recognised
from addercost.trace.plain_calls import PlainCalls, in_registers
from addercost.trace.record import DECOMPOSED, OpCall, Storage
from addercost.trace.shapes import FAST_SHAPES
from addercost.trace.sparse import SparseGradients, is_sparse, keep_pattern, with_products
from addercost.trace.storage_times import StorageTimes
from addercost.trace.written_tensors import WrittenTensors

_LARGE_CONSTANT = 1 << 20
"""A constant with more elements than this, made by a forward, gets no data in a data-free run."""

_ADD = torch.ops.aten.add.Tensor

_FACTORIES = frozenset(
    {"empty", "zeros", "ones", "full", "rand", "randn", "empty_strided", "normal", "randint"}
)


class Recorded(NamedTuple):
    """The fields of a `Trace` that a recorder knows."""

    calls: tuple[OpCall, ...]
    storages: tuple[Storage, ...] | None
    repeats: Mapping[str, tuple[int, ...]]


class Recorder(PlainCalls, TorchDispatchMode):
    """Records calls in order. `tracer` is "meta", "fake" or "real" and decides how a call is executed.

    A data-free run keeps the raw calls with their tensors, which take no memory, and converts them to plain
    data afterwards. A run with data, and one that records when memory is freed, converts each call at once
    and keeps no tensor alive.
    """

    def __init__(
        self,
        stack: CallStack,
        tracer: str,
        names: Mapping[int, tuple[str, str, Tensor]],
        inputs: list[Tensor],
        gradients: GradientPaths | None,
        decompositions: Decompositions,
        written: WrittenTensors,
        memory: bool = False,
    ) -> None:
        super().__init__(names, inputs, keep_tensors=tracer != "real" and not memory)
        self._written = written
        if tracer == "real":
            written.made([tensor for _, _, tensor in names.values()])
            written.made(inputs)
        self._stack = stack
        self._meta = tracer == "meta"
        self._real = tracer == "real"
        self.refused: tuple[Any, tuple[Any, ...], dict[str, Any]] | None = None
        """The last operator that raised, with its arguments."""
        self._raw: list[tuple[Any, OpInfo, tuple[Any, ...], dict[str, Any], Any, str, tuple[str, ...]]] = []
        self._gradients = gradients
        self._decompositions = decompositions
        self._more_tags: tuple[str, ...] = ()
        self.storage_times = StorageTimes(self._calls.__len__) if memory else None
        given = [*inputs, *(tensor for _, _, tensor in names.values())]
        self._sparse = SparseGradients() if gradients is not None and any(map(is_sparse, given)) else None

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Without this, torch would wrap the method below, and its first call would import the compiler, which
        # takes most of a second.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if types and any(kind.__name__ == "NestedTensor" for kind in types):
            # A nested tensor of the jagged layout calls the operators again, on its values.
            return NotImplemented
        path = self._stack.path
        if self._gradients is not None:
            path = self._gradients.path(path)
        info = known_op_info(func)
        fast = FAST_SHAPES.get(func) if self._meta else None
        out = fast(*args, **kwargs) if fast is not None else NotImplemented
        if out is NotImplemented:
            if info.higher_order and info.name in CONTROL_FLOW:
                with self:
                    return CONTROL_FLOW[info.name](*args, **kwargs)
            decomposition = self._decompositions.of(func, info)
            if decomposition is not None:
                out = self._decomposed(decomposition, info, args, kwargs)
                if out is not NotImplemented:
                    return out
            if info.writes:
                self._written.about_to_write(info.written(args, kwargs))
            try:
                out = self._on_meta(func, info, args, kwargs) if self._meta else func(*args, **kwargs)
            except Exception:
                # Whether it needed data is asked later, because answering runs the operator with data.
                self.refused = None if self._real else (func, args, kwargs)
                raise
            dense = out.__class__ is Tensor and out.layout is torch.strided
            if not self._real and (info.asks_pattern or not dense):
                keep_pattern(info.name, info.tags, args, out)
            if not info.aliases:
                self._written.made(out)
        if self.storage_times is not None:
            self._note_storages(self.storage_times, func, info, out)
        self._raw.append((func, info, args, kwargs, out, path, self._more_tags))
        if not self._keep_tensors or self._sparse is not None:
            self.flush()
        if self._real:
            self._calls[-1] = with_products(self._calls[-1], info.name, args)
        if self._sparse is not None:
            self._calls[-1] = self._sparse.noted(self._calls[-1], type(self._stack.path) is not Idle)
        return out

    def _note_storages(self, times: StorageTimes, func: Any, info: OpInfo, out: Any) -> None:
        if info.aliases:
            return
        times.made(out)
        if func is _ADD and type(self._stack.path) is Idle:
            times.accumulated(out)

    @contextmanager
    def in_kernel(self) -> Iterator[None]:
        """While active, recorded calls are those of one kernel, and what they make stays in its registers."""
        self.flush()
        known = len(self._calls)
        times, self.storage_times = self.storage_times, None
        try:
            yield
            self.flush()
            self._calls[known:] = in_registers(self._calls[known:])
        finally:
            self.storage_times = times

    def _decomposed(
        self,
        decomposition: Callable[..., Any],
        info: OpInfo,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Records an operator's decomposition instead of the operator. If that fails, records nothing and
        returns NotImplemented.
        """
        self.flush()
        known = len(self._calls)
        known_storages = len(self.storage_times) if self.storage_times is not None else 0
        tags = self._more_tags
        if not any(tag.startswith(DECOMPOSED) for tag in tags):
            self._more_tags = (*tags, DECOMPOSED + info.op)
        try:
            with self:
                out = decomposition(*args, **kwargs)
        except (RuntimeError, NotImplementedError, TypeError, ValueError, AssertionError):
            out = NotImplemented
        finally:
            self._more_tags = tags
        if out is NotImplemented:
            self._raw.clear()
            del self._calls[known:]
            if self.storage_times is not None:
                self.storage_times.forget_since(known_storages)
        return out

    def _on_meta(self, func: Any, info: OpInfo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if info.changes_shape:
            # The calls so far must be recorded with the shape that this tensor still has.
            self.flush()
        device = kwargs.get("device")
        if device is not None and info.name in _FACTORIES and device.type == "cpu":
            size = args[0] if args and isinstance(args[0], list | tuple) else ()
            if torch.Size(size).numel() > _LARGE_CONSTANT:
                kwargs = {**kwargs, "device": torch.device("meta")}
        try:
            return func(*args, **kwargs)
        except (RuntimeError, NotImplementedError):
            # Constants that the forward makes keep their values on the CPU until an operator combines them
            # with a data-free tensor.
            moved, changed = _to_meta((args, kwargs))
            if not changed:
                return self._by_positions(func, info, args, kwargs)
            if any(isinstance(t, Tensor) and t.device.type == "cpu" for t in info.written(args, kwargs)):
                # The constant would then have values that are no longer correct.
                raise NotImplementedError(f"{info.op} writes what has no data into a constant") from None
        return func(*moved[0], **moved[1])

    def _by_positions(self, func: Any, info: OpInfo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of a call that needs values, if positions determine all of them. Otherwise raises the
        error that is being handled.
        """
        if not self.follows_positions:
            raise
        self.flush()
        known = self.positions.known((args, kwargs)) if not info.writes else None
        if known is not None:
            # If the CPU cannot compute it either, the error that is being handled is raised.
            with contextlib.suppress(Exception), _disable_current_modes():
                return func(*known[0], **known[1])
        if info.name not in ("index", "index_put", "index_put_"):
            raise
        indices = self.positions.as_numbers(args[1])
        if indices is None:
            raise
        return func(args[0], indices, *args[2:], **kwargs)

    def run_backward(self, output: Any, name: str) -> None:
        """Runs the backward pass of what was recorded so far. Its calls are tagged. Each belongs to the
        module whose forward made it necessary.
        """
        assert self._gradients is not None
        self._gradients.running = True
        self._more_tags = (BACKWARD,)
        self._stack.path = Idle()
        try:
            start_backward(output, name)
        finally:
            self._stack.path = ""
            self._more_tags = ()
            self._gradients.running = False

    def repeat(self, calls: Sequence[OpCall], numbered: int) -> None:
        """Records these calls as made now; so many tensors in them have new numbers."""
        self.flush()
        self._calls += calls
        self._numbered += numbered

    def calls_since(self, first: int) -> tuple[OpCall, ...]:
        """The calls from that index on."""
        self.flush()
        return tuple(self._calls[first:])

    def call_count(self) -> int:
        """The number of calls that are recorded so far."""
        return len(self._calls) + len(self._raw)

    def recorded(self, begun: Sequence[tuple[str, int]]) -> Recorded:
        """Everything so far, as plain data.

        begun: paths of modules, each with the number of calls that were recorded before its forward ran.
        """
        self.flush()
        kept = recognised(self._calls)
        indices = [call.index for call in kept]
        starts: dict[str, list[int]] = {call.module: [] for call in kept}
        for path, start in begun:
            if path in starts:
                starts[path].append(start)
        return Recorded(
            calls=tuple([call if call.index == i else replace(call, index=i) for i, call in enumerate(kept)]),
            storages=self.storage_times.storages(indices) if self.storage_times is not None else None,
            repeats={
                path: tuple([bisect_left(indices, start) for start in its])
                for path, its in starts.items()
                if len(its) > 1
            },
        )

    def flush(self) -> None:
        """Makes the calls that were not yet made plain data."""
        for raw in self._raw:
            self._calls.append(self._plain(*raw))
        self._raw.clear()


def _to_meta(value: Any) -> tuple[Any, bool]:
    """The same arguments with CPU tensors moved to the meta device, and whether there were any."""
    if isinstance(value, Tensor):
        return (value.to("meta"), True) if value.device.type == "cpu" else (value, False)
    if isinstance(value, list | tuple):
        moved = [_to_meta(item) for item in value]
        return type(value)([item for item, _ in moved]), any(changed for _, changed in moved)
    if isinstance(value, dict):
        pairs = {key: _to_meta(item) for key, item in value.items()}
        return {key: item for key, (item, _) in pairs.items()}, any(changed for _, changed in pairs.values())
    return value, False
