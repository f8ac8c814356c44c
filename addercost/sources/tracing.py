"""Makes the trace of a SPEC, by the kind of the SPEC and the chosen tracer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from addercost.errors import ArgumentError, TraceError, unknown_name
from addercost.sources.kind import LoadedModel, TraceRequest
from addercost.sources.loading import explained, load_model
from addercost.sources.registry import kind_of
from addercost.sources.time_limit import forward_limit
from addercost.trace.record import Trace

if TYPE_CHECKING:
    from torch import nn

    from addercost.trace.batch_sizes import BatchTraces
    from addercost.trace.inputs import ModelInputs

TRACERS = ("dispatch", "blocks", "fvcore")
"""The tracers. dispatch: torch's dispatcher on tensors without data. blocks: the same, but equal blocks run
once, which is faster for deep stacks. fvcore: fvcore's walk over the jit graph.
"""


def trace_spec(spec: str, request: TraceRequest) -> Trace:
    """The trace of a SPEC: the one that its kind loads, else that of the model that it names.

    Raises ArgumentError where an input is missing or the request does not fit, ModelError, TraceError, and
    DataError for a damaged file.
    """
    if request.tracer not in TRACERS:
        raise unknown_name("tracer", request.tracer, TRACERS)
    return _tracing_of(spec, request)(request.batch)


def trace_batches(spec: str, request: TraceRequest, sizes: Sequence[int]) -> BatchTraces:
    """The traces of a SPEC at several batch sizes. The SPEC is loaded once. Raises as `trace_spec` does."""
    from addercost.trace.batch_sizes import traces_of_batches

    if request.tracer not in TRACERS:
        raise unknown_name("tracer", request.tracer, TRACERS)
    return traces_of_batches(sizes, _tracing_of(spec, request))


def _tracing_of(spec: str, request: TraceRequest) -> Callable[[int], Trace]:
    """A function that traces the SPEC at a batch size."""
    kind = kind_of(spec)
    load = kind.load_trace
    if load is not None:
        return lambda batch: explained(kind, spec, lambda: load(spec, replace(request, batch=batch)))
    from addercost.trace.inputs import ModelInputs, missing_inputs
    from addercost.trace.lazy_outputs import with_unread_inputs

    loaded = load_model(spec)
    given = request.model_inputs()
    inputs = given or loaded.inputs
    if inputs is None and _takes_arguments(loaded.model):
        raise missing_inputs(spec, loaded.model)

    def traced(batch: int) -> Trace:
        if given is None and loaded.inputs_for is not None:
            model, its_inputs = loaded, loaded.inputs_for(batch, request.backward)
        else:
            model, its_inputs = _with_batch(loaded, inputs or ModelInputs(), batch)
        with running(loaded, spec):
            made = trace_loaded(model, its_inputs, request)
        if loaded.is_part:
            made = replace(made, calls=with_unread_inputs(made.calls))
        return replace(made, notes=(*made.notes, *loaded.notes)) if loaded.notes else made

    return traced


@contextmanager
def running(loaded: LoadedModel, what: str) -> Iterator[None]:
    """The block in which a forward of the model runs. The forward may import more of the user's files and
    print. The command line's time limit applies. what: the model's name in errors.
    """
    from addercost.sources.build import import_path, user_output

    with import_path(loaded.folder), user_output(), forward_limit(what), loaded.around():
        yield


def _with_batch(loaded: LoadedModel, inputs: ModelInputs, batch: int) -> tuple[LoadedModel, ModelInputs]:
    """(a model, inputs), with the first dimension of every input multiplied by the batch and values
    repeated.
    """
    from torch.utils._pytree import tree_leaves, tree_map

    from addercost.trace.inputs import ModelInputs, batched

    if batch == 1:
        return loaded, inputs
    args, kwargs = batched((inputs.args, dict(inputs.kwargs)), batch)
    known = loaded.with_values
    if known is not None:
        pairs = zip(tree_leaves((args, kwargs)), tree_leaves((inputs.args, dict(inputs.kwargs))), strict=True)
        single = {id(new): old for new, old in pairs}

        def with_values(value: Any) -> Any:
            return tree_map(
                lambda item: batched(known(single[id(item)]), batch) if id(item) in single else known(item),
                value,
            )

        loaded = replace(loaded, with_values=with_values)
    return loaded, ModelInputs(args, kwargs)


def trace_loaded(loaded: LoadedModel, inputs: ModelInputs, request: TraceRequest) -> Trace:
    """The trace of a model that is loaded, on these inputs."""
    from addercost.counts.call_work import is_counted

    if request.tracer == "dispatch":
        return _dispatched(loaded, inputs, request)
    if request.backward:
        raise ArgumentError(f"the {request.tracer} tracer takes no --backward", "use --tracer dispatch")
    if not request.fuse_attention:
        raise ArgumentError(
            f"the {request.tracer} tracer keeps attention whole",
            "use --tracer dispatch with --no-fuse-attention",
        )
    if request.tracer == "blocks":
        from addercost.trace.reuse.tracer import BlockCache, trace_blocks

        given = [(inputs.args, inputs.kwargs)]
        try:
            return trace_blocks(loaded.model, given, name=loaded.name, cache=BlockCache(is_counted))[
                0
            ].trace()
        except TraceError:
            # The model may need values, may need a trace of all blocks, or may not run at all. A whole trace
            # shows which.
            return _dispatched(loaded, inputs, request)
    if inputs.kwargs:
        raise ArgumentError("the fvcore tracer takes no inputs by name", "use --tracer dispatch")
    from addercost.trace.jit import trace_with_fvcore

    model = loaded.rebuild() if loaded.rebuild is not None else loaded.model
    return trace_with_fvcore(model, *inputs.args, name=loaded.name)


def _dispatched(loaded: LoadedModel, inputs: ModelInputs, request: TraceRequest) -> Trace:
    from addercost.counts.call_work import is_counted
    from addercost.trace.tracer import trace

    return trace(
        loaded.model,
        *inputs.args,
        kwargs=inputs.kwargs,
        name=loaded.name,
        rebuild=loaded.rebuild,
        known_values=loaded.with_values,
        backward=request.backward,
        is_counted=is_counted,
        fuse_attention=request.fuse_attention,
        memory=request.memory,
        equal_layers=request.equal_layers,
    )


def _takes_arguments(model: nn.Module) -> bool:
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return True
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(
        parameter.default is inspect.Parameter.empty and parameter.kind not in kinds
        for parameter in signature.parameters.values()
    )
