"""`addercost profile` as a user runs it. Needs torch, some cases torchvision."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from addercost.api import load_trace
from addercost.cli import run
from tests.cli.commands import EXAMPLE, PAPER, Run, as_json


@pytest.mark.parametrize(
    ("spec", "sites"),
    [
        # 6·28²·25 + 16·10²·150 + 400·120 + 120·84 + 84·10
        pytest.param("zoo:lenet5-bn", 416_520, id="lenet5-bn"),
        pytest.param("torchvision:resnet50", 4_089_184_256, id="torchvision resnet50"),
        pytest.param("zoo:resnet50", 4_089_184_256, id="the zoo's resnet50 is torchvision's"),
        pytest.param("zoo:resnet50-v1", 3_857_973_248, id="resnet50-v1"),
        pytest.param("zoo:resnet32-cifar", 69_124_736, id="resnet32-cifar"),
    ],
)
def test_macs(addercost: Run, spec: str, sites: int) -> None:
    data = as_json(addercost("profile", spec, "--convention", "macs", "--format", "json"))
    assert data["totals"] == {"mul": sites, "add": sites}
    assert data["mac_sites"] == sites
    assert data["complete"] is True and data["uncounted"] == []


def test_json_document(addercost: Run) -> None:
    data = as_json(addercost("profile", EXAMPLE, "--format", "json", *PAPER))
    assert data["schema"] == "addercost/profile/1"
    assert data["convention"] == "full" and data["tracer"] == "meta" and data["arithmetic"] is None
    conv = data["layers"][0]
    assert (conv["path"], conv["type"], conv["op"]) == ("conv1", "Conv2d", "convolution")
    assert conv["output_shape"] == [1, 6, 28, 28]
    assert conv["parameters"] == 6 * 25 + 6
    # 25 products an output; 24 additions and the bias.
    assert conv["counts"] == {"mul": 6 * 28 * 28 * 25, "add": 6 * 28 * 28 * 25}
    for op_class, total in data["totals"].items():
        assert total == sum(layer["counts"].get(op_class, 0) for layer in data["layers"])
    (cost,) = data["cost"]
    assert (cost["hardware"], cost["model"]) == ("via-nano-2000", "latency-sum")
    assert cost["cycles"] == sum(layer["cycles"] for layer in cost["layers"])
    assert [layer["path"] for layer in cost["layers"]] == [layer["path"] for layer in data["layers"]]


def test_the_papers_cycles(addercost: Run) -> None:
    """416,520 sites: mul 4 and add 2 as a CNN, two additions as an adder network."""
    options = ("--convention", "macs", *PAPER, "--format", "json")
    cnn = as_json(addercost("profile", "zoo:lenet5-bn", *options))
    adder = as_json(addercost("profile", "zoo:lenet5-bn", "--as", "adder", *options))
    assert cnn["cost"][0]["cycles"] == 416_520 * (4 + 2)
    assert adder["totals"] == {"mul": 0, "add": 2 * 416_520}
    assert adder["cost"][0]["cycles"] == 416_520 * (2 + 2)


def test_keep_first_last(addercost: Run) -> None:
    """conv1 (117,600) and fc3 (840) stay multiplications."""
    data = as_json(
        addercost(
            "profile",
            EXAMPLE,
            "--as",
            "adder",
            "--keep-first-last",
            "--convention",
            "macs",
            "--format",
            "json",
        )
    )
    kept = 117_600 + 840
    assert data["totals"] == {"mul": kept, "add": kept + 2 * (416_520 - kept)}
    assert data["keep_first_last"] is True


@pytest.mark.parametrize(
    ("suffix", "totals"),
    [
        pytest.param("adder", {"mul": 0, "add": 833_040}, id="adder"),
        pytest.param("xnor", {"mul": 0, "add": 0, "xnor": 416_520, "popcount": 416_520}, id="xnor"),
        pytest.param("shift", {"mul": 0, "add": 416_520, "shift": 416_520}, id="shift"),
    ],
)
def test_a_zoo_model_in_another_arithmetic_traces_as_such(
    addercost: Run, suffix: str, totals: dict[str, int]
) -> None:
    data = as_json(
        addercost("profile", f"zoo:lenet5-bn:{suffix}", "--convention", "macs", "--format", "json")
    )
    assert data["totals"] == totals
    layers = [layer for layer in data["layers"] if layer["arithmetic"]]
    assert len(layers) == 5 and {layer["arithmetic"] for layer in layers} == {suffix}


def test_csv_has_the_columns_of_the_table(addercost: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(addercost("profile", EXAMPLE, *PAPER, "--format", "csv"))))
    assert list(rows[0])[:6] == ["path", "type", "output_shape", "parameters", "mul", "add"]
    assert list(rows[0])[-5:] == ["cycles@via-nano-2000", "calls", "output_shapes", "peak_bytes", "share"]
    assert [row["calls"] for row in rows if row["path"] in ("conv1", "relu")] == ["1", "4"]
    assert rows[0]["output_shape"] == "1x6x28x28"
    assert sum(int(row["mul"]) for row in rows) == 422_868
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1)


def test_markdown_aligns_numbers_right(addercost: Run) -> None:
    text = addercost("profile", EXAMPLE, "--format", "markdown")
    assert "| layer | type | output | parameters |" in text
    assert "| --- | --- | --- | ---: | ---: |" in text


@pytest.mark.parametrize("width", [48, 80, 200])
def test_the_table_fits_the_terminal(addercost: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = addercost("profile", EXAMPLE)
    assert max(map(len, text.splitlines())) <= width
    total = next(line for line in text.splitlines() if line.startswith("total"))
    assert ("422,868" if width == 200 else "423k") in total and "…" not in total
    assert ("hidden to fit" in text) == (width < 200)


def test_sort_top_and_depth(addercost: Run) -> None:
    text = addercost("profile", EXAMPLE, "--sort", "mul", "--top", "2", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["path"] for row in rows] == ["conv2", "conv1", "8 more layers"]
    assert sum(int(row["mul"]) for row in rows) == 422_868
    folded = addercost("profile", "zoo:lenet5-bn", "--depth", "1", "--format", "csv")
    assert [row["path"] for row in csv.DictReader(io.StringIO(folded))] == ["features", "classifier"]


def test_a_saved_trace_is_profiled_like_the_model(addercost: Run, tmp_path: Path) -> None:
    saved = tmp_path / "trace.json"
    first = addercost("profile", EXAMPLE, "--format", "json", "--save-trace", saved)
    assert as_json(addercost("profile", saved, "--format", "json")) == as_json(first)


def test_output_file_and_force(addercost: Run, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    assert addercost("profile", EXAMPLE, "--format", "csv", "-o", file) == ""
    first = file.read_text()
    addercost("profile", EXAMPLE, "--format", "csv", "-o", file, exit_code=5)
    assert file.read_text() == first
    addercost("profile", "zoo:lenet5-bn:adder", "--format", "csv", "-o", file, "--force")
    assert file.read_text() != first
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_strict(addercost: Run, tmp_path: Path) -> None:
    """The VIA Nano's table has no square root; counts alone are complete."""
    addercost("profile", EXAMPLE, *PAPER, "--strict", exit_code=1)
    addercost("profile", EXAMPLE, "--strict", "--cpu", "none")
    mystery = tmp_path / "mystery.py"
    mystery.write_text(
        "import torch\nfrom torch import nn\n"
        "library = torch.library.Library('addercost_test', 'FRAGMENT')\n"
        "library.define('mystery(Tensor x) -> Tensor')\n"
        "library.impl('mystery', lambda x: x.clone(), 'CompositeExplicitAutograd')\n"
        "class Net(nn.Module):\n    def forward(self, x): return torch.ops.addercost_test.mystery(x) + 1\n"
        "example_inputs = torch.empty(4, 4)\n"
    )
    saved = tmp_path / "mystery.json"
    options = ("--cpu", "none", "--format", "json", "--save-trace", saved)
    data = as_json(addercost("profile", mystery, *options))
    assert data["complete"] is False
    assert data["uncounted"] == [{"op": "addercost_test.mystery", "calls": 1, "paths": [""]}]
    assert data["totals"]["add"] == 16
    assert "LOWER BOUND" in addercost("profile", saved, "--cpu", "none")
    addercost("profile", saved, "--cpu", "none", "--strict", exit_code=1)


