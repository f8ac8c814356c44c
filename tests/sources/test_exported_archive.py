"""A `program.pt2` of somebody else's runs nothing: what would is refused before torch reads it."""

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
from addercost.sources.exported_archive import VARIABLE, check_archive


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
    with honest.open("rb") as opened:
        check_archive(honest, opened)
    assert trace_spec(str(honest)).calls


def pickled(name: str) -> bytes:
    return json.dumps({"config": {"x": {"path_name": name, "use_pickle": True}}}).encode()


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        pytest.param(
            "data/sample_inputs/model.pt",
            lambda mark: lambda _: saved(((Marking(mark),), {})),
            "is a pickle of more than tensors",
            id="sample inputs",
        ),
        pytest.param(
            "data/constants/custom_obj_0",
            lambda mark: lambda _: pickle.dumps(Marking(mark)),
            "may hold compiled code",
            id="object among the constants",
        ),
        pytest.param(
            "data/constants/model_constants_config.json",
            lambda _: lambda __: pickled("tensor_0"),
            "names pickles",
            id="pickled constant",
        ),
        pytest.param(
            "data/weights/model_weights_config.json",
            lambda _: lambda __: pickled("weight_0"),
            "names pickles",
            id="pickled weight",
        ),
        pytest.param(
            "data/aotinductor/model/code.so",
            lambda _: lambda __: b"\x7fELF",
            "may hold compiled code",
            id="compiled library",
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
            lambda _: in_graph("torch.ops.aten.cat.default", "_operator.methodcaller"),
            "which is no operator",
            id="method by name",
        ),
        pytest.param(
            "models/model.json",
            lambda mark: lambda data: data.replace(
                b'"expr_str":', f'"expr_str": "__import__(\'os\').mkdir(\'{mark}\')", "other":'.encode()
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


def test_whoever_trusts_a_file_may_say_so(
    honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This shows too that the mark would be left."""
    mark = tmp_path / "mark"
    data = saved(((torch.zeros(2, 8), Marking(mark)), {}))
    file = with_part(honest, tmp_path / "theirs.pt2", "data/sample_inputs/model.pt", lambda _: data)
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(Exception, match=r".*"):
        trace_spec(str(file))
    assert mark.exists()


def test_an_archive_that_grows_when_it_is_unpacked_is_refused(honest: Path, tmp_path: Path) -> None:
    file = tmp_path / "bomb.pt2"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("p/data/weights/weight_0", bytes(50_000_000))
    with file.open("rb") as opened, pytest.raises(DataError, match="its parts are far larger than it"):
        check_archive(file, opened)


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


def test_a_damaged_weight_is_one_line(honest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """torch logs the error that it raises; its log goes to stderr."""

    file = tmp_path / "damaged.pt2"
    file.write_bytes(honest.read_bytes())

    def fails(*_: object, **__: object) -> None:
        logging.getLogger("torch.export").warning("a traceback")
        raise RuntimeError("PytorchStreamReader failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.export, "load", fails)
        with pytest.raises(DataError, match="is not an exported program: RuntimeError: PytorchStreamReader"):
            trace_spec(str(file))
    assert not caplog.records and not logging.getLogger("torch.export").disabled
