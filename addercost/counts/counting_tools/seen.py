"""A trace as counting tools see it: each call with the class of its module, and recurrent layers with their
weights.

A trace has the operators that ran, but not how the model's source calls them. Where a tool's number depends
on that, its rule raises `NotModelled`. Classes are compared by name. A module without weights that several
parents share looks like several modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from addercost.counts.call_work import work_of
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall, TensorSpec, Trace


class NotModelled(Exception):  # noqa: N818 (an answer, no error)
    """The trace does not determine a tool's number. The message says why."""


@dataclass(frozen=True, slots=True)
class Recurrent:
    """One RNN, GRU or LSTM, a layer or a cell.

    kind: "RNN", "GRU" or "LSTM". cell: it is a cell module. rows: batch × steps, summed over all calls of the
    layer. cells: (inputs, hidden units, whether it has biases) for each direction of each layer. parameters:
    elements of all weights and biases.
    """

    kind: str
    cell: bool
    rows: int
    cells: tuple[tuple[int, int, bool], ...]
    parameters: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One call as a tool sees it.

    type: the class of its module. shape: the module's last output. own: elements of the module's own
    parameters, by name. calls: how often the module's forward ran. first: this is the module's first call.
    leaf: no module is inside the module. shared: its weights belong to a module of the same class at another
    path. borrows: some of its weights belong to another module. inside: the classes of the modules around it,
    and its own. recurrent: set on the first call of a recurrent module. history: the views that made one of
    the call's tensors, the latest first. has_unsqueezed: the module adds an axis, as torch's layers do with
    inputs that have no batch axis.
    """

    call: OpCall
    work: OperatorWork
    type: str
    shape: tuple[int, ...]
    own: Mapping[str, int]
    calls: int
    first: bool
    leaf: bool
    shared: bool
    borrows: bool
    inside: frozenset[str]
    recurrent: Recurrent | None
    history: Callable[[TensorSpec], Sequence[OpCall]]
    has_unsqueezed: bool

    @property
    def name(self) -> str:
        return self.call.name.removeprefix("aten.")

    @property
    def sites(self) -> int:
        return self.work.mac_sites

    @property
    def elements(self) -> int:
        """Elements of the first tensor among the arguments."""
        return next((spec.numel for spec in self.call.tensors()), 0)

    @property
    def biases(self) -> int:
        return sum(site.biased for site in self.work.sites)

    def is_op(self, *names: str) -> bool:
        return self.name in names


Differences = Iterable[tuple[str, int]]
ToolRule = Callable[[Seen], Differences]

CONVOLUTIONS = frozenset(f"Conv{kind}{axes}d" for kind in ("", "Transpose") for axes in (1, 2, 3))
LAYERS = frozenset(f"{lazy}{layer}" for lazy in ("", "Lazy") for layer in (*CONVOLUTIONS, "Linear"))
"""Classes of torch whose calls the tools know. The tools compare the class itself, so a subclass is
unknown.
"""
RECURRENT = frozenset(f"{kind}{cell}" for kind in ("RNN", "GRU", "LSTM") for cell in ("", "Cell"))
BATCH_NORM_LAYERS = frozenset((*(f"BatchNorm{axes}d" for axes in (1, 2, 3)), "SyncBatchNorm"))
INSTANCE_NORM_LAYERS = frozenset(f"InstanceNorm{axes}d" for axes in (1, 2, 3))
NORM_LAYERS = BATCH_NORM_LAYERS | INSTANCE_NORM_LAYERS | {"LayerNorm", "GroupNorm"}
AVERAGES = frozenset(f"AvgPool{axes}d" for axes in (1, 2, 3))
ADAPTIVE_AVERAGES = frozenset(f"AdaptiveAvgPool{axes}d" for axes in (1, 2, 3))
POOLS = AVERAGES | ADAPTIVE_AVERAGES | {
    f"{kind}MaxPool{axes}d" for kind in ("", "Adaptive") for axes in (1, 2, 3)
}  # fmt: skip
UPSAMPLERS = frozenset(("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"))
ACTIVATIONS = frozenset(
    (
        "ReLU",
        "PReLU",
        "ELU",
        "LeakyReLU",
        "ReLU6",
        "GELU",
        "SiLU",
        "Sigmoid",
        "Tanh",
        "Hardswish",
        "Hardsigmoid",
    )
)
KNOWN = (
    LAYERS | RECURRENT | NORM_LAYERS | POOLS | UPSAMPLERS | ACTIVATIONS | {"Softmax", "Embedding", "Bilinear"}
)
"""Classes of torch whose forward is known. Elsewhere an operator may have been called in several ways."""

ATTENTION = "attention, fused on a CPU"
LEFT_OUT = "products outside the layers it knows"
SHARED = "a layer under several parents, which it counts several times"


def seen_calls(trace: Trace) -> Iterator[Seen]:
    """The calls of a trace in order, without those that no rule counts."""
    shapes: dict[str, tuple[int, ...]] = {}
    producers: dict[int, OpCall] = {}
    unsqueezed: set[str] = set()
    for call in trace.calls:
        if call.outputs:
            shapes[call.module] = call.output.shape
        if call.name == "aten.unsqueeze":
            unsqueezed.add(call.module)
        for spec in call.outputs:
            if spec.number:
                producers.setdefault(spec.number, call)

    def history(spec: TensorSpec) -> list[OpCall]:
        made: list[OpCall] = []
        while (call := producers.get(spec.number)) is not None and _is_view(call):
            made.append(call)
            spec = call.tensors()[0]
        return made

    works = {call.index: work_of(call) for call in trace.calls}
    recurrent = _recurrent_layers(trace, works)
    inner = {*trace.modules, *(name.rpartition(".")[0] for name in trace.parameters)}
    parents = {path[:end] for path in inner for end in _dots(path)} | ({""} if len(inner - {""}) else set())
    weights = _own_weights(trace)
    repeats = trace.repeats or {}
    begun: set[str] = set()
    for call in trace.calls:
        work = works[call.index]
        if work is None:
            continue
        path = call.module
        kind = trace.modules.get(path, "")
        owners = {spec.name.rpartition(".")[0] for spec in call.parameters()} - {path}
        yield Seen(
            call,
            work,
            kind,
            shapes.get(path, ()),
            weights.get(path, {}),
            calls=max(len(repeats.get(path, ())), 1),
            first=path not in begun,
            leaf=path not in parents,
            shared=kind in KNOWN and any(trace.modules.get(owner) == kind for owner in owners),
            borrows=bool(owners),
            inside=frozenset(trace.modules.get(path[:end], "") for end in (0, *_dots(path), len(path))),
            recurrent=recurrent.get(path) if path not in begun else None,
            history=history,
            has_unsqueezed=path in unsqueezed,
        )
        begun.add(path)


def _dots(path: str) -> Iterator[int]:
    return (place for place, letter in enumerate(path) if letter == ".")


def _is_view(call: OpCall) -> bool:
    return "view" in call.tags or call.name in ("aten.clone", "aten._unsafe_view", "aten.reshape")


def _own_weights(trace: Trace) -> dict[str, dict[str, int]]:
    """The number of elements of each module's own parameters, by path and name."""
    found: dict[str, dict[str, int]] = {}
    for qualified, elements in trace.parameters.items():
        path, _, name = qualified.rpartition(".")
        found.setdefault(path, {})[name] = elements
    return found