def test_several_batch_sizes_are_columns(addercost: Run) -> None:
    """416,520 sites of two operations at batch 1; 2,499,120 cycles, 6 a site. Both are proportional."""
    macs = ("--convention", "macs", "--batch", "1,8,32", *PAPER)
    rows = list(csv.DictReader(io.StringIO(addercost("profile", "zoo:lenet5-bn", *macs, "--format", "csv"))))
    assert rows == [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in as_json(addercost("profile", "zoo:lenet5-bn", *macs, "--format", "json"))
    ]
    for size in (1, 8, 32):
        assert sum(int(row[f"operations@{size}"]) for row in rows) == 2 * 416_520 * size
        assert sum(float(row[f"cycles@via-nano-2000@{size}"]) for row in rows) == 6 * 416_520 * size
    by_model = as_json(addercost("compare", "zoo:lenet5-bn", *macs, "--as", "mac,adder", "--format", "json"))
    assert [row["operations@8"] for row in by_model] == [8 * 2 * 416_520] * 2
    # (4 + 2) / (2 + 2) cycles a site at any batch.
    assert {by_model[1][f"ratio@via-nano-2000@{size}"] for size in (1, 8, 32)} == {1.5}
    shown = addercost("profile", "zoo:lenet5-bn", *macs, "--top", "2", "--sort", "operations@32")
    assert "batch sizes 1 and 32 were traced, and 8 derived" in shown
    assert f"{len(rows) - 2} more layers" in shown


