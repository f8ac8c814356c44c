"""A dispatch mode that writes down every operator call, and computes the common shapes itself."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from addercost.counts.call_work import rule_for
from addercost.trace.backward import BACKWARD, GradientPaths, Idle, start_backward
from addercost.trace.modules import CallStack
from addercost.trace.patterns import recognised
from addercost.trace.record import DECOMPOSED, ArgValue, OpCall, TensorSpec
from addercost.trace.shapes import FAST_SHAPES

_LARGE_CONSTANT = 1 << 20
"""Elements above which a constant made in a forward gets no data on a data-free run."""

_FACTORIES = frozenset(
    {"empty", "zeros", "ones", "full", "rand", "randn", "empty_strided", "normal", "randint"}
)
_SAME_VALUES = frozenset({"_to_copy", "clone", "detach", "alias", "lift_fresh", "contiguous"})
"""Operators whose output is still the parameter they were given."""

_WRITES_SHAPE = torch.Tag.inplace_view


class OpInfo(NamedTuple):
    """What the schema says about an operator, read once per operator."""

    op: str
    name: str
    arguments: tuple[str, ...]
    defaults: tuple[Any, ...]
    tags: tuple[str, ...]
    keeps_role: bool
    changes_shape: bool
    decomposition: Callable[..., Any] | None = None


def op_info(func: Any) -> OpInfo:
    schema = getattr(func, "_schema", None)
    if schema is None:  # a higher-order operator has no schema
        name = str(getattr(func, "name", lambda: func)())
        return OpInfo(f"higher_order.{name}.default", name, (), (), (), False, False)
    tags = [tag.name for tag in func.tags if tag.name in ("pointwise", "data_dependent_output")]
    aliases = [value.alias_info for value in schema.returns]
    is_view = any(alias is not None and not alias.is_write for alias in aliases)
    writes = any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments)
    if is_view:
        tags.append("view")
    if writes:
        tags.append("inplace")
    namespace, _, name = schema.name.partition("::")
    return OpInfo(
        op=f"{namespace}.{name}.{schema.overload_name or 'default'}",
        name=name,
        arguments=tuple(argument.name for argument in schema.arguments),
        defaults=tuple(
            argument.default_value if argument.has_default_value() else None for argument in schema.arguments
        ),
        tags=tuple(tags),
        keeps_role=is_view or name in _SAME_VALUES,
        changes_shape=_WRITES_SHAPE in func.tags,
        decomposition=_decomposition(func, f"{namespace}.{name}", tags),
    )


def _decomposition(func: Any, name: str, tags: list[str]) -> Callable[..., Any] | None:
    """torch's own definition of an operator in terms of others, for one that no rule counts.

    For coverage, not for counting: it may do work that the operator need not. Random numbers stay whole.
    """
    if rule_for(name, tags) is not None or torch.Tag.nondeterministic_seeded in func.tags:
        return None
    from torch._decomp import decomposition_table

    found: Callable[..., Any] | None = decomposition_table.get(func)
    return found


class Recorder(TorchDispatchMode):
    """Records calls in order. `tracer` is "meta", "fake" or "real" and decides how a call is carried out.

    On a data-free run the raw calls are kept and made plain afterwards, because every tensor can be held
    for nothing and its id then names it. A real run makes each call plain at once and holds no tensor.
    """

    def __init__(
        self,
        stack: CallStack,
        tracer: str,
        names: Mapping[int, tuple[str, str, Tensor]],
        inputs: list[Tensor],
        gradients: GradientPaths | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stack = stack
        self._meta = tracer == "meta"
        self._deferred = tracer != "real"
        self._raw: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any, str, tuple[str, ...]]] = []
        self._gradients = gradients
        self._more_tags: tuple[str, ...] = ()
        self._specs: dict[int, TensorSpec] = {}
        self._watched: dict[int, weakref.ref[Tensor]] = {}
        self._alive: list[Tensor] = []
        self._calls: list[OpCall] = []
        # Described when first used: a lazy module's parameters have no shape until then.
        self._known = {id(tensor): ("", "input") for tensor in inputs} | {
            key: (name, role) for key, (name, role, _) in names.items()
        }
        self._held = (names, inputs)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # torch would wrap the method below so that its first call imports the compiler, for most of a second.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        path = self._stack.path
        if self._gradients is not None:
            path = self._gradients.path(path)
        fast = FAST_SHAPES.get(func) if self._meta else None
        out = fast(*args, **kwargs) if fast is not None else NotImplemented
        if out is NotImplemented:
            info = known_op_info(func)
            if info.decomposition is not None:
                out = self._taken_apart(info, args, kwargs)
                if out is not NotImplemented:
                    return out
            out = self._on_meta(func, args, kwargs) if self._meta else func(*args, **kwargs)
        self._raw.append((func, args, kwargs, out, path, self._more_tags))
        if not self._deferred:
            self._flush()
        return out

    def _taken_apart(self, info: OpInfo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Records a decomposition in an operator's place; NotImplemented and nothing recorded if it fails."""
        assert info.decomposition is not None
        self._flush()
        known = len(self._calls)
        tags = self._more_tags
        if not any(tag.startswith(DECOMPOSED) for tag in tags):
            self._more_tags = (*tags, DECOMPOSED + info.op)
        try:
            with self:
                out = info.decomposition(*args, **kwargs)
        except (RuntimeError, NotImplementedError, TypeError, ValueError, AssertionError):
            out = NotImplemented
        finally:
            self._more_tags = tags
        if out is NotImplemented:
            self._raw.clear()
            del self._calls[known:]
        return out

    def _on_meta(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        info = known_op_info(func)
        if info.changes_shape:
            # The recorded calls so far must see the shape this tensor had until now.
            self._flush()
        device = kwargs.get("device")
        if device is not None and info.name in _FACTORIES and device.type == "cpu":
            size = args[0] if args and isinstance(args[0], list | tuple) else ()
            if torch.Size(size).numel() > _LARGE_CONSTANT:
                kwargs = {**kwargs, "device": torch.device("meta")}
        try:
            return func(*args, **kwargs)
        except (RuntimeError, NotImplementedError):
            # Constants made in the forward keep their values on the CPU until they meet data-free tensors.
            moved, changed = _to_meta((args, kwargs))
            if not changed:
                raise
        return func(*moved[0], **moved[1])

    def run_backward(self, output: Any, name: str) -> None:
        """The backward pass of what was recorded so far; its calls are tagged and belong to their forward's
        modules."""
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

    def calls(self) -> tuple[OpCall, ...]:
        """Every call so far, as plain data."""
        self._flush()
        return recognised(self._calls)

    def _flush(self) -> None:
        for func, args, kwargs, out, path, tags in self._raw:
            self._calls.append(self._plain(func, args, kwargs, out, path, tags))
        self._raw.clear()

    def _plain(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        out: Any,
        path: str,
        more_tags: tuple[str, ...],
    ) -> OpCall:
        info = known_op_info(func)
        values: dict[str, ArgValue] = {}
        given = len(args)
        for position, name in enumerate(info.arguments):
            if position < given:
                value = args[position]
            elif name in kwargs:
                value = kwargs[name]
            else:
                value = info.defaults[position]
            values[name] = self._value(value)
        role, source = self._output_role(info, values)
        outputs = out if isinstance(out, tuple | list) else (out,)
        specs = tuple(
            self._remember(value, role, source) for value in _flat(outputs) if isinstance(value, Tensor)
        )
        tags = (*info.tags, *more_tags) if more_tags else info.tags
        return OpCall(info.op, path, values, specs, len(self._calls), tags)

    def _output_role(self, info: OpInfo, values: Mapping[str, ArgValue]) -> tuple[str, str]:
        """A view of a parameter is that parameter; what is computed from parameters alone is derived."""
        source: TensorSpec | None = None
        for value in values.values():
            for spec in value if isinstance(value, tuple) else (value,):
                if not isinstance(spec, TensorSpec):
                    continue
                if spec.role in ("parameter", "derived"):
                    source = source or spec
                elif spec.role != "constant" and spec.role != "buffer":
                    return "activation", ""
        if source is None:
            return "activation", ""
        return (source.role, source.name) if info.keeps_role else ("derived", source.name)

    def _value(self, value: Any) -> ArgValue:
        if isinstance(value, Tensor):
            known = self._specs.get(id(value))
            if known is not None:
                return known
            name, role = self._known.get(id(value), ("", "constant"))
            return self._remember(value, role, name)
        if value is None or isinstance(value, bool | int | float | str | complex):
            return value
        if isinstance(value, list | tuple):
            return tuple([self._value(item) for item in value])
        if isinstance(value, torch.dtype):
            return str(value).removeprefix("torch.")
        if isinstance(value, torch.ScriptObject) and hasattr(value, "unpack"):
            return self._unpacked(value)
        if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
            return str(value)
        return str(value)

    def _unpacked(self, packed: Any) -> ArgValue:
        """The tensors inside a quantised layer's packed parameters: they are its parameters."""
        with _disable_current_modes():
            tensors = [item for item in packed.unpack() if isinstance(item, Tensor)]
        return tuple([tensor_spec(item, "parameter", f"packed.{i}") for i, item in enumerate(tensors)])

    def _remember(self, tensor: Tensor, role: str, name: str) -> TensorSpec:
        key = id(tensor)
        known = self._specs.get(key)
        if known is not None and known.shape == tensor.shape:
            return known  # an in-place operator returns the tensor it was given
        spec = self._specs[key] = tensor_spec(tensor, role, name)
        if self._deferred:
            self._alive.append(tensor)
        else:
            self._watched[key] = weakref.ref(tensor, lambda _: self._forget(key))
        return spec

    def _forget(self, key: int) -> None:
        self._specs.pop(key, None)
        self._watched.pop(key, None)


_INFOS: dict[Any, OpInfo] = {}


def known_op_info(func: Any) -> OpInfo:
    info = _INFOS.get(func)
    if info is None:
        info = _INFOS[func] = op_info(func)
    return info


_DTYPES: dict[torch.dtype, str] = {}


def tensor_spec(tensor: Tensor, role: str, name: str = "") -> TensorSpec:
    dtype = _DTYPES.get(tensor.dtype)
    if dtype is None:
        dtype = _DTYPES[tensor.dtype] = str(tensor.dtype).removeprefix("torch.")
    return TensorSpec(tuple([int(size) for size in tensor.shape]), dtype, role, name)


def _flat(values: Any) -> Any:
    for value in values:
        if isinstance(value, tuple | list):
            yield from _flat(value)
        else:
            yield value


def _to_meta(value: Any) -> tuple[Any, bool]:
    """The same arguments with CPU tensors put on the meta device, and whether there was one."""
    if isinstance(value, Tensor):
        return (value.to("meta"), True) if value.device.type == "cpu" else (value, False)
    if isinstance(value, list | tuple):
        moved = [_to_meta(item) for item in value]
        return type(value)([item for item, _ in moved]), any(changed for _, changed in moved)
    if isinstance(value, dict):
        pairs = {key: _to_meta(item) for key, item in value.items()}
        return {key: item for key, (item, _) in pairs.items()}, any(changed for _, changed in pairs.values())
    return value, False