def _recurrent_layers(trace: Trace, works: Mapping[int, OperatorWork | None]) -> dict[str, Recurrent]:
    """Recurrent layers by path. A layer is missing if its calls do not determine its sizes."""
    found = {}
    weights = _own_weights(trace)
    for path, kind in trace.modules.items():
        if kind not in RECURRENT:
            continue
        shapes: dict[str, tuple[int, ...]] = {}
        sites: dict[str, int] = {}
        for call in trace.calls:
            if call.module != path:
                continue
            work = works[call.index]
            for spec in call.tensors():
                owner, _, name = spec.name.rpartition(".")
                if owner != path or not name.startswith("weight_"):
                    continue
                if spec.role == "parameter" and call.name == "aten.t":
                    shapes[name] = spec.shape
                elif work is not None:
                    sites[name] = sites.get(name, 0) + work.mac_sites
        own = weights.get(path, {})
        cells = []
        for name, (_, inputs) in shapes.items():
            if name.startswith("weight_ih"):
                state = shapes.get(name.replace("_ih", "_hh"), (0, 0))
                cells.append((inputs, state[1], name.replace("weight", "bias") in own))
        first = next((name for name in shapes if name.startswith("weight_ih")), None)
        if first is None or any(
            state * _GATES[kind.removesuffix("Cell")] != _rows_of(shapes) for _, state, _ in cells
        ):
            continue
        rows, rest = divmod(sites.get(first, 0), shapes[first][0] * shapes[first][1])
        if rows and not rest:
            found[path] = Recurrent(
                kind.removesuffix("Cell"), kind.endswith("Cell"), rows, tuple(cells), sum(own.values())
            )
    return found


_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _rows_of(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return next(iter(shapes.values()))[0]


def by_spelling(one: Seen) -> NotModelled:
    return NotModelled(f"{one.name}, which it counts only if the source calls it in certain ways")


def layer_of(one: Seen) -> Recurrent:
    """The recurrent layer that begins with this call. Raises NotModelled."""
    if one.recurrent is None:
        raise NotModelled("a recurrent layer with projections or weights that are not its own")
    if one.has_unsqueezed:
        raise NotModelled("a recurrent layer without a batch axis")
    return one.recurrent
