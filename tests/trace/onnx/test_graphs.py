"""Whole ONNX files: control flow, shapes that are computed, inputs, functions, weights elsewhere, damage."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import addercost
from addercost.api import trace_spec
from addercost.cli import run
from addercost.counts.model import count
from addercost.counts.peak_memory import memory_of
from addercost.errors import AddercostError, ArgumentError, DataError, TraceError
from addercost.results.profile import profile_from_data
from addercost.trace.input_shapes import InputShape
from addercost.trace.onnx import control_flow
from addercost.trace.onnx.scopes import path_in_name
from tests.trace.onnx.graphs import BOOL, FLOAT, INT64, graph, integers, node, saved

RELU = node("Relu", "x", "r")


def sites(path: str, *shapes: InputShape) -> tuple[int, bool]:
    counts = count(trace_spec(path, shapes or None))
    return counts.mac_sites, counts.complete


def branch(nodes: list[onnx.NodeProto], output: str, name: str) -> onnx.GraphProto:
    made = graph(nodes, {}, output)
    made.name = name
    return made


def conditional(condition: str) -> onnx.NodeProto:
    """x·w: [2, 3]·[3, 4] if the condition is true, else nothing but a view of two columns of x."""
    return node(
        "If",
        condition,
        "y",
        then_branch=branch([node("MatMul", "x w", "t")], "t", "then"),
        else_branch=branch([node("Slice", "x zero two axis", "e")], "e", "else"),
    )


SLICE = {"zero": integers(0), "two": integers(2), "axis": integers(1)}


@pytest.mark.parametrize(("taken", "expected"), [(True, 24), (False, 0)], ids=["then", "else"])
def test_a_known_condition_takes_its_branch(taken: bool, expected: int, tmp_path: Path) -> None:
    made = graph([conditional("c")], {"x": (2, 3)}, constants={"w": (3, 4), "c": np.array(taken), **SLICE})
    assert sites(saved(made, tmp_path)) == (expected, True)


def test_a_condition_that_depends_on_data_takes_none(tmp_path: Path) -> None:
    made = graph([RELU, conditional("c")], {"x": (2, 3), "c": ()}, "y r", {"w": (3, 4), **SLICE}, {"c": BOOL})
    trace = trace_spec(saved(made, tmp_path))
    counts = count(trace)
    assert [op.op for op in counts.uncounted] == ["onnx.If"] and counts.mac_sites == 0
    assert counts.total.by_class() == {"mul": 0, "add": 0, "compare": 6}
    assert any("the condition of an If depends on data" in note for note in trace.notes)


def loop(body: list[onnx.NodeProto], going: str) -> onnx.NodeProto:
    """Carries h: [2, 3]; the body makes h_next and says whether it goes on."""
    inside = helper.make_graph(
        body,
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("before", BOOL, []),
            helper.make_tensor_value_info("h", FLOAT, [2, 3]),
        ],
        [
            helper.make_tensor_value_info(going, BOOL, []),
            helper.make_tensor_value_info("h_next", FLOAT, [2, 3]),
            helper.make_tensor_value_info("h_next", FLOAT, [2, 3]),
        ],
    )
    return node("Loop", "turns - x", "y all", body=inside)


def test_a_loop_turns_as_often_as_its_count(tmp_path: Path) -> None:
    """5 turns of [2, 3]·[3, 3]."""
    made = graph(
        [loop([node("MatMul", "h w", "h_next")], "before")],
        {"x": (2, 3)},
        "y all",
        {"w": (3, 3), "turns": np.array(5)},
    )
    trace = trace_spec(saved(made, tmp_path))
    assert count(trace).mac_sites == 5 * 18 and count(trace).complete


def test_a_loop_ends_by_its_condition(tmp_path: Path) -> None:
    """It goes on while i < 2: turns 0, 1 and 2."""
    body = [node("MatMul", "h w", "h_next"), node("Less", "i two", "again")]
    made = graph(
        [loop(body, "again")],
        {"x": (2, 3)},
        "y all",
        {"w": (3, 3), "turns": np.array(50), "two": np.array(2)},
    )
    assert sites(saved(made, tmp_path)) == (3 * 18, True)


@pytest.mark.parametrize("unknown", ["count", "condition"])
def test_a_loop_that_depends_on_data_is_a_lower_bound(unknown: str, tmp_path: Path) -> None:
    body = [
        node("MatMul", "h w", "h_next"),
        node("ReduceSum", "h_next", "sum", keepdims=0),
        node("Cast", "sum", "again", to=BOOL),
    ]
    inputs = {"x": (2, 3)} | ({"turns": ()} if unknown == "count" else {})
    constants = {"w": (3, 3)} | ({} if unknown == "count" else {"turns": np.array(5)})
    going = "before" if unknown == "count" else "again"
    made = graph([loop(body, going), RELU], inputs, "y all r", constants, {"turns": INT64})
    counts = count(trace_spec(saved(made, tmp_path)))
    assert [op.op for op in counts.uncounted] == ["onnx.Loop"] and counts.mac_sites == 0
    assert counts.total.by_class() == {"mul": 0, "add": 0, "compare": 6}


def test_an_endless_loop_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_flow, "MOST_TURNS", 100)
    made = graph(
        [loop([node("Identity", "h", "h_next")], "before")],
        {"x": (2, 3)},
        "y all",
        {"turns": np.array(1 << 40)},
    )
    with pytest.raises(TraceError, match="more than 100 turns"):
        trace_spec(saved(made, tmp_path))


def test_a_scan_turns_once_for_each_element(tmp_path: Path) -> None:
    """7 rows of [3], each times [3, 4], added to a state of [4]."""
    body = helper.make_graph(
        [node("MatMul", "row w", "p"), node("Add", "h p", "h_next")],
        "body",
        [helper.make_tensor_value_info("h", FLOAT, [4]), helper.make_tensor_value_info("row", FLOAT, [3])],
        [helper.make_tensor_value_info("h_next", FLOAT, [4]), helper.make_tensor_value_info("p", FLOAT, [4])],
    )
    made = graph(
        [node("Scan", "h0 x", "y rows", body=body, num_scan_inputs=1)],
        {"x": (7, 3), "h0": (4,)},
        "y rows",
        {"w": (3, 4)},
    )
    trace = trace_spec(saved(made, tmp_path))
    assert count(trace).mac_sites == 7 * 12 and count(trace).complete
    assert count(trace).total.by_class()["add"] == 7 * (4 * 2 + 4)


def test_sizes_are_computed_and_cost_nothing(tmp_path: Path) -> None:
    """The last two axes of x: [2, 3, 4, 5] are joined through their sizes: [2, 3, 20]·[20, 6]."""
    nodes = [
        node("Shape", "x", "all"),
        node("Slice", "all zero two axis", "first"),
        node("Concat", "first minus", "shape", axis=0),
        node("Reshape", "x shape", "flat"),
        node("MatMul", "flat w", "y"),
    ]
    constants = {
        "w": (20, 6), "zero": integers(0), "two": integers(2), "axis": integers(0), "minus": integers(-1),
    }  # fmt: skip
    path = saved(graph(nodes, {"x": ("N", 3, 4, 5)}, constants=constants), tmp_path)
    counts = count(trace_spec(path, (InputShape(None, (2, 3, 4, 5)),)))
    assert counts.mac_sites == 2 * 3 * 20 * 6 and counts.complete
    assert counts.total.by_class() == {"mul": 720, "add": 720 - 36}


def test_sizes_that_depend_on_data_are_said(tmp_path: Path) -> None:
    """How many elements of x are not zero is known to the run alone. Finding them takes a comparison each."""
    nodes = [node("NonZero", "x", "where"), node("Cast", "where", "f", to=FLOAT), node("Relu", "f", "y")]
    trace = trace_spec(saved(graph(nodes, {"x": (2, 3)}), tmp_path))
    counts = count(trace)
    assert not counts.complete and counts.total.by_class() == {"mul": 0, "add": 0, "compare": 6}
    assert any("depend on data" in note for note in trace.notes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "input 'x' of .* leaves sizes open: Nx3"),
        ((InputShape(None, (2, 4)),), "is Nx3, not 2x4"),
        ((InputShape(None, (2, 3, 1)),), "is Nx3, not 2x3x1"),
        ((InputShape("z", (2, 3)),), "has no input 'z'"),
        ((InputShape(None, (2, 3)), InputShape(None, (1,))), "has no input number 2"),
    ],
    ids=["missing", "fixed size", "rank", "unknown name", "too many"],
)
def test_inputs_that_do_not_fit(given: tuple[InputShape, ...], message: str, tmp_path: Path) -> None:
    path = saved(graph([node("Relu", "x", "y")], {"x": ("N", 3)}), tmp_path)
    with pytest.raises(ArgumentError, match=message):
        trace_spec(path, given or None)


def test_open_sizes_come_by_name(tmp_path: Path) -> None:
    path = saved(graph([node("MatMul", "x w", "y")], {"x": ("N", 3)}, constants={"w": (3, 4)}), tmp_path)
    assert sites(path, InputShape("x", (5, 3))) == (60, True)


def test_weights_in_other_files_need_not_be_there(tmp_path: Path) -> None:
    made = graph([node("MatMul", "x w", "y")], {"x": (5, 100)}, constants={"w": (100, 400)})
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    assert sites(str(path)) == (5 * 100 * 400, True)


def test_functions_are_inlined(tmp_path: Path) -> None:
    """A function of one's own, called twice: [2, 3]·[3, 3] each."""
    function = helper.make_function(
        "mine", "Twice", ["a", "b"], ["c"], [node("MatMul", "a b", "c")], [helper.make_opsetid("", 21)]
    )
    made = graph(
        [node("Twice", "x w", "h", domain="mine"), node("Twice", "h w", "y", domain="mine")],
        {"x": (2, 3)},
        constants={"w": (3, 3)},
    )
    model = helper.make_model(
        made,
        functions=[function],
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)],
        ir_version=10,
    )
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    assert sites(str(path)) == (36, True)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _newer(path: Path) -> None:
    model = onnx.load(str(path))
    model.opset_import[0].version = 900
    path.write_bytes(model.SerializeToString())


