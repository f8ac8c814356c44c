"""The Python examples of `docs/` do what the pages say. Needs torch."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from addercost.cli import run

DOCS = Path(__file__).parents[2] / "docs"
MODELS = (DOCS / "models.md").read_text(encoding="utf-8")
EXTENDING = (DOCS / "extending.md").read_text(encoding="utf-8")


def test_the_three_line_hugging_face_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line.strip() for line in MODELS.splitlines() if line.startswith("    ")]
    start = next(i for i, line in enumerate(lines) if line.startswith("from transformers"))
    (tmp_path / "llama.py").write_text("\n".join(lines[start : start + 3]))
    assert run(["profile", str(tmp_path / "llama.py"), "--convention", "macs", "--format", "json"]) == 0
    # Llama-2-7B: 32 layers of 4·4096² + 3·4096·11008 weights and the 32000·4096 head over 128 tokens; and two
    # attention products of 128·128·4096 a layer.
    weights = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    expected = 128 * weights + 32 * 2 * 128 * 128 * 4096
    assert f'"mac_sites": {expected}' in capsys.readouterr().out


NETWORK = """
class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 3)

    def forward(self, x):
        return scale(self.fc(x), 0.5)

model, example_inputs = Network(), torch.zeros(2, 4)
"""


@pytest.mark.usefixtures("rules_as_before")
def test_the_operator_of_ones_own_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", EXTENDING, flags=re.S)
    (block,) = [block for block in blocks if "@addercost.rule" in block]
    file = tmp_path / "network.py"
    file.write_text(block + NETWORK)
    assert run(["profile", str(file), "--strict", "--format", "json"]) == 0
    # The layer: 2·3 outputs of 4 products, a bias each. The operator: one multiplication for each of them.
    assert json.loads(capsys.readouterr().out)["totals"] == {"mul": 24 + 6, "add": 24}
