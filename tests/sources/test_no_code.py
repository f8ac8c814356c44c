"""The documents' table of inputs that run code and that do not: each with what leaves a mark if it runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from onnx import TensorProto, helper

from addercost.api import trace_spec
from addercost.cli import run
from addercost.errors import AddercostError
from addercost.results.sweep_settings import SweepSettings
from addercost.results.trace import trace_to_json
from addercost.sweep.chunks.chunk import run_chunk
from addercost.sweep.run import plan, sweep
from addercost.train.checkpoint import SCHEMA, read_checkpoint
from tests.sources.test_gguf import TEXT, entry, file, tensor
from tests.trace.tflite.graphs import Graph, Op, Tensor


class Marking:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.mark),)


def code(mark: Path) -> str:
    """As a text: Python, a template of jinja, and a command of a shell, whoever might run it."""
    return f"{{{{ ''.__class__ }}}}__import__('os').mkdir('{mark}')  # $(mkdir {mark}) `mkdir {mark}`"


def trace_of_code(mark: Path) -> dict[str, Any]:
    """A trace in which every text is code."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item if key in ("schema", "op") else changed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [changed(item) for item in value]
        return value

    data: dict[str, Any] = changed(json.loads(trace_to_json(trace_spec("zoo:lenet5-bn"))))
    data["model"] = code(mark)
    data["notes"] = [code(mark)]
    first = data["calls"][0]
    path, first["module"] = first["module"], code(mark)
    data["modules"] = {code(mark) if name == path else name: kind for name, kind in data["modules"].items()}
    return data


def a_trace(folder: Path, mark: Path) -> list[str]:
    (folder / "a.json").write_text(json.dumps(trace_of_code(mark)))
    return ["profile", "a.json"]


def a_pickle(name: str) -> Callable[[Path, Path], list[str]]:
    def write(folder: Path, mark: Path) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(Marking(mark)))
        return ["profile", name]

    return write


def a_graph(folder: Path, mark: Path) -> list[str]:
    """With an operator of Python's, weights in another file that is a pickle, and code as names."""
    (folder / "weights").write_bytes(pickle.dumps(Marking(mark)))
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"], name=code(mark)),
        helper.make_node(
            "PythonOp", ["y"], ["z"], domain="ai.onnx.contrib", code=code(mark), func=code(mark)
        ),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 4]) for name in ("x", "z")]
    graph = helper.make_graph(nodes, code(mark), values[:1], values[1:], [weight])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.contrib", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.metadata_props.add(key="code", value=code(mark))
    onnx.save(model, str(folder / "a.onnx"))
    return ["profile", "a.onnx"]


def a_table(folder: Path, mark: Path) -> list[str]:
    (folder / "a.toml").write_text(f'bits = {{ "{code(mark)}" = 8 }}\n')
    return ["profile", "zoo:lenet5-bn", "--what-if", "mixed:a.toml"]


def hardware(folder: Path, mark: Path) -> list[str]:
    (folder / "a.toml").write_text(f'name = "a"\ntitle = "{code(mark)}"\nclock_hz = "{code(mark)}"\n')
    return ["profile", "zoo:lenet5-bn", "--hardware-path", ".", "--cpu", "a"]


def timings(folder: Path, mark: Path) -> list[str]:
    (folder / "a.csv").write_text(f'model,ms\n"{code(mark)}",1\nzoo:lenet5-bn,"{code(mark)}"\n')
    return ["validate", "--measured", "a.csv", "--column", "ms", "--cpu", "amd-zen4"]


def a_configuration(folder: Path, mark: Path) -> list[str]:
    """With a class in a file of its own, which transformers would import."""
    (folder / "mine.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Mine: pass\n")
    content = {"model_type": "llama", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(content))
    return ["profile", "hf:config.json"]


def a_tflite_graph(folder: Path, mark: Path) -> list[str]:
    """With a custom operator, which only a library could run, and code as every name."""
    tensors = (Tensor(code(mark), (1, 4)), Tensor(f"{code(mark)} 2", (1, 4)))
    graph = Graph(tensors, (Op("CUSTOM", (0,), (1,), custom=code(mark)),))
    return ["profile", str(graph.write(folder).name)]


def a_gguf_file(folder: Path, mark: Path) -> list[str]:
    """With a chat template, which programs run as jinja, and code as every text."""
    texts = {
        "general.architecture": code(mark),
        "tokenizer.chat_template": code(mark),
        code(mark): code(mark),
    }
    (folder / "a.gguf").write_bytes(
        file([entry(key, TEXT, value) for key, value in texts.items()], [tensor(code(mark), (8,), 0, 0)], 32)
    )
    return ["profile", "a.gguf"]


CASES = {
    "a trace": a_trace,
    "a pickle as .json": a_pickle("a.json"),
    "a pickle as .html": a_pickle("a.html"),
    "a pickle as .pt2": a_pickle("a.pt2"),
    "a pickle as .onnx": a_pickle("a.onnx"),
    "a pickle as .tflite": a_pickle("a.tflite"),
    "a pickle as .gguf": a_pickle("a.gguf"),
    "an ONNX graph": a_graph,
    "a TFLite graph": a_tflite_graph,
    "a GGUF file": a_gguf_file,
    "widths": a_table,
    "a hardware table": hardware,
    "published timings": timings,
    "a configuration": a_configuration,
}


