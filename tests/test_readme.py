"""The README's commands print what it shows. Needs torch."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path

import pytest

import addercost
from addercost.cli import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = [
    (command, output.strip())
    for block in re.findall(r"```\n(\$ addercost .*?)```", README, flags=re.S)
    for command, output in re.findall(r"\$ addercost (.*?)\n(.*?)(?=\n\$ |\Z)", block, flags=re.S)
]


def test_there_are_examples() -> None:
    assert len(SHOWN) >= 2


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_prints_what_is_shown(
    command: str, output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    assert run(command.split()) == 0
    assert capsys.readouterr().out.strip() == output


def test_the_three_line_hugging_face_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line.strip() for line in README.splitlines() if line.startswith("    ")]
    start = next(i for i, line in enumerate(lines) if line.startswith("from transformers"))
    (tmp_path / "llama.py").write_text("\n".join(lines[start : start + 3]))
    assert run(["profile", str(tmp_path / "llama.py"), "--convention", "macs", "--format", "json"]) == 0
    # Llama-2-7B: 32 layers of 4·4096² + 3·4096·11008 weights and the 32000·4096 head over 128 tokens; and two
    # attention products of 128·128·4096 a layer.
    weights = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    expected = 128 * weights + 32 * 2 * 128 * 128 * 4096
    assert f'"mac_sites": {expected}' in capsys.readouterr().out


SESSION = doctest.DocTestParser().get_doctest(README, {"addercost": addercost}, "README.md", "README.md", 0)


def test_the_python_session_prints_what_is_shown() -> None:
    assert len(SESSION.examples) >= 3
    result = doctest.DocTestRunner().run(SESSION)
    assert result.failed == 0


NETWORK = """
class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 3)

    def forward(self, x):
        return scale(self.fc(x), 0.5)

model, example_inputs = Network(), torch.zeros(2, 4)
"""


def test_the_operator_of_ones_own_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    (block,) = [block for block in blocks if "@addercost.rule" in block]
    file = tmp_path / "network.py"
    file.write_text(block + NETWORK)
    assert run(["profile", str(file), "--strict", "--format", "json"]) == 0
    # The layer: 2·3 outputs of 4 products, a bias each. The operator: one multiplication for each of them.
    assert json.loads(capsys.readouterr().out)["totals"] == {"mul": 24 + 6, "add": 24}


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_and_paths_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    paths = re.findall(r"`((?:addercost|tests|tools|examples|benchmarks)/[\w./]*)`", text)
    for target in [*links, *paths]:
        assert (ROOT / target).exists(), target
