"""A trace as JSON: the round trip is the identity, and anything else is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addercost.errors import DataError
from addercost.results.trace import trace_from_json, trace_to_json
from addercost.trace.record import STORAGE_KINDS, OpCall, Storage, TensorSpec, Trace

texts = st.text(max_size=12)
specs = st.builds(
    TensorSpec,
    shape=st.lists(st.integers(0, 2**15), max_size=4).map(tuple),
    dtype=st.sampled_from(["float32", "int8", "bool", "complex64"]),
    role=st.sampled_from(["activation", "parameter", "input"]),
    name=texts,
    stored=st.none() | st.tuples(st.integers(0, 2**50), st.integers(0, 2**20)),
    number=st.integers(0, 2**20),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    texts,
    specs,
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)
calls = st.builds(
    OpCall,
    op=st.sampled_from(["made.up.default", "aten.no_such.Scalar"]),
    module=texts,
    args=st.dictionaries(texts, values, max_size=3),
    outputs=st.lists(specs, max_size=2).map(tuple),
    index=st.just(0),
    tags=st.lists(texts, max_size=2).map(tuple),
)
names = st.dictionaries(texts, texts, max_size=3)
storages = st.builds(Storage, st.integers(0, 2**50), st.sampled_from(STORAGE_KINDS))
traces = st.builds(
    Trace,
    model=texts,
    calls=st.lists(calls, max_size=3).map(
        lambda made: tuple(
            OpCall(c.op, c.module, c.args, c.outputs, index, c.tags) for index, c in enumerate(made)
        )
    ),
    modules=names,
    parameters=st.dictionaries(texts, st.integers(0, 2**50), max_size=3),
    inputs=st.lists(specs, max_size=2).map(tuple),
    tracer=st.sampled_from(["meta", "fake", "real"]),
    versions=names,
    notes=st.lists(texts, max_size=2).map(tuple),
    storages=st.none() | st.lists(storages, max_size=3).map(tuple),
    repeats=st.none() | st.dictionaries(texts, st.just((0, 0)), max_size=2),
)


@given(traces)
def test_round_trip_is_the_identity(trace: Trace) -> None:
    assert trace_from_json(trace_to_json(trace)) == trace


def test_infinities_survive() -> None:
    """Attention masks are filled with -inf, which JSON has no word for."""
    call = OpCall("aten.masked_fill.Scalar", "", {"value": float("-inf")}, (), 0)
    trace = Trace("m", (call,), {}, {})
    json.loads(trace_to_json(trace), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert trace_from_json(trace_to_json(trace)) == trace


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_a_float_that_json_has_no_word_for_is_refused_as_a_number(text: str) -> None:
    damaged = json.dumps(GOOD).replace('"args": {}', f'"args": {{"value": {text}}}')
    with pytest.raises(DataError):
        trace_from_json(damaged)


def test_a_whole_number_has_at_most_64_bits() -> None:
    """Without a sign they reach 2⁶⁴ - 1."""
    for value in (2**64 - 1, -(2**64) + 1):
        call = OpCall("a.b.c", "", {"value": value}, (), 0)
        trace = Trace("m", (call,), {}, {})
        assert trace_from_json(trace_to_json(trace)) == trace
    for value in (2**64, -(2**64)):
        call = OpCall("a.b.c", "", {"value": value}, (), 0)
        with pytest.raises(DataError, match="a whole number of at most 64 bits"):
            trace_from_json(trace_to_json(Trace("m", (call,), {}, {})))


@pytest.mark.parametrize(("shape", "is_refused"), [((2**32 - 1, 2**32 + 1), False), ((2**32, 2**32), True)])
def test_a_tensor_has_less_than_2_to_the_64_elements(shape: tuple[int, int], is_refused: bool) -> None:
    """(2³² - 1)·(2³² + 1) is 2⁶⁴ - 1."""
    trace = Trace("m", (), {}, {}, inputs=(TensorSpec(shape, "int8"),))
    if is_refused:
        with pytest.raises(DataError, match=r"inputs\[0\].tensor"):
            trace_from_json(trace_to_json(trace))
    else:
        assert trace_from_json(trace_to_json(trace)) == trace


def test_a_call_is_a_line() -> None:
    """Files differ where calls do, and what a tensor does not have is not written."""
    text = trace_to_json(Trace("m", GOOD_CALLS * 2, {}, {}))
    line = '"op": "a.b.c", "module": "", "args": {}, '
    output = '"outputs": [{"tensor": [1], "dtype": "int8", "role": "activation"}]'
    assert [one for one in text.splitlines() if "a.b.c" in one] == [
        f"  {{{line}{output}}},",
        f"  {{{line}{output}}}",
    ]
    assert text.startswith('{\n "schema"') and ',\n "calls": [\n' in text
    named = OpCall("a.b.c", "", {"w": TensorSpec((1,), "int8", "parameter", "fc.weight", number=3)}, (), 0)
    written = json.loads(trace_to_json(Trace("m", (named,), {}, {})))["calls"][0]["args"]["w"]
    assert written == {"tensor": [1], "dtype": "int8", "role": "parameter", "name": "fc.weight", "number": 3}


def test_why_a_call_cannot_be_counted_is_said_in_120_characters() -> None:
    """A product needs two matrices."""
    call = {"op": "aten.mm.default", "module": "", "args": {"self": "x" * 400}, "outputs": []}
    with pytest.raises(DataError, match=r"are not those of aten\.mm\.default: ") as error:
        trace_from_json(json.dumps(GOOD | {"calls": [call]}))
    assert len(str(error.value).partition("aten.mm.default: ")[2].partition(";")[0]) <= 120


def test_memory_survives() -> None:
    storages = (Storage(4, "input"), Storage(8, made=0, freed=0), Storage(2**40, "gradient", 0))
    trace = Trace("m", GOOD_CALLS, {}, {}, storages=storages, repeats={"a": (0, 1)})
    assert trace_from_json(trace_to_json(trace)) == trace


@pytest.mark.parametrize(
    "change",
    [{"kind": "weight"}, {"made": -2}, {"made": 1}, {"freed": -1, "made": 0}, {"freed": 1}, {"bytes": -4}],
    ids=["kind", "before the first", "after the last", "freed first", "freed after the last", "bytes"],
)
def test_damaged_memory_is_refused(change: dict[str, object]) -> None:
    good = {"bytes": 4, "kind": "activation", "made": 0}
    assert trace_from_json(json.dumps(GOOD | {"storages": [good]})).storages == (Storage(4, made=0),)
    with pytest.raises(DataError, match=r"storages\[0\]"):
        trace_from_json(json.dumps(GOOD | {"storages": [good | change]}))


@pytest.mark.parametrize("starts", [[0], [1, 0], [0, 2], [-1, 0], 0])
def test_damaged_repeats_are_refused(starts: object) -> None:
    with pytest.raises(DataError, match="repeats"):
        trace_from_json(json.dumps(GOOD | {"repeats": {"a": starts}}))


GOOD_CALLS = (OpCall("a.b.c", "", {}, (TensorSpec((1,), "int8"),), 0),)
GOOD = json.loads(trace_to_json(Trace("m", GOOD_CALLS, {}, {})))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param("{", "not JSON", id="cut off"),
        pytest.param("[" * 100_000, "not JSON", id="deep nesting"),
        pytest.param("[]", "no schema", id="a list"),
        pytest.param("{}", "no schema", id="no schema"),
        pytest.param(json.dumps({**GOOD, "schema": "addercost/trace/2"}), "this version reads", id="newer"),
        pytest.param(json.dumps({**GOOD, "schema": "addercost/profile/1"}), "not a trace", id="a profile"),
        pytest.param(json.dumps({**GOOD, "calls": 3}), "calls = 3: expected a list", id="calls is a number"),
        pytest.param(
            json.dumps({**GOOD, "parameters": {"w": -1}}),
            "parameters.w = -1: expected a whole number",
            id="negative count",
        ),
        pytest.param(
            json.dumps({**GOOD, "calls": [{"op": "x"}]}),
            "calls.0..module is missing",
            id="call without module",
        ),
        pytest.param(
            json.dumps({k: v for k, v in GOOD.items() if k != "modules"}),
            "modules is missing",
            id="no modules",
        ),
    ],
)
def test_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        trace_from_json(text, "file.json")
    assert "file.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_saved_trace_is_counted_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from addercost.results.trace import trace_from_json\n"
        "from addercost.counts.model import count\n"
        f"print(count(trace_from_json({json.dumps(GOOD)!r})).complete)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"  # a.b.c has no rule