def _dangling(path: Path) -> None:
    model = onnx.load(str(path))
    model.graph.node[0].input[0] = "nothing"
    path.write_bytes(model.SerializeToString())


def _negative(path: Path) -> None:
    model = onnx.load(str(path))
    model.graph.initializer[0].dims[0] = -3
    path.write_bytes(model.SerializeToString())


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (_cut, "is not an ONNX model|has no graph|reads"),
    "text": (lambda path: path.write_text("no model"), "is not an ONNX model"),
    "empty": (lambda path: path.write_bytes(b""), "has no graph"),
    "opset of the future": (_newer, "opset 900"),
    "a value that nothing makes": (_dangling, "reads 'nothing', which nothing makes"),
    "negative size": (_negative, "negative size"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_end_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(saved(graph([node("MatMul", "x w", "y")], {"x": (5, 3)}, constants={"w": (3, 4)}), tmp_path))
    spoil, message = DAMAGE[name]
    spoil(path)
    with pytest.raises(DataError, match=message):
        trace_spec(str(path))
    assert run(["profile", str(path)]) == 6
    assert capsys.readouterr().err.count("\n") == 1


def test_backward_is_refused(tmp_path: Path) -> None:
    path = saved(graph([RELU], {"x": (2, 3)}, "r"), tmp_path)
    with pytest.raises(ArgumentError, match="has one forward"):
        trace_spec(path, backward=True)
    with pytest.raises(AddercostError, match="does not exist"):
        trace_spec("nowhere.onnx")


def test_counting_needs_no_torch(tmp_path: Path) -> None:
    made = graph([node("Conv", "x w", "y")], {"x": ("N", 3, 8, 8)}, constants={"w": (4, 3, 3, 3)})
    path = saved(made, tmp_path)
    code = (
        "import sys\nsys.modules['torch'] = None\nfrom addercost.cli import main\n"
        f"main(['profile', {path!r}, '--input', '2x3x8x8', '--format', 'json', '--convention', 'macs'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f'"mac_sites": {2 * 4 * 6 * 6 * 27}' in done.stdout


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/conv1/Conv", "conv1"),
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/features/features.0/features.0.0/Conv", "features.0.0"),
        ("/encoder/layers/layers.2/self_attn/MatMul_1", "encoder.layers.2.self_attn"),
        ("Conv_12", "Conv_12"),
        ("", ""),
    ],
)
def test_the_older_exporters_names_are_paths(name: str, path: str) -> None:
    assert path_in_name(name) == path