def test_one_batch_size_is_a_profile_of_its_own(addercost: Run) -> None:
    data = as_json(
        addercost("profile", "zoo:lenet5-bn", "--convention", "macs", "--batch", "8", "--format", "json")
    )
    assert data["mac_sites"] == 8 * 416_520
    assert data["inputs"] == [{"shape": [8, 1, 32, 32], "dtype": "float32"}]


@pytest.mark.parametrize("text", ["", "0", "1,,8", "1,-8", "1.5", "a", "1 8", "99999999", "²"])
@pytest.mark.parametrize("command", ["profile", "compare"])
def test_a_bad_list_of_batch_sizes(command: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "zoo:lenet5-bn", "--batch", text]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert "is no list of batch sizes" in captured.err


def test_a_training_step(addercost: Run) -> None:
    """Forward, input gradient and weight gradient are the same sites: 3 times the forward's."""
    data = as_json(
        addercost("profile", "torchvision:resnet18", "--backward", "--convention", "macs", "--format", "json")
    )
    assert data["mac_sites"] == 3 * 1_814_073_344 == 10_884_440_064 // 2
    assert data["layers"][0]["path"] == "conv1" and data["layers"][0]["output_shape"] == [1, 64, 112, 112]


@pytest.mark.parametrize(
    "spec", ["zoo:lenet5-bn", pytest.param("zoo:lenet5-bn:adder", marks=pytest.mark.exhaustive)]
)
def test_the_second_tracer_agrees(addercost: Run, spec: str) -> None:
    first, second = (
        as_json(addercost("profile", spec, "--cpu", "none", "--tracer", tracer, "--format", "json"))
        for tracer in ("dispatch", "fvcore")
    )
    assert first["totals"] == second["totals"] and second["tracer"] == "fvcore"
    assert {layer["path"]: layer["counts"] for layer in first["layers"] if layer["mac_sites"]} == {
        layer["path"]: layer["counts"] for layer in second["layers"] if layer["mac_sites"]
    }


STACKS = """
import torch
from torch import nn

class NeedsValues(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)])

    def forward(self, x):
        return self.layers(x) if x.sum() > -1e9 else x

deep = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, batch_first=True), 5)
values = NeedsValues()
"""


@pytest.mark.parametrize(
    ("name", "option"),
    [
        pytest.param("deep", "1x3x8", id="equal layers"),
        pytest.param("values", "2x4", id="needs values, so it is traced whole"),
    ],
)
def test_blocks_traced_once_are_the_same_trace(
    addercost: Run, tmp_path: Path, name: str, option: str
) -> None:
    (tmp_path / "stacks.py").write_text(STACKS)
    saved = []
    for tracer in ("dispatch", "blocks"):
        saved.append(tmp_path / f"{tracer}.json")
        options = ("--input", option, "--tracer", tracer, "--cpu", "none", "--save-trace", saved[-1])
        addercost("profile", f"{tmp_path / 'stacks.py'}:{name}", *options)
    whole, blocks = (replace(load_trace(file), storages=None, repeats=None) for file in saved)
    assert whole == blocks


