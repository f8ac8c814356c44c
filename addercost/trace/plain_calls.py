"""Operator calls as plain data: arguments by their names in the schema, and tensors as shapes with roles."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_flatten

from addercost.trace.op_info import OpInfo
from addercost.trace.position_values import PositionValues
from addercost.trace.record import IN_REGISTERS, KEPT_SCORES, PLAIN, ArgValue, OpCall, TensorSpec, map_tensors
from addercost.trace.sparse import PARTS, keep_stored, stored_values

_SEQUENCES = (list, tuple)
_WRITTEN_AS_THEY_ARE = (bool, int, float, complex, str)
"""These types and those derived from them."""


class PlainCalls:
    """Calls in order, with one TensorSpec for each tensor.

    names: (qualified name, role, tensor) of parameters and buffers, by id. keep_tensors: tensors are kept
    alive, so that an id always means the same one; otherwise a tensor's entry is deleted with it.
    """

    follows_positions = True
    """Whether to compute what a mask keeps, where its values are known or follow from positions."""

    def __init__(
        self, names: Mapping[int, tuple[str, str, Tensor]], inputs: list[Tensor], keep_tensors: bool
    ) -> None:
        super().__init__()
        self._specs: dict[int, TensorSpec] = {}
        self._numbered = 0
        self._watched: dict[int, weakref.ref[Tensor]] = {}
        self._alive: list[Tensor] = []
        self._keep_tensors = keep_tensors
        self.packed: dict[str, int] = {}
        """Elements of the parameters inside the packed parameters of quantised layers, by name. No module
        lists these.
        """
        self._calls: list[OpCall] = []
        # A spec is made when its tensor is first used, because a lazy module's parameters have no shape
        # before.
        self._known = {id(tensor): ("", "input") for tensor in inputs} | {
            key: (name, role) for key, (name, role, _) in names.items()
        }
        self._named = (names, inputs)
        self.positions = PositionValues()

    def know_parameters(self, module: nn.Module, path: str) -> None:
        """Registers the names of the module's parameters, as they are now, and of the tensors inside them."""
        for key, parameter in module._parameters.items():
            for tensor in _with_inner(parameter):
                if self._known.get(id(tensor), ("", ""))[1] != "parameter":
                    name = f"{path}.{key}" if path else key
                    self._known[id(tensor)] = name, "parameter"
                    self._specs[id(tensor)] = tensor_spec(tensor, "parameter", name)
                    self._alive.append(tensor)

    def _plain(
        self,
        func: Any,
        info: OpInfo,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        out: Any,
        path: str,
        more_tags: tuple[str, ...],
    ) -> OpCall:
        values: dict[str, ArgValue] = {}
        given = len(args)
        for position, name in enumerate(info.arguments):
            if position < given:
                value = args[position]
            elif name in kwargs:
                value = kwargs[name]
            else:
                value = info.defaults[position]
            kind = type(value)
            if kind in PLAIN:
                values[name] = value
            elif kind is torch.ScriptObject and hasattr(value, "unpack"):
                values[name] = self._unpacked(value, path)
                values |= _place_of(value)
            else:
                values[name] = self._value(value)
        if info.facts is not None:
            named = {**dict(zip(info.arguments, args, strict=False)), **kwargs}
            self.positions.show(named.values())
            found = info.facts(named)
            if not self.follows_positions:
                found.pop(KEPT_SCORES, None)
            values.update(found)
        role, source = self._output_role(info, values)
        if info.keeps_role and isinstance(out, Tensor) and given and info.name not in PARTS:
            keep_stored(out, args[0])
        outputs = out if isinstance(out, _SEQUENCES) else (out,)
        specs = tuple(
            [self._remember(value, role, source) for value in _flat(outputs) if isinstance(value, Tensor)]
        )
        if info.of_positions and self.follows_positions:
            self.positions.made(info, func, args, kwargs, outputs)
        elif info.writes:
            self.positions.written(info.written(args, kwargs))
        tags = (*info.tags, *more_tags) if more_tags else info.tags
        return OpCall(info.op, path, values, specs, len(self._calls), tags)

    def _output_role(self, info: OpInfo, values: Mapping[str, ArgValue]) -> tuple[str, str]:
        """(role, name) of an output.

        A view of a parameter is a parameter. What is computed from parameters, buffers and constants alone is
        "derived" and has the name of its first parameter.
        """
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
        if value is None or isinstance(value, _WRITTEN_AS_THEY_ARE):
            return value
        if isinstance(value, _SEQUENCES):
            return tuple([self._value(item) for item in value])
        return dtype_name(value) if isinstance(value, torch.dtype) else str(value)

    def _unpacked(self, packed: Any, path: str) -> ArgValue:
        """The tensors inside a quantised layer's packed parameters. They are the layer's parameters."""
        with _disable_current_modes():
            tensors = [item for item in packed.unpack() if isinstance(item, Tensor)]
        start = f"{path}.packed" if path else "packed"
        specs = [tensor_spec(item, "parameter", f"{start}.{i}") for i, item in enumerate(tensors)]
        self.packed |= {spec.name: spec.numel for spec in specs}
        return tuple(specs)

    def _remember(self, tensor: Tensor, role: str, name: str) -> TensorSpec:
        key = id(tensor)
        known = self._specs.get(key)
        if known is not None and known.shape == tensor.shape:
            return known  # An in-place operator returns the tensor that it was given.
        self._numbered += 1
        spec = self._specs[key] = tensor_spec(tensor, role, name, self._numbered)
        self._keep(tensor, key)
        return spec

    @property
    def numbered(self) -> int:
        """How many tensors have a number."""
        return self._numbered

    def spec_of(self, tensor: Tensor) -> TensorSpec | None:
        """What the calls so far have in the tensor's place; None where none of them has it."""
        return self._specs.get(id(tensor))

    def know(self, tensor: Tensor, spec: TensorSpec) -> None:
        """From now on calls have `spec` in the tensor's place."""
        key = id(tensor)
        self._specs[key] = spec
        self._keep(tensor, key)

    def _keep(self, tensor: Tensor, key: int) -> None:
        if self._keep_tensors:
            self._alive.append(tensor)
        else:
            self._watched[key] = weakref.ref(tensor, lambda _: self._forget(key))

    def numbers_of(self, values: Any) -> tuple[int, ...]:
        """The numbers, in the calls so far, of the tensors among `values` and inside its containers."""
        found = (self._specs.get(id(value)) for value in tree_flatten(values)[0] if isinstance(value, Tensor))
        return tuple([spec.number for spec in found if spec is not None])

    def _forget(self, key: int) -> None:
        self._specs.pop(key, None)
        self._watched.pop(key, None)
        self.positions.forget(key)


