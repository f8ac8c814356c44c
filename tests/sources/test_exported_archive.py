"""A `program.pt2` of somebody else's runs nothing: it is read by its parts; what needs more is refused."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from addercost.api import trace_spec
from addercost.errors import DataError
from addercost.sources.exported import EXPORTED
from addercost.sources.exported_graph import is_arithmetic
from addercost.sources.kind import TRUST


class Marking:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported with sizes that depend on the input, so that its graph has expressions."""

    class Pad(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, x], 1) + x.shape[1] * 3

    file = tmp_path_factory.mktemp("pt2") / "honest.pt2"
    width = torch.export.Dim("width", min=4, max=64)
    program = torch.export.export(Pad(), (torch.zeros(2, 8),), dynamic_shapes=({1: width},))
    torch.export.save(program, file)
    return file


def with_part(source: Path, target: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of an archive in which one part is changed, or added where there is none."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        folder = old.namelist()[0].partition("/")[0]
        for part in old.infolist():
            if part.filename != f"{folder}/{name}":
                new.writestr(part, old.read(part))
        found = f"{folder}/{name}" in old.namelist()
        new.writestr(f"{folder}/{name}", change(old.read(f"{folder}/{name}") if found else b""))
    return target


def in_graph(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        text = data.decode()
        assert old in text, text[:2000]
        return text.replace(old, new).encode()

    return change


def test_an_honest_program_is_read(honest: Path) -> None:
    trace = trace_spec(str(honest))
    assert "aten.cat.default" in {call.op for call in trace.calls}
    assert [spec.shape for spec in trace.inputs] == [(2, 8)]


def test_of_a_tensor_the_header_alone_is_read(tmp_path: Path) -> None:
    """Two names of one weight, a part of another, numbers of two bytes, a buffer and a constant."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight
            self.narrow = nn.Parameter(torch.zeros(4, 6, dtype=torch.bfloat16)[:, ::2])
            self.register_buffer("table", torch.arange(3))
            self.constant = torch.tensor([1.5, 2.5])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.second(self.first(x)) + self.constant.sum() + self.table.sum()
            return y @ self.narrow.float()

    file = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(Net(), (torch.zeros(1, 4),)), file)
    assert EXPORTED.load_model is not None
    loaded = EXPORTED.load_model(str(file))
    tensors = dict(loaded.model.named_parameters(remove_duplicate=False)) | dict(loaded.model.named_buffers())
    assert {tensor.device.type for tensor in tensors.values()} == {"meta"}
    assert tensors["first.weight"] is tensors["second.weight"]
    assert tensors["narrow"].dtype == torch.bfloat16 and tensors["narrow"].shape == (4, 3)
    assert loaded.inputs is not None and loaded.inputs.args[0].is_meta
    assert loaded.rebuild is not None
    values = loaded.rebuild()
    x = torch.ones(1, 4)
    torch.manual_seed(0)
    program = torch.export.load(file)
    assert torch.equal(values(x), program.module()(x))


def test_inputs_are_those_of_the_export(tmp_path: Path) -> None:
    """Nested, by name, of another number format, and no tensor."""

    class Net(nn.Module):
        def forward(self, x: torch.Tensor, *, more: dict[str, Any], scale: float, flag: bool) -> torch.Tensor:
            total: torch.Tensor = x + more["a"].float() * scale
            return total if flag else x

    given = {"more": {"a": torch.zeros(3, dtype=torch.int8)}, "scale": 0.5, "flag": True}
    file = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(Net(), (torch.zeros(2, 3),), given), file)
    assert EXPORTED.load_model is not None
    inputs = EXPORTED.load_model(str(file)).inputs
    assert inputs is not None
    (x,) = inputs.args
    assert x.shape == (2, 3) and inputs.kwargs["more"]["a"].dtype == torch.int8
    assert {name: inputs.kwargs[name] for name in ("scale", "flag")} == {"scale": 0.5, "flag": True}


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s27', positive=True, integer=True)", "Add(Integer(2), Mul(Integer(3), Symbol('s0')))",
        "s0*2", "Pow(Symbol('s0'), Integer(2))", "s0**2 + s1**2", "Pow(s0, Rational(1, 2))",
        "FloorDiv(s0 - 1, 2) + 1",
    ],
)  # fmt: skip
def test_sizes_that_torch_writes(text: str) -> None:
    assert is_arithmetic(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "s0.__class__", "(lambda: s0)()", "[s0 for s0 in s1]", "exec('1')",
        "Symbol('x y')", "9**9**9**9", "Pow(9, Pow(9, 9))", "((9**64)**64)**64", "2**s0", "LShift(1, 10**12)",
        "s0!", "9" * 400, "Symbol(s0 := 1)", "(" * 5000, "Float('1', precision=10**9)", "", "f'{s0}'",
    ],
)  # fmt: skip
def test_sizes_that_are_more_than_arithmetic(text: str) -> None:
    """Code, and numbers that would fill the memory."""
    assert not is_arithmetic(text)


def pickled(name: str, use_pickle: bool = True) -> bytes:
    return json.dumps({"config": {"x": {"path_name": name, "use_pickle": use_pickle}}}).encode()


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        pytest.param(
            "data/constants/model_constants_config.json",
            lambda _: lambda __: pickled("tensor_0"),
            "x is a pickle",
            id="pickled constant",
        ),
        pytest.param(
            "data/constants/model_constants_config.json",
            lambda _: lambda __: pickled("custom_obj_0", use_pickle=False),
            "x is a pickle or an object of a library",
            id="object among the constants",
        ),
        pytest.param(
            "data/weights/model_weights_config.json",
            lambda _: lambda __: pickled("weight_0"),
            "x is a pickle",
            id="pickled weight",
        ),
        pytest.param(
            "models/model.json",
            lambda _: in_graph("torch.ops.aten.cat.default", "torch.hub.load"),
            "its graph calls torch.hub.load, which is no operator",
            id="function below torch",
        ),
        pytest.param(
            "models/model.json",
            lambda _: in_graph("torch.ops.aten.cat.default", "torch.ops.load_library"),
            "which is no operator",
            id="library",
        ),
        pytest.param(
            "models/model.json",
            lambda _: in_graph("torch.ops.aten.cat.default", "torch.ops.load_library.__call__"),
            "which is no operator",
            id="call of a library",
        ),
        pytest.param(
            "models/model.json",
            lambda _: in_graph("torch.ops.aten.cat.default", "torch.ops.loaded_libraries.add"),
            "which is no operator",
            id="method of an object",
        ),
        pytest.param(
            "models/model.json",
            lambda _: in_graph("torch.ops.aten.cat.default", "torch.ops.aten.from_file.default"),
            "which is no operator",
            id="operator that opens a file",
        ),
        pytest.param(
            "models/model.json",
            lambda mark: in_graph('"x"', f"\"zz=__import__('os').mkdir('{mark}')\""),
            "which would become code",
            id="name of an input that is code",
        ),
        pytest.param(
            "models/model.json",
            lambda _: in_graph("L__self__,,", r"L__self__,a\"b,"),
            "which would become code",
            id="name of a layer that is code",
        ),
        pytest.param(
            "models/model.json",
            lambda _: in_graph("builtins.dict", "__enum__"),
            "which would become code",
            id="module to import",
        ),
        pytest.param(
            "models/model.json",
            lambda _: in_graph(r"\"null\"", r"\"{\\\"\\u005f_enum__\\\": 1}\""),
            "which would become code",
            id="module to import, escaped",
        ),
        pytest.param(
            "models/model.json",
            lambda _: in_graph("torch.ops.aten.cat.default", "_operator.methodcaller"),
            "which is no operator",
            id="method by name",
        ),
        pytest.param(
            "models/model.json",
            lambda mark: lambda data: data.replace(
                b'"expr_str":', f'"expr_str": "__import__(\'os\').mkdir(\'{mark}\')", "as_string":'.encode()
            ),
            "which is no arithmetic",
            id="size that is code",
        ),
    ],
)  # fmt: skip
def test_what_would_run_code_is_refused_and_leaves_no_mark(
    name: str, change: Callable[[Path], Callable[[bytes], bytes]], why: str, honest: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    file = with_part(honest, tmp_path / "theirs.pt2", name, change(mark))
    with pytest.raises(DataError, match=why) as caught:
        trace_spec(str(file))
    assert "if you trust who made the file, give --trust" in caught.value.hint
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data/sample_inputs/model.pt", lambda mark: saved(((Marking(mark),), {}))),
        ("data/constants/custom_obj_0", lambda mark: pickle.dumps(Marking(mark))),
        ("data/weights/model.pt", lambda mark: pickle.dumps(Marking(mark))),
        ("data/aotinductor/model/code.so", lambda _: b"\x7fELF"),
    ],
    ids=["sample inputs", "object", "old weights", "compiled library"],
)
def test_a_part_that_is_not_needed_is_not_read(
    name: str, content: Callable[[Path], bytes], honest: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    file = with_part(honest, tmp_path / "theirs.pt2", name, lambda _: content(mark))
    assert trace_spec(str(file)).calls == trace_spec(str(honest)).calls
    assert not mark.exists()


def test_an_archive_of_pickles_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.pt2"
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(DataError, match=r"torch before 2\.8 wrote it, as pickles"):
        trace_spec(str(file))


def test_whoever_trusts_a_file_may_say_so(
    honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This shows too that the mark would be left."""
    mark = tmp_path / "mark"
    data = saved(((torch.zeros(2, 8), Marking(mark)), {}))
    file = with_part(honest, tmp_path / "theirs.pt2", "data/sample_inputs/model.pt", lambda _: data)
    monkeypatch.setenv(TRUST, "1")
    with pytest.raises(Exception, match=r".*"):
        trace_spec(str(file))
    assert mark.exists()


def test_an_archive_that_grows_when_it_is_unpacked_is_refused(honest: Path, tmp_path: Path) -> None:
    file = tmp_path / "bomb.pt2"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("p/data/weights/weight_0", bytes(50_000_000))
    with pytest.raises(DataError, match="its parts are larger than it"):
        trace_spec(str(file))


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)],
    ids=["empty", "text", "cut off", "no part"],
)  # fmt: skip
def test_what_is_no_archive_is_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.pt2"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"is not an exported program|could run code when it is read"):
        trace_spec(str(file))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_program_that_is_cut_off_is_one_line(kept: float, honest: Path, tmp_path: Path) -> None:
    """What is left may end with an archive of tensors that is a part of the whole one."""
    data = honest.read_bytes()
    file = tmp_path / "x.pt2"
    file.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match=r"is not an exported program|could run code when it is read"):
        trace_spec(str(file))


def test_an_error_of_torch_is_one_line(
    honest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """torch logs the error that it raises; its log goes to stderr."""

    file = tmp_path / "damaged.pt2"
    file.write_bytes(honest.read_bytes())

    def fails(*_: object, **__: object) -> None:
        logging.getLogger("torch.export").warning("a traceback")
        raise RuntimeError("PytorchStreamReader failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.export, "unflatten", fails)
        with pytest.raises(DataError, match="is not an exported program: RuntimeError: PytorchStreamReader"):
            trace_spec(str(file))
    assert not caplog.records and not logging.getLogger("torch.export").disabled
