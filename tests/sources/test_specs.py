"""What a SPEC may be, and that loading one gives its weights no memory. Needs torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from addercost.api import trace_model, trace_spec
from addercost.arithmetic import Arithmetic
from addercost.counts.model import count
from addercost.errors import ModelError
from addercost.measure.devices.process_memory import peak_resident_bytes
from addercost.models.zoo import ZOO
from addercost.sources.loading import load_model
from addercost.trace.input_shapes import parse_input_shapes
from addercost.trace.inputs import ModelInputs, expected_input, without_data

HEAD = "import torch\nfrom torch import nn\n"
FILES = {
    "a module called model": "model = nn.Linear(2, 3)\nother = nn.Linear(5, 5)",
    "a class called model": "class model(nn.Linear):\n    def __init__(self): super().__init__(2, 3)",
    "a factory called model": "def model(): return nn.Linear(2, 3)",
    "the only module": "network = nn.Linear(2, 3)",
    "the only class": "class Net(nn.Linear):\n    def __init__(self, width=3): super().__init__(2, width)",
    "the only class that needs nothing": (
        "class Block(nn.Module):\n    def __init__(self, n): super().__init__()\n"
        "class Net(nn.Linear):\n    def __init__(self): super().__init__(2, 3)"
    ),
    "an annotated factory": (
        "def anything() -> nn.Module: return nn.Linear(2, 3)\ndef main(): raise SystemError"
    ),
    "a factory by its name": "def build_net(): return nn.Linear(2, 3)\ndef train(): raise SystemError",
    "needs values to be built": (
        "rate = torch.rand(3).sum().item()\n"
        "class Net(nn.Linear):\n    def __init__(self): super().__init__(2, 3)"
    ),
    "reads a range": (
        "rates = [x.item() for x in torch.linspace(0, 1, 4)]\n"
        "class Net(nn.Linear):\n    def __init__(self): super().__init__(2, 3); assert rates[-1] == 1"
    ),
    "a dataclass in the file": (
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n    width: int = 3\n"
        "model = nn.Linear(2, Config().width)"
    ),
    "guards its script": "model = nn.Linear(2, 3)\nif __name__ == '__main__': raise SystemExit(1)",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_file(text: str, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(HEAD + text)
    trace = trace_spec(str(file), without_data(parse_input_shapes(["1x2"])))
    assert trace.model == "net"
    assert count(trace, "macs").mac_sites == 6


def test_weights_of_a_file_are_on_the_meta_device(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(HEAD + "model = nn.Linear(2, 3)")
    assert {p.device.type for p in load_model(str(file)).model.parameters()} == {"meta"}


def test_named_in_a_file_and_siblings_importable(tmp_path: Path) -> None:
    (tmp_path / "addercost_test_sibling.py").write_text("WIDTH = 3")
    file = tmp_path / "net.py"
    file.write_text(
        HEAD + "class A(nn.Linear):\n    def __init__(self):\n"
        "        from addercost_test_sibling import WIDTH\n        super().__init__(2, WIDTH)\n"
        "class B(nn.Module): pass\n"
    )
    before = list(sys.path)
    trace = trace_spec(f"{file}:A", without_data(parse_input_shapes(["1x2"])))
    assert count(trace, "macs").mac_sites == 6
    assert sys.path == before


def test_package_and_name() -> None:
    trace = trace_spec("torch.nn:ReLU", without_data(parse_input_shapes(["2x3"])))
    assert count(trace).total.by_class() == {"mul": 0, "add": 0, "compare": 6}


@pytest.mark.parametrize(
    ("example", "shapes"),
    [
        pytest.param("torch.empty(1, 2)", [(1, 2)], id="tensor"),
        pytest.param("(torch.empty(4, 2),)", [(4, 2)], id="tuple"),
        pytest.param("{'input': torch.empty(5, 2)}", [(5, 2)], id="keywords"),
        pytest.param("lambda: torch.empty(6, 2)", [(6, 2)], id="function"),
    ],
)
def test_example_inputs(example: str, shapes: list[tuple[int, ...]], tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(HEAD + f"model = nn.Linear(2, 3)\nexample_inputs = {example}")
    assert [spec.shape for spec in trace_spec(str(file)).inputs] == shapes
    given = trace_spec(str(file), without_data(parse_input_shapes(["9x2"])))
    assert [spec.shape for spec in given.inputs] == [(9, 2)]


def test_exported_program(tmp_path: Path) -> None:
    """Paths and classes survive the export; counts are those of the module."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.body(x) + 1
            return result

    x = torch.randn(1, 1, 8, 8)
    program = torch.export.export(Net().eval(), (x,))
    file = tmp_path / "net.pt2"
    torch.export.save(program, file)
    loaded = count(trace_spec(str(file)))
    direct = count(trace_model(Net(), x))
    assert loaded.total == direct.total
    assert [(layer.path, layer.type) for layer in loaded.layers if layer.counts] == [
        (layer.path, layer.type) for layer in direct.layers if layer.counts
    ]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(nn.Conv2d(3, 8, 3), "1x3xHxW", id="conv2d"),
        pytest.param(nn.Conv1d(3, 8, 3), "1x3xW", id="conv1d"),
        pytest.param(nn.Conv3d(3, 8, 3), "1x3xDxHxW", id="conv3d"),
        pytest.param(nn.Sequential(nn.ReLU(), nn.Linear(7, 2)), "1x7", id="linear after relu"),
        pytest.param(nn.Embedding(10, 4), "1xT:int64", id="embedding"),
        pytest.param(nn.LSTM(6, 4, batch_first=True), "1xTx6", id="lstm, batch first"),
        pytest.param(nn.GRU(6, 4), "Tx1x6", id="gru"),
        pytest.param(ZOO["lenet5-bn"].build(Arithmetic.ADDER), "1x1xHxW", id="adder"),
        pytest.param(nn.ReLU(), "", id="says nothing"),
    ],
)
def test_what_the_first_layer_expects(model: nn.Module, expected: str) -> None:
    assert expected_input(model) == expected


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ("1x3x224x224", (1, 3, 224, 224), torch.float32),
        ("1,3,8,8", (1, 3, 8, 8), torch.float32),
        ("1x128:int64", (1, 128), torch.int64),
        ("2x0:bf16", (2, 0), torch.bfloat16),
        ("scalar:bool", (), torch.bool),
    ],
)
def test_input(text: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    (tensor,) = without_data(parse_input_shapes([text])).args
    assert tuple(tensor.shape) == shape and tensor.dtype == dtype and tensor.is_meta


def test_keyword_input() -> None:
    inputs = without_data(parse_input_shapes(["1x2", "mask=1x2:bool"]))
    assert isinstance(inputs, ModelInputs) and len(inputs.args) == 1 and set(inputs.kwargs) == {"mask"}


def test_torchvision_is_advised_when_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from addercost.sources import torchvision_models

    def missing(name: str) -> None:
        raise ImportError(name)

    torchvision_models._models.cache_clear()
    monkeypatch.setattr(torchvision_models.importlib, "import_module", missing)
    with pytest.raises(ModelError, match=r"addercost\[vision\]"):
        torchvision_models._models()
    torchvision_models._models.cache_clear()


@pytest.mark.exhaustive
def test_seven_billion_parameters_take_no_memory(tmp_path: Path) -> None:
    """Llama-2-7B would be 27 GB in single precision; the limit is 1.5 GiB, most of it torch."""
    if peak_resident_bytes() is None:
        pytest.skip("this system does not report a program's peak memory")
    code = (
        "from addercost.api import trace_spec\n"
        "from addercost.trace.input_shapes import parse_input_shapes\n"
        "from addercost.trace.inputs import without_data\n"
        "from addercost.measure.devices.process_memory import peak_resident_bytes\n"
        "trace = trace_spec('llama.py', without_data(parse_input_shapes(['1x128:int64'])))\n"
        "print(trace.parameter_count, peak_resident_bytes())"
    )
    (tmp_path / "llama.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\nmodel = LlamaForCausalLM(LlamaConfig())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    parameters, peak = map(int, done.stdout.split())
    assert parameters == 6_738_415_616
    assert peak < 1.5 * 2**30