@pytest.mark.parametrize("write", CASES.values(), ids=CASES)
def test_an_input_that_is_read_runs_nothing(
    write: Callable[[Path, Path], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is refused or taken: nothing of it has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    mark = tmp_path / "mark"
    assert run(write(tmp_path, mark)) in (0, 2, 3, 6)
    assert not mark.exists()


def test_the_marks_would_be_left(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Marking(tmp_path / "one")))
    eval(code(tmp_path / "two").partition("}}")[2].partition("#")[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_checkpoint_runs_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, "model": Marking(tmp_path / "mark")}, buffer)
    (tmp_path / "checkpoint.pt").write_bytes(buffer.getvalue())
    with pytest.raises(AddercostError, match="damaged or no checkpoint"):
        read_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "mark").exists()


def test_a_shard_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow has a type whose class is a pickle in the file's metadata, which old versions read."""
    monkeypatch.chdir(tmp_path)
    what = plan("zoo:lenet5-bn", SweepSettings())
    sweep(what, tmp_path / "out", engine=lambda chunks: (run_chunk(chunk) for chunk in chunks))
    (shard,) = (tmp_path / "out").glob("*.parquet")
    table = pq.read_table(shard)
    mark = tmp_path / "mark"
    hostile = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Marking(mark)),
    }
    fields = [pa.field(f.name, f.type, f.nullable, hostile) for f in table.schema]
    changed = table.cast(pa.schema(fields, {**(table.schema.metadata or {}), b"pandas": code(mark).encode()}))
    pq.write_table(changed, shard)
    for command in (
        ["query", "out", "SELECT * FROM sweep"],
        ["sweep", "top", "out", "--by", "mac_sites"],
        ["query", "out", f"SELECT '{code(mark)[:20].replace(chr(39), '')}' AS a"],
    ):
        assert run(command) in (0, 2, 6)
    assert not mark.exists()


SPACE = """
import os
from torch import nn
os.makedirs({mark!r}, exist_ok=True)
architectures = [("one", lambda: nn.Linear(2, 3), (1, 2))]
"""


def test_what_is_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of the table that say so: a model's file, a module, a space, and a sweep that is measured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    mark = tmp_path / "mark"
    (tmp_path / "space.py").write_text(SPACE.format(mark=str(mark)))
    (tmp_path / "module_of_a_mark.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    model = tmp_path / "model.py"
    model.write_text((tmp_path / "module_of_a_mark.py").read_text())
    for command in (
        ["profile", "model.py"],
        ["profile", "module_of_a_mark:Net"],
        ["sweep", "space.py", "-o", "out", "--dry-run"],
    ):
        run(command)
        assert mark.is_dir(), command
        mark.rmdir()
    what = plan("space.py", SweepSettings())
    sweep(what, tmp_path / "out", engine=lambda chunks: (run_chunk(chunk) for chunk in chunks))
    mark.rmdir()
    run(["sweep", "measure", "out", "--dask", "no address"])
    assert mark.is_dir()


ROWS = {
    "`model.py`, `module:name`, the file of a sweep's SPACE": test_what_is_python_runs,
    "DIR of `sweep measure`": test_what_is_python_runs,
    "`zoo:`, `torchvision:`, `timm:`, `hf:TYPE`": "code of installed packages, not an input",
    "packages with SPECs or targets of their own": "tests/test_extensions.py",
    "`program.pt2`": "tests/sources/test_exported_archive.py",
    "`.json`": "a trace",
    "`.html`": "a pickle as .html",
    "`.csv`": "published timings",
    "`.toml`": "a hardware table",
    "`model.onnx`": "an ONNX graph",
    "`model.tflite`": "a TFLite graph",
    "`model.gguf`": "a GGUF file",
    "`hf:config.json`": "a configuration",
    "shards (`.parquet`)": test_a_shard_runs_nothing,
    "`checkpoint.pt`": test_a_checkpoint_runs_nothing,
    "data sets": "tests/train/test_data.py",
    "SQL of `query`": "tests/sweep/test_query_limits.py",
}
"""What holds each input of the table: a test here, a case of `CASES`, or a file of tests."""


def test_each_row_of_the_table_is_tested() -> None:
    root = Path(__file__).parents[2]
    table = (root / "docs" / "trust.md").read_text().partition("| --- | --- |\n")[2].partition("\n\n")[0]
    inputs = [row.split("|")[1].strip() for row in table.splitlines()]
    left = ", ".join(inputs)
    for row in sorted(ROWS, key=len, reverse=True):
        assert row in left, row
        left = left.replace(row, "", 1)
    assert not re.sub(r"[\s,]", "", left), f"without a test: {left}"
    for held in ROWS.values():
        assert callable(held) or held in CASES or (root / held).is_file() or "installed" in held
