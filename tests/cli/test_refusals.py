"""Arguments that are refused at once: numbers that are none, sizes and addresses that nothing has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from addercost.cli import run
from addercost.cli.group import cli


def options(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Option]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from options(inner, f"{path} {name}".strip())
        return
    for option in command.params:
        if isinstance(option, click.Option):
            yield path, option


NUMBERS = {
    f"{path} {option.opts[0]}": option
    for path, option in options(cli)
    if isinstance(option.type, click.types.FloatParamType | click.types.IntParamType)
}


@pytest.mark.parametrize("option", NUMBERS.values(), ids=NUMBERS)
def test_no_option_takes_what_is_no_finite_number(option: click.Option) -> None:
    for value in ("nan", "inf", "-inf", "1e999"):
        with pytest.raises(click.BadParameter):
            option.type.convert(value, option, None)


SPACE = """
import torch
from torch import nn
architectures = [("one", lambda: nn.Linear(2, 3), (1, 2))]
"""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sweep", "space.py", "-o", "new", "--dask", "nope"], 2, "write it as tcp://HOST:PORT or local:4"),
        (["sweep", "space.py", "-o", "new", "--dask", "local:x"], 2, "write it as local:4"),
        (["sweep", "space.py", "-o", "new", "--memory-limit", "-1G"], 2, "is no size that memory has"),
        (["sweep", "space.py", "-o", "new", "--timeout", "nan"], 2, "not a finite number"),
        (["bench", "--conv", "1,2,6,6,2,3,1,1", "--time-limit", "nan", "-o", "new"], 2, "a finite number"),
        (["train", "zoo:lenet5-bn", "--data", "digits", "--image-size", "0", "-o", "new"], 2, "at least 1"),
        (["train", "zoo:lenet5-bn", "--data", "digits", "--image-size", "9" * 8, "-o", "new"], 2, "16,384"),
        (["profile", "zoo:lenet5-bn", "--input", f"1x{2**64}"], 2, "more elements than torch can address"),
        (["profile", "zoo:lenet5-bn", "-o", "new/" + "x" * 300], 5, "new"),
    ],
    ids=lambda value: " ".join(value)[-60:] if isinstance(value, list) else None,
)  # fmt: skip
def test_one_line_and_nothing_is_left(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.py").write_text(SPACE)
    assert run(arguments) == code
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["space.py"]


def test_a_sweep_without_what_writes_its_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installation without the extra `sweep` has no pyarrow."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    folder = tmp_path / "swept"
    assert run(["sweep", "zoo:lenet5-bn", "--cpu", "via-nano-2000", "-o", str(folder), "-q"]) == 2
    assert capsys.readouterr().err == "addercost: sweeps need pyarrow; pip install 'addercost[sweep]'\n"
    assert not folder.exists()
