"""Which kind a SPEC is of, what help, completion and refusals say about the kinds, and those of others."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from addercost.cli import run
from addercost.cli.spec import complete_spec
from addercost.counts.arithmetics import WITH_LAYERS
from addercost.errors import AddercostError, ArgumentError, DataError, ModelError
from addercost.sources import registry
from addercost.sources.kind import SpecKind
from addercost.sources.registry import BUILT_IN, kind_of, kinds, spec_forms

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("model.py", "python_file"),
        ("folder/model.py:Net", "python_file"),
        ("model.py:Net.inner", "python_file"),
        ("torch.nn:ReLU", "module_path"),
        ("package", "module_path"),
        ("zoo:lenet5-bn:adder", "zoo"),
        ("zoo:unknown", "zoo"),
        ("torchvision:resnet50", "torchvision"),
        ("timm:resnet50.a1_in1k", "timm"),
        ("hf:llama", "transformers"),
        ("folder/program.pt2", "exported"),
        ("trace.json", "saved_trace"),
        ("page.html", "saved_profile"),
        ("page.htm", "saved_profile"),
    ],
)
def test_kind(spec: str, kind: str) -> None:
    assert kind_of(spec).name == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        pytest.param('{"schema": "addercost/profile/1"', "saved_profile", id="a profile"),
        pytest.param('{"schema": "addercost/report/1"', "saved_profile", id="a report"),
        pytest.param('{"schema": "addercost/trace/1"', "saved_trace", id="a trace"),
        pytest.param("\xff", "saved_trace", id="anything else"),
    ],
)
def test_kind_of_a_document(head: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "document.json"
    file.write_text(head, encoding="latin-1")
    assert kind_of(str(file)).name == kind


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        pytest.param("no/such/thing", ModelError, "cannot read a model from no/such/thing", id="a path"),
        pytest.param("what is this", ArgumentError, "'what is this' is not a model", id="no name"),
        pytest.param("hub:some/net", ModelError, "cannot read a model from hub:some/net", id="a prefix"),
    ],
)
def test_a_spec_of_no_kind_is_refused_with_the_forms(
    spec: str, error: type[AddercostError], words: str
) -> None:
    with pytest.raises(error) as caught:
        kind_of(spec)
    assert str(caught.value) == f"{words}; SPEC is one of {spec_forms()}"


def test_forms_are_those_of_models_and_traces() -> None:
    """A saved profile is no model: what needs one does not list its form."""
    listed = spec_forms()
    for kind in BUILT_IN:
        makes_a_trace = kind.load_profile is None
        assert (kind.form in listed) == makes_a_trace, kind.name
    assert listed.startswith("model.py, model.py:name, package.module:name, ") and " or " in listed


def test_the_page_lists_every_form() -> None:
    listed = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").partition("## Inputs")[0]
    forms = [form for kind in BUILT_IN for form in kind.form.split(", ")]
    missing = [form for form in forms if f"`{form}`" not in listed]
    assert missing == []


def test_help_lists_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "--help-all"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for kind in BUILT_IN:
        assert f"{kind.form} {kind.summary}" in text


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param("rank", "is not a trace of addercost", id="counted anew"),
        pytest.param("train", "cannot be trained", id="trained"),
    ],
)
def test_a_saved_profile_is_no_model(
    command: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "profile.json"
    file.write_text('{"schema": "addercost/profile/1"}')
    more = ["--data", "digits", "-o", str(tmp_path / "run")] if command == "train" else []
    assert run([command, str(file), *more]) == (3 if more else DataError.exit_code)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("incomplete", "expected"),
    [
        ("z", ["zoo:"]),
        ("zoo:len", ["zoo:lenet5-bn", "zoo:lenet++"]),
        ("zoo:lenet5-bn:", [f"zoo:lenet5-bn:{arithmetic}" for arithmetic in WITH_LAYERS]),
        ("zoo:lenet5-bn:a", ["zoo:lenet5-bn:adder"]),
        ("torch", ["torchvision:"]),
        ("mo", ["model.py"]),
        ("in", ["inner/"]),
        ("inner/", ["inner/page.html", "inner/program.pt2"]),
        ("nowhere/", []),
        ("", ["zoo:", "torchvision:", "timm:", "hf:", "inner/", "model.py", "trace.json"]),
    ],
)
def test_completion(
    incomplete: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("model.py", "trace.json", "notes.txt", ".hidden.py", "inner/program.pt2", "inner/page.html"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert complete_spec(None, None, incomplete) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("addercost profile zoo:vgg", "zoo:vgg-small", id="SPEC", marks=pytest.mark.exhaustive),
        pytest.param(
            "addercost diff a.json zoo:vgg",
            "zoo:vgg-small",
            id="the second SPEC",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param("addercost plot roofline zoo:vgg", "zoo:vgg-small", id="one of several"),
    ],
)
def test_the_shell_asks_without_torch(words: str, expected: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import os; from addercost.cli import run; run([])"
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "PYTHONPATH": str(ROOT),
            "_ADDERCOST_COMPLETE": "zsh_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain", expected, "_"]


def test_kinds_need_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from addercost.sources.registry import catalogued, kind_of, spec_forms\n"
        "spec_forms(); kind_of('model.py'); kind = catalogued('zoo')\n"
        "print(kind.catalogue.names()[0], kind.catalogue.input_shape('resnet18'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "lenet5-bn (1, 3, 224, 224)"


@pytest.mark.parametrize("saved", ["trace", pytest.param("profile", marks=pytest.mark.exhaustive)])
def test_what_was_saved_is_profiled_without_torch(saved: str, tmp_path: Path) -> None:
    files = {"profile": tmp_path / "profile.json", "trace": tmp_path / "trace.json"}
    output = ["--format", "json", "-o", str(files["profile"])]
    assert run(["profile", "zoo:lenet5-bn", "--save-trace", str(files["trace"]), *output]) == 0
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"from addercost.cli import run; sys.exit(run(['profile', {str(files[saved])!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("lenet5-bn has 416.5k") and "input 1x1x32x32" in done.stdout


def test_a_kind_loads_something() -> None:
    with pytest.raises(ValueError, match="loads nothing"):
        SpecKind("empty", "empty", "nothing", lambda spec: False)


EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
(PLUGIN,) = re.findall(r"## SPECs of your own\n.*?```python\n(.*?)```", EXTENDING, flags=re.S)
"""The example of the page: a kind for networks written as the widths of their layers."""


def install(folder: Path, package: str, text: str, entry_points: str) -> None:
    """A distribution as pip would leave it in `folder`."""
    (folder / f"{package}.py").write_text(text)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[addercost.sources]\n{entry_points}\n")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose distributions count as installed."""
    monkeypatch.syspath_prepend(tmp_path)
    registry.of_other_packages.cache_clear()
    before = set(sys.modules)
    yield tmp_path
    registry.of_other_packages.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("addercost_test_"):
            del sys.modules[name]


def test_a_kind_of_another_package(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """16·32 + 32·10 sites, and the kind is in the forms, in the help and asked before module names."""
    install(packages, "addercost_test_mlp", PLUGIN, "mlp = addercost_test_mlp:MLP")
    assert run(["profile", "mlp:16-32-10", "--convention", "macs", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert f'"mac_sites": {16 * 32 + 32 * 10}' in captured.out
    assert captured.err == "" and spec_forms().endswith("or mlp:16-32-10")
    assert run(["profile", "--help-all"]) == 0
    assert "mlp:16-32-10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "entry", "why"),
    [
        pytest.param("import no_such_package", "bad", "ModuleNotFoundError: No module named", id="broken"),
        pytest.param("x = 1", "bad", "AttributeError", id="names nothing"),
        pytest.param("bad = 3", "bad", "is a int, not a SpecKind", id="no kind"),
        pytest.param(
            PLUGIN.replace('name="mlp"', 'name="zoo"'), "MLP", "'zoo' is taken by addercost", id="taken by us"
        ),
        pytest.param(PLUGIN, "MLP", "'mlp' is taken by another package", id="taken by another"),
    ],
)
def test_a_faulty_kind_is_left_out_in_one_line(text: str, entry: str, why: str, packages: Path) -> None:
    install(packages, "addercost_test_good", PLUGIN, "a_good = addercost_test_good:MLP")
    install(packages, "addercost_test_bad", text, f"bad = addercost_test_bad:{entry}")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert [kind.name for kind in kinds()] == [*(kind.name for kind in BUILT_IN), "mlp"]
    (line,) = [str(warning.message) for warning in said]
    assert why in line and "addercost_test_bad" in line and "\n" not in line
    assert kind_of("zoo:lenet5-bn") in BUILT_IN


RAISING = PLUGIN.replace("return addercost", 'raise KeyError("why")\n    return addercost')
ASKING = PLUGIN.replace('spec.startswith("mlp:")', "1 / 0")


def test_what_another_packages_loader_raises_is_one_line(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(packages, "addercost_test_raising", RAISING, "mlp = addercost_test_raising:MLP")
    assert run(["profile", "mlp:1-2"]) == ModelError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert "'mlp' cannot load mlp:1-2: KeyError: 'why'" in line


def test_a_kind_that_cannot_look_is_passed_over(packages: Path) -> None:
    install(packages, "addercost_test_asking", ASKING, "mlp = addercost_test_asking:MLP")
    with pytest.warns(UserWarning, match="'mlp' cannot look at torch.nn:ReLU: ZeroDivisionError"):
        assert kind_of("torch.nn:ReLU").name == "module_path"