def test_memory_lasts_until_the_last_reader(tmp_path: Path) -> None:
    """The input stays; while the sum is made the branch's end, the trunk and the sum are in use. What
    Reshape returns is the trunk.
    """
    nodes = [
        node("Exp", "x", "a"),
        node("Sin", "a", "b"),
        node("Cos", "b", "c"),
        node("Reshape", "a size", "d"),
        node("Reshape", "c size", "e"),
        node("Add", "d e", "s"),
        node("Mul", "s w", "y"),
    ]
    file = saved(graph(nodes, {"x": (10, 100)}, constants={"size": integers(1000), "w": (1000,)}), tmp_path)
    memory = memory_of(trace_spec(file))
    assert memory is not None
    assert memory.weight_bytes == 4000 + 8
    assert memory.peak_bytes == memory.weight_bytes + 4000 + 3 * 4000


def test_layers_name_the_nodes_they_are_made_of(tmp_path: Path) -> None:
    """A hostile name stays text; a node without a name is left out; what is saved says the same."""
    named = node("MatMul", "x w", "y")
    named.name = "/head/<script>"
    made = graph([named, node("Relu", "y", "z")], {"x": (2, 3)}, "z", {"w": (3, 4)})
    profile = addercost.profile(saved(made, tmp_path))
    nodes = {layer.op: layer.nodes for layer in profile.counts.layers}
    assert ("/head/<script>",) in nodes.values() and () in nodes.values()
    again = profile_from_data(json.loads(profile.to_json()))
    assert [layer.nodes for layer in again.counts.layers] == [layer.nodes for layer in profile.counts.layers]
    assert '"nodes"' not in addercost.profile("zoo:lenet5-bn").to_json()
