"""Several batch sizes: a derived trace is the one that a run gives, and what cannot be derived is run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from addercost.api import trace_batches, trace_spec
from addercost.counts.model import count
from addercost.errors import ArgumentError
from addercost.sources.kind import TraceRequest
from addercost.sources.tracing import trace_batches as traced_request
from addercost.trace.batch_sizes import NotProportionalError, derived, traces_of_batches
from addercost.trace.input_shapes import parse_input_shapes
from addercost.trace.inputs import without_data
from addercost.trace.record import OpCall, TensorSpec, Trace

HEAD = "import torch\nfrom torch import nn\n"

ATTENTION = (
    "class model(nn.Module):\n"
    "    def __init__(self):\n"
    "        super().__init__(); self.a = nn.MultiheadAttention(8, 2, batch_first=True)\n"
    "    def forward(self, x):\n        y, _ = self.a(x, x, x); return y.flatten(0, 1)[:, :3].sum(0)\n"
    "example_inputs = torch.zeros(1, 5, 8)\n"
)
RECURRENT = "model = nn.LSTM(3, 4, batch_first=True)\nexample_inputs = torch.zeros(2, 7, 3)\n"


def _file(folder: Path, text: str) -> str:
    path = folder / "net.py"
    path.write_text(HEAD + text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "backward"),
    [(ATTENTION, False), (ATTENTION, True), (RECURRENT, False)],
    ids=["attention", "attention, training step", "recurrent"],
)
def test_a_derived_trace_is_the_one_that_a_run_gives(text: str, backward: bool, tmp_path: Path) -> None:
    _check(_file(tmp_path, text), backward)


@pytest.mark.parametrize("spec", ["zoo:lenet5-bn", "zoo:resnet20-cifar:adder"])
def test_so_it_is_for_networks(spec: str) -> None:
    _check(spec, backward=False)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "name", ["swin_v2_t", "vit_b_16", "densenet121", "shufflenet_v2_x0_5", "r3d_18", "inception_v3"]
)
def test_so_it_is_for_networks_of_torchvision(name: str) -> None:
    _check(f"torchvision:{name}", backward=False)


def _check(spec: str, backward: bool) -> None:
    made = trace_batches(spec, (2, 5, 32), backward=backward, memory=True)
    assert "and 5 derived: every number" in made.how
    traced = trace_spec(spec, backward=backward, memory=True, batch=5)
    assert made.traces[5] == traced
    assert [spec.number for spec in _tensors(made.traces[5])] == [spec.number for spec in _tensors(traced)]


def _tensors(trace: Trace) -> list[TensorSpec]:
    return [spec for call in trace.calls for spec in (*call.tensors(), *call.outputs)]


NOT_DERIVED = {
    "half the batch": (
        "    def forward(self, x): return self.a(x[: (x.shape[0] + 1) // 2])",
        "neither constant nor proportional",
    ),
    "another way": (
        "    def forward(self, x): return self.a(x).relu() if x.shape[0] > 9 else self.a(x)",
        "calls and batch 16",
    ),
    "a share": ("    def forward(self, x): return self.a(x) * (1 / x.shape[0])", "at batch 16"),
    "values": (
        "    def forward(self, x): return self.a(x[x.sum(1) > -1])",
        "the forward reads values",
    ),
}


@pytest.mark.parametrize(("forward", "reason"), NOT_DERIVED.values(), ids=NOT_DERIVED)
def test_what_is_not_proportional_is_run(forward: str, reason: str, tmp_path: Path) -> None:
    text = (
        "class model(nn.Module):\n"
        "    def __init__(self):\n        super().__init__(); self.a = nn.Linear(2, 3)\n"
        f"{forward}\nexample_inputs = torch.zeros(1, 2)\n"
    )
    spec = _file(tmp_path, text)
    made = trace_batches(spec, (1, 4, 16))
    assert made.how.startswith("every batch size was traced, because")
    assert reason in made.how
    # A product of n rows by 2 x 3 weights: 6·n sites, of half the rows 6·⌈n/2⌉.
    rows = {n: (n + 1) // 2 if "half" in made.how or "//" in forward else n for n in (1, 4, 16)}
    assert {n: count(t, "macs").mac_sites for n, t in made.traces.items()} == {n: 6 * rows[n] for n in rows}


def test_sites_by_hand_and_the_order_asked_for(tmp_path: Path) -> None:
    spec = _file(tmp_path, "model = nn.Linear(2, 3)\n")
    made = trace_batches(spec, (32, 1, 8), without_data(parse_input_shapes(["1x2"])))
    assert {n: count(t, "macs").mac_sites for n, t in made.traces.items()} == {32: 192, 1: 6, 8: 48}
    assert list(made.traces) == [32, 1, 8]


def test_a_file_is_executed_once_and_values_are_repeated(tmp_path: Path) -> None:
    """The model takes as many rows as its input says: values of 3 are 3 rows a sample, so 3·n."""
    log = tmp_path / "log"
    text = (
        f"open({str(log)!r}, 'a').write('x')\n"
        "class model(nn.Module):\n"
        "    def __init__(self):\n        super().__init__(); self.a = nn.Linear(2, 3)\n"
        "    def forward(self, n): return self.a(torch.ones(int(n.sum()), 2))\n"
        "example_inputs = torch.full((1,), 3)\n"
    )
    made = trace_batches(_file(tmp_path, text), (1, 2))
    assert {n: count(t, "macs").mac_sites for n, t in made.traces.items()} == {1: 18, 2: 36}
    assert log.read_text() == "x"


def test_a_saved_trace_has_its_batch(tmp_path: Path) -> None:
    from addercost.results.trace import trace_to_json

    path = tmp_path / "trace.json"
    path.write_text(trace_to_json(trace_spec("zoo:lenet5-bn")))
    with pytest.raises(ArgumentError, match="--batch"):
        traced_request(str(path), TraceRequest(), (1, 8))


def _trace(*shapes: tuple[int, ...]) -> Trace:
    calls = tuple(
        OpCall("a.b.c", "", {"n": shape}, (TensorSpec(shape, "float32"),), i)
        for i, shape in enumerate(shapes)
    )
    return Trace("m", calls, {"": ""}, {})


def test_only_whole_numbers_are_derived() -> None:
    """From 6 at batch 4 and 12 at batch 8 follow 9 at batch 6; 7.5 at batch 5 is no size."""
    four, eight = _trace((6, 7)), _trace((12, 7))
    assert derived(four, 4, eight, 8, 6) == _trace((9, 7))
    with pytest.raises(NotProportionalError):
        derived(four, 4, eight, 8, 5)


@pytest.mark.parametrize(
    ("low", "high"),
    [((3,), (3, 1)), ((3,), (7,)), ((0,), (1,))],
    ids=["dimensions", "affine", "from nothing"],
)
def test_traces_that_follow_no_line(low: tuple[int, ...], high: tuple[int, ...]) -> None:
    with pytest.raises(NotProportionalError):
        derived(_trace(low), 1, _trace(high), 2, 3)


def test_a_batch_of_one_that_is_special_spoils_no_others() -> None:
    """One dimension at batch 1 and two elsewhere, as where an operator leaves out a copy."""
    seen: list[int] = []

    def traced(n: int) -> Trace:
        seen.append(n)
        return _trace((n, 3)) if n > 1 else _trace((3,))

    made = traces_of_batches((1, 2, 3, 4), traced)
    assert made.traces == {1: _trace((3,)), 2: _trace((2, 3)), 3: _trace((3, 3)), 4: _trace((4, 3))}
    assert sorted(seen) == [1, 2, 4]
    assert "1, 2 and 4 were traced, and 3 derived" in made.how


def test_two_sizes_need_no_line() -> None:
    made = traces_of_batches((1, 2), lambda n: _trace((n * n,)))
    assert made.traces == {1: _trace((1,)), 2: _trace((4,))}


def test_a_graph_with_fixed_sizes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fixed.onnx"
    torch.onnx.export(nn.Linear(2, 3), (torch.zeros(1, 2),), str(path), dynamo=False)
    with pytest.raises(ArgumentError, match="dynamic first axis"):
        trace_batches(str(path), (1, 8))


def test_a_graph_with_an_open_axis_is_counted_at_each(tmp_path: Path) -> None:
    path = tmp_path / "open.onnx"
    torch.onnx.export(
        nn.Linear(2, 3), (torch.zeros(1, 2),), str(path), dynamo=False,
        input_names=["x"], dynamic_axes={"x": {0: "n"}},
    )  # fmt: skip
    made = trace_batches(str(path), (1, 3, 8), without_data(parse_input_shapes(["1x2"])))
    assert {n: count(t, "macs").mac_sites for n, t in made.traces.items()} == {1: 6, 3: 18, 8: 48}


def test_a_single_size_is_traced_once() -> None:
    asked: list[int] = []

    def traced(size: int):
        asked.append(size)
        return _trace((size,))

    assert list(traces_of_batches((3,), traced).traces) == asked == [3]
