"""What `reconcile` says that other tools report is what they report, or it says that it does not know.

The tools are those of `make .venv/counting-tools/.installed`; one that is missing fails the exhaustive test.
What they printed is kept in `tool_counts.json`, so that `make test` needs no run of them. `python -m
tests.counts.test_counting_tools` writes it again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from addercost.counts.counting_tools.seen import BATCH_NORM_LAYERS
from addercost.counts.reconcile import TOOLS as ROWS
from addercost.counts.reconcile import ToolCount, reconcile
from addercost.trace.tracer import trace
from tests.counts.counting_tools import TOOLS
from tests.counts.oracle import Function
from tests.counts.tool_models import MODELS

ROOT = Path(__file__).parent.parent.parent
FOLDERS = Path(sys.prefix) / "counting-tools"
FOLDERS_OF_TOOLS = sorted({folder for _, _, folder in TOOLS.values()})
KEPT = Path(__file__).with_name("tool_counts.json")

MODELLED = {
    "thop, April 2020 to June 2022": 70,
    "thop 0.1.1": 70,
    "fvcore 0.1.5, timm": 67,
    "ptflops 0.7": 47,
    "ptflops 0.7, aten": 74,
    "torchinfo 1.8": 69,
    "calflops 0.3": 57,
    "DeepSpeed 0.19": 58,
    "torch FlopCounterMode on the CPU": 73,
    "torch FlopCounterMode on meta": 75,
}
"""By tool: of how many models the rule knows its number. A rule that gives up more often has another."""

Numbers = Mapping[str, Mapping[str, float | None]]
"""By tool and model; None where the tool fails."""


def printed(folder: str) -> dict[str, dict[str, float | None]]:
    """By tool and model, from one process for each folder of tools."""
    path = FOLDERS / folder if folder else ROOT
    assert path.is_dir(), f"{path} is missing: make {FOLDERS.parent.name}/counting-tools/.installed"
    done = subprocess.run(
        [sys.executable, "-m", "tests.counts.counting_tools", folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(path)))},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, dict[str, float | None]] = json.loads(done.stdout.splitlines()[-1])
    return found


def as_text(numbers: Numbers) -> str:
    """JSON, one model a line."""
    lines = (
        f" {json.dumps(name)}: {json.dumps({tool: numbers[tool][name] for tool in TOOLS})}" for name in MODELS
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def kept() -> Numbers:
    by_model = json.loads(KEPT.read_text(encoding="utf-8"))
    return {tool: {name: by_model[name][tool] for name in MODELS} for tool in TOOLS}


Stated = Mapping[str, Mapping[str, ToolCount]]
"""By model and tool."""


@pytest.fixture(scope="module")
def stated() -> Stated:
    rows = {}
    for name, (make, shapes) in MODELS.items():
        inputs = (torch.ones(shape, device="meta") for shape in shapes)
        rows[name] = {row.tool: row for row in reconcile(trace(make().eval(), *inputs))}
    return rows


@pytest.mark.exhaustive
@pytest.mark.parametrize("folder", [pytest.param(one, id=one or "installed") for one in FOLDERS_OF_TOOLS])
def test_the_tools_report_what_is_kept(folder: str) -> None:
    """One case a folder, since its tools share a process to start from."""
    before = kept()
    for tool, found in printed(folder).items():
        assert found == before[tool], tool


@pytest.mark.parametrize("tool", TOOLS)
def test_the_rows_are_what_the_tools_report(tool: str, stated: Stated) -> None:
    found = kept()[tool]
    rows = {name: by_tool[tool] for name, by_tool in stated.items()}
    modelled = {name: row.reported for name, row in rows.items() if row.reported is not None}
    assert modelled == {name: found[name] for name in modelled}
    assert len(modelled) == MODELLED[tool]
    assert all(row.unknown for name, row in rows.items() if name not in modelled)


def test_every_tool_is_run() -> None:
    """All rows but the one of figures that torchvision publishes."""
    assert set(ROWS) - set(TOOLS) == {"torchvision _ops"}


def test_a_sum_is_not_modelled_where_a_tool_counts_it_by_its_spelling(stated: Stated) -> None:
    """ptflops counts torch.add(x, y) and x.add(y), and not x + y, which are one operator in a trace."""
    for name in ("residual +", "residual torch.add", "residual x.add"):
        row = stated[name]["ptflops 0.7"]
        assert row.reported is None
        assert "add" in row.unknown
    assert stated["residual +="]["ptflops 0.7"].reported == 4 * 6 * 6 * (4 * 9 + 1)


def test_recurrent_layers_have_each_tools_formula(stated: Stated) -> None:
    """Five steps of four rows through two layers of sixteen units, both ways: 8, then 32 inputs.

    thop: 4 gates of (inputs + hidden) · hidden + hidden + 2 biases, and 4 · hidden. ptflops: all weights and
    biases and 10 · hidden. torchinfo: weights and biases.
    """
    rows = stated["LSTM, two layers, both ways"]
    steps, hidden = 20, 16
    thop = sum(2 * (4 * ((n + hidden) * hidden + 3 * hidden) + 4 * hidden) for n in (8, 32))
    weights = sum(2 * (4 * hidden * (n + hidden) + 8 * hidden) for n in (8, 32))
    assert rows["thop 0.1.1"].reported == steps * thop == 204_800
    assert rows["ptflops 0.7"].reported == steps * (weights + 4 * 10 * hidden) == 207_360
    assert rows["torchinfo 1.8"].reported == steps * weights == 194_560
    assert rows["fvcore 0.1.5, timm"].reported == 0
    assert rows["torch FlopCounterMode on the CPU"].reported == 0


def test_thop_of_2020_adds_up_what_is_inside_a_module(stated: Stated) -> None:
    """A transposed convolution of 3 to 1 channels, 2×2 taps, 16 outputs: 16 · (3 · 4 + 1) inside a parent."""
    rows = stated["bare transposed"]
    assert rows["thop, April 2020 to June 2022"].reported == 0
    assert rows["thop 0.1.1"].reported == 16 * 3 * 4
    inside = stated["transposed in groups"]["thop, April 2020 to June 2022"]
    assert inside.reported == 2 * 6 * 11 * 11 * (2 * 9 + 1)


def test_tools_of_torch_read_no_other_files() -> None:
    made = trace(nn.Linear(2, 3), torch.ones(1, 2))
    assert made.versions["torch"]
    rows = reconcile(replace(made, versions={"onnx": "1.23"}))
    assert all(row.reported is None and row.unknown for row in rows)


def test_calflops_divides_the_width_of_a_grouped_transposed_convolution_by_its_groups_again() -> None:
    """Two groups of 2 inputs to 3 outputs, 2×5 taps, 3×3 pixels: 2·2·3·10·9 sites, of which it has
    3 // 2 = 1 of 3."""
    made = trace(
        nn.Sequential(nn.ConvTranspose2d(4, 6, (2, 5), groups=2, bias=False)), torch.ones(1, 4, 3, 3)
    )
    (row,) = (row for row in reconcile(made) if row.tool == "calflops 0.3")
    assert row.mac_sites == 2 * 2 * 3 * 10 * 9
    assert row.reported == row.mac_sites // 3


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky ReLU": F.leaky_relu,
    "PReLU": lambda x: F.prelu(x, torch.ones(4, device=x.device)),
    "softmax": lambda x: x.softmax(1),
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x, 2),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "batch norm": lambda x: F.batch_norm(x, x.new_zeros(4), x.new_ones(4)),
    "layer norm": lambda x: F.layer_norm(x, (6, 6)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_thop_sees_modules_and_no_functions(name: str) -> None:
    """3 channels to 4 of 6×6 outputs by 3×3 taps; thop of 2020 adds the bias."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), Function(FUNCTIONS[name]))
    rows = {row.tool: row.reported for row in reconcile(trace(model, torch.ones(1, 3, 8, 8, device="meta")))}
    sites, outputs = 4 * 36 * 27, 4 * 36
    assert rows["thop, April 2020 to June 2022"] == sites + outputs
    assert rows["thop 0.1.1"] == sites


def test_fvcore_on_a_peers_network(stated: Stated) -> None:
    """1×1 convolution 3·10·100, pool of 1,000 inputs, linear layers 10·10 and 10."""
    assert stated["a peer's own test"]["fvcore 0.1.5, timm"].reported == 3 * 10 * 100 + 1000 + 110


def test_every_batch_norm_of_torch_is_in_the_list() -> None:
    """But for the lazy ones, which become one of the others in their first run."""
    of_torch = {
        kind.__name__
        for kind in vars(nn).values()
        if isinstance(kind, type) and issubclass(kind, nn.modules.batchnorm._BatchNorm)
    }
    assert {name for name in of_torch if not name.startswith("Lazy")} == BATCH_NORM_LAYERS


if __name__ == "__main__":
    KEPT.write_text(
        as_text({tool: found for folder in FOLDERS_OF_TOOLS for tool, found in printed(folder).items()}),
        encoding="utf-8",
    )
