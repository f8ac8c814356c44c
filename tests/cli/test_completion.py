"""A shell gets the values of options and arguments, without torch and without a word on stderr."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from addercost.cli.group import cli
from addercost.hardware import list_hardware
from addercost.sources.registered_names import registered_names
from addercost.sources.timm_models import architectures
from addercost.sources.torchvision_models import list_models

ROOT = Path(__file__).parents[2]
PI = [file.name for file in list_hardware(None, "device") if file.name.startswith("raspberry-pi")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("profile --cpu raspberry-pi", PI, id="device"),
        pytest.param("profile --cpu intel-skylake-x", ["intel-skylake-x"], id="processor"),
        pytest.param("report --cpu hos", ["host"], id="this-machine"),
        pytest.param("check --cpu cortex-a76", ["cortex-a76"], id="core"),
        pytest.param("plot --gpu h100", ["h100-sxm"], id="gpu"),
        pytest.param("rank --accelerator tpu", ["tpu-like"], id="accelerator"),
        pytest.param("diff --energy 45", ["45nm"], id="energy-table"),
        pytest.param("compare --energy 45nm --memory dram", ["dram"], id="memory-level"),
        pytest.param("check --convention m", ["macs"], id="convention"),
        pytest.param("sensitivity --convention t", ["thop"], id="another-default"),
        pytest.param("compare --as mac,x", ["mac,xnor"], id="the-last-of-a-list"),
        pytest.param("compare --as mac,m", [], id="each-once"),
        pytest.param("sweep run --cost-model r", ["roofline"], id="cost-model"),
        pytest.param("llm --what-if tern", ["ternary"], id="change"),
        pytest.param("plot ic", ["icicle"], id="kind-of-figure"),
        pytest.param("hardware show 45", ["45nm"], id="any-table"),
        pytest.param("profile zoo:vgg", ["zoo:vgg-small"], id="model"),
        pytest.param("profile torchvision:swin_v2_b", ["torchvision:swin_v2_b"], id="torchvision"),
        pytest.param("compare zoo:lenet5-bn timm:vgg11_b", ["timm:vgg11_bn"], id="timm"),
    ],
)
def test_values(words: str, expected: list[str]) -> None:
    *before, incomplete = words.split()
    found = [item.value for item in _shell().get_completions(before, incomplete)]
    assert set(expected) <= set(found) and all(value.startswith(incomplete) for value in found)
    assert len(expected) != 1 or expected == found[:1]
    assert bool(found) == bool(expected)


def test_names_are_read_from_sources_as_the_packages_list_them() -> None:
    assert set(registered_names("torchvision")) == set(list_models())
    assert set(registered_names("timm")) == set(architectures())
    assert registered_names("no_such_package") == ()


def _shell() -> ShellComplete:
    return ShellComplete(cli, {}, "addercost", "_ADDERCOST_COMPLETE")


def test_tables_of_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "cpus").mkdir()
    (tmp_path / "cpus" / "my-part.toml").touch()
    before = ["profile", "--hardware-path", str(tmp_path), "--cpu"]
    assert [item.value for item in _shell().get_completions(before, "my")] == ["my-part"]


@pytest.mark.parametrize(
    ("shell", "words", "expected"),
    [
        ("bash", "profile torchvision:swin_v2_b", "swin_v2_b"),
        pytest.param("zsh", "plot ici", "icicle", marks=pytest.mark.exhaustive),
        pytest.param("fish", "plot ici", "icicle", marks=pytest.mark.exhaustive),
    ],
)
def test_an_answer_comes_without_torch_and_without_a_message(shell: str, words: str, expected: str) -> None:
    """The command line ended with a message about a program that the model had ended."""
    code = "import sys; sys.modules['torch'] = None\nfrom addercost.cli import main; main(['x'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "PYTHONPATH": str(ROOT),
            "_ADDERCOST_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": f"addercost {words}",
            "COMP_CWORD": words.split()[-1] if shell == "fish" else "2",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout
