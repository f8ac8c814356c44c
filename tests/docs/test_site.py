"""The site: references made from the code, the tutorial's outputs, spelling, and a strict build."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import jsonschema
import pytest

from addercost.cli import run
from addercost.cli.profile import profile as PROFILE
from addercost.counts.registry import RULES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import distributions  # noqa: E402
import docs_reference as reference  # noqa: E402
import man_pages  # noqa: E402
import tutorial  # noqa: E402


def test_the_operators_page_has_every_operator_once() -> None:
    page = reference.operators_page()
    listed = [
        name.strip("`")
        for line in page.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].strip().split(", ")
    ]
    assert sorted(listed) == sorted(reference.built_in_rules())


def test_what_the_page_says_of_operators() -> None:
    # torch's documentation: addcmul is input + value × tensor1 × tensor2.
    assert reference.counted("aten.addcmul") == "`a + v * (b * c)`: 2 mul, 1 add an element"
    assert reference.counted("aten.clone") == "nothing: it computes no numbers"


@pytest.mark.parametrize("module", sorted({rule.__module__ for rule in reference.built_in_rules().values()}))
def test_every_rule_says_its_formula(module: str) -> None:
    """In words with a number or a symbol of what it counts, and no rule refers to its code."""
    for name in (name for name, rule in RULES.items() if rule.__module__ == module):
        text = reference.counted(name)
        assert len(text) >= 5 and "file says" not in text, name


def test_a_rule_without_a_formula_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(call: object) -> None: ...

    silent.__module__ = RULES["aten.topk"].__module__
    monkeypatch.setitem(RULES, "aten.topk", silent)
    with pytest.raises(ValueError, match=r"the rule of aten\.topk has no docstring"):
        reference.operators_page()


def test_every_command_has_a_manual_page_with_all_its_options() -> None:
    pages = man_pages.pages()
    assert {"addercost.1", "addercost-profile.1", "addercost-bench-run.1"} <= set(pages)
    profile = pages["addercost-profile.1"]
    for option in PROFILE.params:
        for name in option.opts if isinstance(option, click.Option) else ():
            assert name.replace("-", r"\-") in profile, name
    assert r"\-\-bandwidth" in profile and r"torchvision:resnet50" in profile
    assert "143 terminated" in profile
    # roff takes a line that begins so for a request of its own.
    requests = {line.split()[0] for page in pages.values() for line in page.splitlines() if line[:1] in ".'"}
    assert requests == {".TH", ".SH", ".SS", ".PP", ".TP", ".nf", ".fi"}


def committed_documents() -> Iterator[object]:
    """Of each schema the smallest document; the others are exhaustive."""
    seen = set()
    for path in sorted((ROOT / "reports").rglob("*.json"), key=lambda path: path.stat().st_size):
        document = json.loads(path.read_text(encoding="utf-8"))
        if path.name.endswith(".trace.json") or "schema" not in document:
            continue
        marks = [pytest.mark.exhaustive] if document["schema"] in seen else []
        seen.add(document["schema"])
        yield pytest.param(path, marks=marks, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize("path", committed_documents())
def test_documents_follow_their_schema(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    (name,) = [name for name, (schema, *_) in reference.FORMS.items() if schema == document["schema"]]
    jsonschema.Draft202012Validator(reference.schemas()[name]).validate(document)


def test_a_profile_follows_its_schema_and_a_damaged_one_does_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trace = tmp_path / "trace.json"
    assert run(["profile", "zoo:lenet5-bn", "--format", "json", "--save-trace", str(trace)]) == 0
    document = json.loads(capsys.readouterr().out)
    schemas = reference.schemas()
    validator = jsonschema.Draft202012Validator(schemas["profile"])
    validator.validate(document)
    jsonschema.Draft202012Validator(schemas["trace"]).validate(json.loads(trace.read_text()))
    for damaged in (
        document | {"schema": "addercost/profile/0"},
        document | {"mac_sites": -1},
        document | {"unknown": 1},
        {key: value for key, value in document.items() if key != "layers"},
    ):
        assert not validator.is_valid(damaged)


@pytest.mark.exhaustive
def test_the_tutorial_shows_what_it_prints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = [(tutorial.shown(cell), text) for cell, text in tutorial.run(tutorial.read())]
    assert len(found) >= 8
    for shown, text in found:
        assert shown == text


def test_spelling() -> None:
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), tutorial.NOTEBOOK]
    command = [
        sys.executable,
        "-m",
        "codespell_lib",
        "--ignore-words-list",
        "arithmetics,coo",
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.exhaustive
def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert "aten.addcmul" in (site / "reference" / "operators.html").read_text(encoding="utf-8")
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "--hardware-path" in commands
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    assert "addercost.api.profile" in python
    assert (site / "reference" / "schemas" / "profile.schema.json").exists()
    assert (site / "reports" / "amd-zen4" / "validation.html").exists()


@pytest.mark.exhaustive
def test_wheel_and_sdist_are_built_and_work_where_this_checkout_is_not(tmp_path: Path) -> None:
    """`make dist` does the same in empty environments, which fetch torch."""
    made = distributions.build(tmp_path / "dist")
    assert sorted(path.suffix for path in made) == [".gz", ".whl"]
    for distribution in made:
        printed = distributions.try_out(distribution, tmp_path, borrow=True)
        assert printed.startswith("lenet5_bn takes ")