@cache
def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def tensor_spec(tensor: Tensor, role: str, name: str = "", number: int = 0) -> TensorSpec:
    try:
        shape = tuple([int(size) for size in tensor.shape])
    except (RuntimeError, AttributeError):
        shape = _nested_shape(tensor)
    return TensorSpec(shape, dtype_name(tensor.dtype), role, name, stored_values(tensor), number)


def _nested_shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape of all rows of a nested tensor one after another, as they are in memory."""
    with _disable_current_modes():
        if tensor.layout is torch.jagged:
            return tuple(tensor.values().shape)
        elements = tensor.numel()
        try:
            last = tensor.size(-1)
        except RuntimeError:  # The rows have different lengths.
            return (elements,)
    return (elements // last, last) if last else (0, 0)


def in_registers(calls: Sequence[OpCall]) -> list[OpCall]:
    """The calls as those of one kernel: what they make and read again is in registers."""
    made = {spec.number for call in calls for spec in call.outputs}

    def there(name: str, spec: TensorSpec) -> TensorSpec:
        return replace(spec, role=IN_REGISTERS) if spec.number in made else spec

    return [map_tensors(call, there) for call in calls]


def _with_inner(tensor: Any) -> Iterator[Tensor]:
    """The tensor and, if it wraps others, those too."""
    if not isinstance(tensor, Tensor):
        return
    yield tensor
    if is_traceable_wrapper_subclass(tensor):
        for name in tensor.__tensor_flatten__()[0]:
            yield from _with_inner(getattr(tensor, name))


def _flat(values: Any) -> Any:
    for value in values:
        if isinstance(value, _SEQUENCES):
            yield from _flat(value)
        else:
            yield value


def _place_of(packed: Any) -> dict[str, ArgValue]:
    """How a quantised convolution moves over its images, which is in its packed parameters, by the names of
    a plain convolution's arguments. Empty for those of a linear layer.
    """
    if not hasattr(packed, "dilation"):
        return {}
    with _disable_current_modes():
        places = {name: tuple(getattr(packed, name)()) for name in ("stride", "padding", "dilation")}
        return {**places, "groups": int(packed.groups())}
