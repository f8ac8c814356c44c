"""Runs a few layers of a deep stack, and writes down the calls of the others from those.

The decoder of a language model is a hundred layers that differ in the names of their weights and in their own
entries of the cache. The first two of a kind are run. If the calls of the first, with the second's names, are
those that the second made, they stand for the further ones. So a layer is answered only with what was right
once before. A layer that does not fit is run as always.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from addercost.trace.layer_arguments import Arguments, arguments, others_state
from addercost.trace.modules import CallStack, ModuleTree
from addercost.trace.record import ArgValue, OpCall, TensorSpec
from addercost.trace.recorder import Recorder
from addercost.trace.stacked_layers import StackedLayer, is_hooked, stacked_layers
from addercost.trace.storage_times import PastStorage
from addercost.trace.tensor_copies import (
    Contents,
    NewTensors,
    NotRepeatableError,
    TensorForm,
    filled,
    made_again,
)


@dataclass(frozen=True, slots=True)
class _Place:
    """A layer, and how far the recording is before it runs. specs: of the tensors that it is given, None for
    one that no call had so far.
    """

    path: str
    calls: int
    numbered: int
    begun: int
    storages: int
    specs: tuple[TensorSpec | None, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """What a layer does. numbered: how many tensors its calls number. begun: path, class and first call of
    each module within it that runs. output, entries: what it returns and leaves in the caches (None for an
    entry that is not there), made of what it was given and of `tensors`, which have the `specs` and lie in
    storages of `storage_bytes`. first_given: what calls have for given tensors that no call had before, by
    their positions; parameters: the same for those of the layer and its buffers.
    """

    calls: tuple[OpCall, ...]
    numbered: int
    begun: tuple[tuple[str, str, int], ...]
    storages: tuple[PastStorage, ...]
    storage_bytes: tuple[int, ...]
    tensors: tuple[TensorForm, ...]
    specs: tuple[TensorSpec, ...]
    output: Contents
    entries: tuple[Contents | None, ...]
    first_given: tuple[tuple[int, TensorSpec], ...]
    parameters: tuple[TensorSpec, ...]

    def numbers(self) -> list[int]:
        """Of all tensors, which do not count where TensorSpecs are compared."""
        first_given = [spec for _, spec in self.first_given]
        known = [*self.specs, *first_given, *self.parameters]
        return [spec.number for spec in (*_specs_of(self.calls), *known)]


class EqualLayers:
    """`intercept` is called in place of each module's forward. names: as `replace_tensors` returns them."""

    def __init__(
        self,
        tree: ModuleTree,
        stack: CallStack,
        recorder: Recorder,
        names: Mapping[int, tuple[str, str, Tensor]],
    ) -> None:
        self._stack, self._recorder = stack, recorder
        self._layers = {} if stack.wrapping else stacked_layers(tree, names, stack.own_forwards)
        self._tensors = {name: tensor for name, _, tensor in names.values()}
        self._known: dict[tuple[int, Hashable], tuple[_Place, _Run]] = {}
        self._right: set[tuple[int, Hashable]] = set()
        """Of `_known`, those that were right for another layer."""
        self._ran: set[int] = set()
        self._running = False

    def intercept(self, module: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        layer = self._layers.get(id(module))
        if layer is None or self._running or id(module) in self._ran:
            return forward(*args, **kwargs)
        self._ran.add(id(module))
        self._recorder.flush()
        try:
            given = arguments(args, kwargs, layer.indices, self._recorder)
        except (NotRepeatableError, TypeError):
            return forward(*args, **kwargs)
        key = layer.kind, given.state
        place = self._place(layer, given)
        hooked = is_hooked(module)
        if key in self._right and not hooked:
            return self._answer(_moved(*self._known[key], place), place, given)
        others = others_state(args, kwargs, given.entries)
        # Not kept alive meanwhile, so that memory is freed as without this.
        tensors = [weakref.ref(tensor) for tensor in given.tensors]
        given = replace(given, tensors=())
        self._running = True
        try:
            out = forward(*args, **kwargs)
        finally:
            self._running = False
        left = tuple([tensor for ref in tensors if (tensor := ref()) is not None])
        alone = not hooked and others == others_state(args, kwargs, given.entries)
        # Memory that the layer frees of what it was given would be freed too late where it is not run.
        repeatable = alone and len(left) == len(tensors)
        run = self._run(module, place, replace(given, tensors=left), out) if repeatable else None
        known = self._known.pop(key, None)
        if run is not None:
            self._known[key] = place, run
            if known is not None and _equal(_moved(*known, place), run):
                self._right.add(key)
        return out

    def _place(self, layer: StackedLayer, given: Arguments) -> _Place:
        recorder = self._recorder
        times = recorder.storage_times
        return _Place(
            layer.path,
            recorder.call_count(),
            recorder.numbered,
            len(self._stack.begun),
            len(times) if times is not None else 0,
            tuple([recorder.spec_of(tensor) for tensor in given.tensors]),
        )

    def _run(self, layer: nn.Module, place: _Place, given: Arguments, out: Any) -> _Run | None:
        """What the layer at `place` did; None for what cannot be repeated."""
        if any(entry.is_gone for entry in given.entries):
            return None
        recorder, stack = self._recorder, self._stack
        calls = recorder.calls_since(place.calls)
        new = NewTensors(given.tensors, recorder.positions.few_values)
        try:
            output = new.contents(out)
            entries = tuple(
                [new.contents(entry.value) if entry.is_there else None for entry in given.entries]
            )
            forms = new.forms()
        except NotRepeatableError:
            return None
        specs = [spec for tensor in new.tensors if (spec := recorder.spec_of(tensor)) is not None]
        if len(specs) < len(new.tensors) or any(spec.number <= place.numbered for spec in specs):
            return None
        within = f"{place.path}."
        if any(s.number <= (place.numbered if s.name.startswith(within) else 0) for s in _specs_of(calls)):
            return None
        times = recorder.storage_times
        storages = times.since(place.storages, place.calls, new.storages) if times is not None else ()
        if storages is None:
            return None
        first_given = [
            (i, spec)
            for i, tensor in enumerate(given.tensors)
            if place.specs[i] is None and (spec := recorder.spec_of(tensor)) is not None
        ]
        return _Run(
            calls=calls,
            numbered=recorder.numbered - place.numbered,
            begun=tuple([(path, stack.types[path], n) for path, n in stack.begun[place.begun :]]),
            storages=storages,
            storage_bytes=tuple([storage.nbytes() for storage in new.storages]),
            tensors=forms,
            specs=tuple(specs),
            output=output,
            entries=entries,
            first_given=tuple(first_given),
            parameters=tuple([spec for t in _weights(layer) if (spec := recorder.spec_of(t)) is not None]),
        )

    def _answer(self, run: _Run, place: _Place, given: Arguments) -> Any:
        """Records the run as that of the layer at `place`, and returns what it returns."""
        recorder, stack = self._recorder, self._stack
        made, storages = made_again(run.tensors, run.storage_bytes)
        if recorder.storage_times is not None:
            recorder.storage_times.repeat(run.storages, place.calls, storages)
        recorder.repeat(run.calls, run.numbered)
        for path, kind, n in run.begun:
            stack.begun.append((path, n))
            stack.types.setdefault(path, kind)
        for tensor, spec in zip(made, run.specs, strict=True):
            recorder.know(tensor, spec)
        for position, spec in run.first_given:
            recorder.know(given.tensors[position], spec)
        for spec in run.parameters:
            recorder.know(self._tensors[spec.name], spec)
        left = zip(given.entries, run.entries, strict=True)
        for entry, contents in sorted(left, key=lambda one: one[0].key):  # A list grows at its end.
            if contents is not None:
                entry.put(filled(contents, given.tensors, made))
        return filled(run.output, given.tensors, made)


def _moved(before: _Place, run: _Run, place: _Place) -> _Run:
    """The run of the layer that was at `before`, as it would be at `place`."""
    path, start = before.path, f"{before.path}."
    later, further = place.calls - before.calls, place.numbered - before.numbered
    pairs = zip(before.specs, place.specs, strict=True)
    given = {old.number: new for old, new in pairs if old is not None and new is not None}
    specs: dict[int, TensorSpec] = {}

    def named(name: str) -> str:
        if name == path:
            return place.path
        return f"{place.path}.{name[len(start) :]}" if name.startswith(start) else name

    def tensor(spec: TensorSpec) -> TensorSpec:
        made = specs.get(id(spec))
        if made is None:
            number = spec.number
            made = specs[id(spec)] = (
                given.get(number, spec)
                if number <= before.numbered
                else TensorSpec(
                    spec.shape, spec.dtype, spec.role, named(spec.name), spec.stored, number + further
                )
            )
        return made

    def value(old: ArgValue) -> ArgValue:
        if isinstance(old, TensorSpec):
            return tensor(old)
        return tuple([value(item) for item in old]) if isinstance(old, tuple) else old

    return replace(
        run,
        calls=tuple(
            [
                call.repeated(
                    named(call.module),
                    {name: value(old) for name, old in call.args.items()},
                    tuple([tensor(spec) for spec in call.outputs]),
                    call.index + later,
                )
                for call in run.calls
            ]
        ),
        begun=tuple([(named(path), kind, n + later) for path, kind, n in run.begun]),
        specs=tuple(map(tensor, run.specs)),
        first_given=tuple([(position, tensor(spec)) for position, spec in run.first_given]),
        parameters=tuple(map(tensor, run.parameters)),
    )


def _equal(one: _Run, other: _Run) -> bool:
    return one == other and one.numbers() == other.numbers()


def _specs_of(calls: Iterable[OpCall]) -> Iterator[TensorSpec]:
    for call in calls:
        yield from call.tensors()
        yield from call.outputs


def _weights(layer: nn.Module) -> Iterator[Tensor]:
    yield from layer.parameters()
    yield from layer.buffers()