def test_memory_of_a_training_step(addercost: Run) -> None:
    """Adam keeps two numbers a weight, and a count of steps for each of the ten tensors of weights of the
    convolutions and linear layers and the four of the norms.
    """
    made = as_json(addercost("profile", EXAMPLE, "--backward", "--optimizer", "adam", "--format", "json"))
    memory, weights = made["memory"], 4 * made["parameters"]
    assert memory["training"]["gradient_bytes"] == weights
    assert memory["training"]["optimizer_bytes"] == 2 * weights + 14 * 4
    assert memory["peak_bytes"] == max(layer["peak_bytes"] for layer in memory["layers"])
    text = addercost("profile", EXAMPLE, "--backward", "--optimizer", "adam", "--explain")
    assert "494.1 kB of optimizer state (adam)" in " ".join(text.split())


def test_memory_is_saved_with_the_trace(addercost: Run, tmp_path: Path) -> None:
    made = as_json(addercost("profile", EXAMPLE, "--save-trace", tmp_path / "t.json", "--format", "json"))
    read = as_json(addercost("profile", tmp_path / "t.json", "--format", "json"))
    assert read["memory"] == made["memory"] is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--optimizer", "adamw"), "did you mean adam"), (("--optimizer", "adam"), "give --backward")],
    ids=["unknown", "inference"],
)
def test_optimizers_that_do_not_fit(
    options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", str(EXAMPLE), *options]) == 2
    assert words in capsys.readouterr().err


def test_cost_models_and_energy(addercost: Run) -> None:
    """On the VIA Nano a vector of four products takes a cycle, four maxima and sums two (port MB).

    At 45 nm (Horowitz, ISSCC 2014) a pair is 3.7 + 0.9 pJ as MAC and 0.9 + 0.9 pJ as two additions.
    """
    options = (
        "--convention", "macs", "--cpu", "via-nano-2000", "--cost-model", "throughput", "--energy", "45nm",
        "--format", "json",
    )  # fmt: skip
    cnn = as_json(addercost("profile", "zoo:lenet5-bn", *options))
    adder = as_json(addercost("profile", "zoo:lenet5-bn", "--as", "adder", *options))
    assert [data["cost"][0]["cycles"] for data in (cnn, adder)] == [416_520 / 4, 416_520 / 4 * 2]
    assert adder["cost"][0]["layers"][0]["bound"] == "port MB"
    assert cnn["energy"][0]["total_j"] == pytest.approx(416_520 * 4.6e-12)
    assert adder["energy"][0]["total_j"] == pytest.approx(416_520 * 1.8e-12)


def test_several_cost_models_have_columns_of_their_own(addercost: Run) -> None:
    text = addercost(
        "profile", EXAMPLE, *PAPER, "--cost-model", "throughput", "--energy", "45nm", "--memory", "dram",
        "--format", "csv",
    )  # fmt: skip
    assert text.splitlines()[0].endswith(
        "cycles@via-nano-2000:latency-sum,cycles@via-nano-2000:throughput,energy_j@45nm,"
        "calls,output_shapes,peak_bytes,share"
    )


def test_a_table_of_ones_own(addercost: Run, tmp_path: Path) -> None:
    text = addercost("hardware", "show", "via-nano-2000", "--format", "json")
    assert "fp80_mul" in text
    source = Path(__file__).parents[2] / "addercost" / "hardware" / "cpus" / "via-nano-2000.toml"
    (tmp_path / "mine.toml").write_text(source.read_text())
    options = ("--convention", "macs", "--hardware-path", tmp_path, "--format", "json")
    mine = ("--cpu", "mine", "--cost-model", "latency-sum")
    data = as_json(addercost("profile", EXAMPLE, *mine, *options))
    assert data["cost"][0]["hardware"] == "mine" and data["cost"][0]["cycles"] == 416_520 * 6


@pytest.mark.parametrize(
    ("option", "words"),
    [
        pytest.param(("--cost-model", "latency"), "did you mean latency-sum", id="cost model"),
        pytest.param(("--energy", "45"), "45nm", id="energy table"),
        pytest.param(("--energy", "45nm", "--memory", "dran"), "dram", id="memory"),
        pytest.param(("--what-if", "prun=0.5"), "did you mean prune", id="what-if"),
        pytest.param(("--tracer", "fvcor"), "did you mean fvcore", id="tracer"),
        pytest.param(("--tracer", "fvcore", "--backward"), "--tracer dispatch", id="fvcore and backward"),
        pytest.param(("--tracer", "blocks", "--backward"), "--tracer dispatch", id="blocks and backward"),
        pytest.param(("--hardware-path", "/nowhere"), "/nowhere", id="hardware path"),
    ],
)
def test_unknown_names(option: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", str(EXAMPLE), *option]) in (2, 6)
    err = capsys.readouterr().err
    assert words in err and len(err.splitlines()) == 1
