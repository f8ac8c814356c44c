"""Traces a model as blocks: as `trace.tracer` on the meta device, but of equal modules only one is run.

This is the entry to block reuse. Except for the plain data in `blocks`, nothing else of this folder is
imported from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_flatten, tree_map

from addercost.errors import AddercostError, TraceError
from addercost.trace.attention import whole_attention
from addercost.trace.caller_state import unchanged
from addercost.trace.forward_errors import forward_error
from addercost.trace.lazy_outputs import LazyOutputs
from addercost.trace.modules import ModuleTree, replace_tensors, tracked
from addercost.trace.one_run import input_specs, versions
from addercost.trace.record import TensorSpec, Trace
from addercost.trace.reuse.blocks import Item, expanded, types_of
from addercost.trace.reuse.cache import BlockCache
from addercost.trace.reuse.fingerprint import Fingerprints
from addercost.trace.reuse.recorder import BlockRecorder, ClosedError
from addercost.trace.substitutes import meta_substitute, without_data
from addercost.trace.switches import countable_operators
from addercost.trace.threads import require_unused
from addercost.trace.written_tensors import WrittenTensors

__all__ = ["BlockCache", "BlockTrace", "NeedsWholeError", "trace_blocks"]

Inputs = tuple[tuple[Any, ...], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class BlockTrace:
    """One forward as items.

    types: class names of the modules that are not in blocks. parameters: elements by name; a stand-in's count
    once, under the name at its first place. parameter_count: elements of the whole model; a stand-in's count
    once for each of its places.
    """

    model: str
    items: tuple[Item, ...]
    types: Mapping[str, str]
    parameters: Mapping[str, int]
    parameter_count: int
    inputs: tuple[TensorSpec, ...]

    def trace(self) -> Trace:
        """The trace that `trace.tracer.trace` returns, equal call by call. Only `repeats` is missing."""
        return Trace(
            model=self.model,
            calls=expanded(self.items),
            modules=dict(types_of(self.items)) | dict(self.types),
            parameters=self.parameters,
            inputs=self.inputs,
            tracer="meta",
            versions=versions(),
        )


class NeedsWholeError(TraceError):
    """The model can only be traced as a whole, by `trace.tracer.trace`."""


def trace_blocks(
    model: nn.Module,
    inputs: Sequence[Inputs],
    *,
    name: str | None = None,
    cache: BlockCache | None = None,
    stand_ins: bool = False,
    keep_random: bool = True,
) -> list[BlockTrace]:
    """One `BlockTrace` for each of `inputs`. The model is left as it was.

    cache: blocks of models that were traced before, and which operators are counted themselves. stand_ins: a
    module that is registered at several places represents a different module at each of them; these are
    called in the order of registration and do not change. keep_random: restores random states.
    Raises TraceError. Unlike `trace.tracer.trace`, this cannot trace models that need values, or that have
    hand-written layers which are recognised by their calls.
    """
    cache = BlockCache() if cache is None else cache
    cache.trim()
    title = name or type(model).__name__
    # A forward may change its model, so each input gets a run of its own, except for a model of stand-ins.
    groups = [inputs] if stand_ins else [[item] for item in inputs]
    if stand_ins:
        try:
            return _run(model, inputs, title, cache, True, keep_random, cache.numbers.is_known_stand_in)
        except ClosedError:
            # This is rare: a stand-in has an input shape that it did not have before.
            pass
    return [made for group in groups for made in _run(model, group, title, cache, stand_ins, keep_random)]


def _run(
    model: nn.Module,
    inputs: Sequence[Inputs],
    name: str,
    cache: BlockCache,
    stand_ins: bool,
    keep_random: bool,
    closed: Callable[[nn.Module], bool] | None = None,
) -> list[BlockTrace]:
    found = []
    with ExitStack() as stack:
        stack.enter_context(countable_operators(keep_random))
        stack.enter_context(whole_attention())
        tree = ModuleTree(model, closed, stand_ins)
        if stand_ins:
            stack.enter_context(_as_found(tree))
            written = WrittenTensors()
        else:
            written = stack.enter_context(unchanged(tree)).written
        calls = stack.enter_context(tracked(tree))
        if not stand_ins:
            require_unused(tree.paths, name)
        names = replace_tensors(tree, meta_substitute)
        for module in tree.modules:
            module.__dict__["training"] = False
        fingerprints = Fingerprints(tree, cache.numbers, stand_ins, calls.own_forwards)
        elements = fingerprints.elements(model) if stand_ins else 0
        stack.enter_context(torch.no_grad())
        for given_args, given_kwargs in inputs:
            args, kwargs, tensors = _data_free(given_args, given_kwargs)
            recorder = BlockRecorder(tree, cache, fingerprints, stand_ins, calls, names, tensors, written)
            lazy = LazyOutputs(recorder.call_count)
            calls.intercept = recorder.intercept
            calls.rewind()
            try:
                with nullcontext() if stand_ins else _attribute_writes(recorder.forget), recorder:
                    lazy.computed(model(*args, **kwargs))
            except (AddercostError, ClosedError):
                raise
            except Exception as error:
                raise forward_error(name, calls.failed, error) from error
            finally:
                # Recorder and stack refer to each other and to the model. A sweep would leave this cycle
                # behind for each of its thousands of models.
                calls.intercept = None
            items, types = recorder.result()
            if recorder.recognisable:
                raise NeedsWholeError(f"{name} has what may be layers that nobody registered")
            if lazy.cut or lazy.left:
                raise NeedsWholeError(f"{name} returned what it had not computed")
            # Read after the forward, because a lazy module's parameters have no shape before.
            parameters = {
                n: tensor.numel()
                for n, role, tensor in names.values()
                if role == "parameter" and not is_lazy(tensor)
            }
            count = elements if stand_ins else sum(parameters.values())
            found.append(BlockTrace(name, items, types, parameters, count, input_specs(tensors)))
    return found


def _data_free(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any], list[Tensor]]:
    """The arguments without data, and all tensors among them."""
    if not kwargs and all(type(value) is Tensor for value in args):
        made = tuple([without_data(value) for value in args])
        return made, {}, list(made)
    plain, named = tree_map(without_data, (args, dict(kwargs)))
    return plain, named, [v for v in tree_flatten((plain, named))[0] if isinstance(v, Tensor)]


@contextmanager
def _as_found(tree: ModuleTree) -> Iterator[None]:
    """Removes the wrapped forwards afterwards. Nothing else changes: stand-ins have no data and stay as they
    are.
    """
    try:
        yield
    finally:
        for module in tree.modules:
            module.__dict__.pop("forward", None)


@contextmanager
def _attribute_writes(seen: Callable[[], None]) -> Iterator[None]:
    """While active, calls `seen` whenever an attribute of any module is set."""
    original = nn.Module.__setattr__

    def noticed(self: nn.Module, name: str, value: Any) -> None:
        seen()
        original(self, name, value)

    nn.Module.__setattr__ = noticed  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__setattr__ = original  # type: ignore[method-assign]
