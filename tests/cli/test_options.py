"""An option that several commands share is declared in one place."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import click
import pytest

import addercost.cli
from addercost.arithmetic import Arithmetic
from addercost.cli import run
from addercost.cli.group import SUMMARIES, cli
from addercost.cli.help import SECTIONS, SELDOM, HelpCommand, ask_for_everything
from addercost.counts.conventions import CONVENTIONS
from addercost.counts.what_if import ALTERNATIVES
from addercost.report.formats.table_format import TableFormat
from addercost.report.plots.kinds import KINDS

FILES = sorted(Path(addercost.cli.__file__).parent.glob("*.py"))
DIFFERENT_OPTIONS = {
    "--accelerator": "several to estimate for; the one whose memories designs share",
    "--rows": "of an array of elements; of a table",
    "--as": "`top` and `pareto` select rows of a sweep; no default but the sweep's own",
    "--batch": "the size of one model's batch; a list for a sweep; which rows of a sweep",
    "--by": "the basis of a figure; the metric of a rank",
    "--convention": "`top` and `pareto` select rows of a sweep",
    "--debug": "the group declares its own, since its help imports nothing that commands share",
    "--device": "one that this machine can time on; one of several GPUs to train on",
    "--dtype": "number formats to time; the one that published timings are in",
    "--dry-run": "what a sweep says is not what training says",
    "--format": "of tables; of reports",
    "--max": "a budget; a metric to be large",
    "--optimizer": "whose state takes memory; which one trains",
    "--output": "one file, several files, or a folder",
    "-o": "one file, several files, or a folder",
    "--sample": "architectures spread evenly; networks drawn by a hash",
    "--seed": "of the Monte Carlo draws; of a training run",
    "--show": "a window with the figure; further columns of a rank",
    "--strict": "about counts of a model; about parts of a machine",
    "--memory-limit": "of a query, which has one by default; of an architecture of a sweep",
    "--timeout": "of a query, which has one by default; of an architecture of a sweep",
    "--top": "rows of a table; processors of each cost model; bars of a figure",
    "--workers": "processes that trace; processes that read image files",
    "--kernels": "to time kernels; a file of timed ones; families of them",
    "--again": "seconds for networks that are timed again; a flag for layers",
    "--cost-model": "one of a sweep, several elsewhere",
    "--cpu": "several processors, or one",
}
"""Names that stand for different things in different commands, and how they differ."""


def declared() -> dict[str, list[str]]:
    """Option names → the places, `file.py:line`, of the `click.option` calls that declare them."""
    found = defaultdict(list)
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "click.option":
                names = [item.value for item in node.args if isinstance(item, ast.Constant)]
                for name in names:
                    if name.startswith("-"):
                        found[name].append(f"{file.name}:{node.lineno}")
    return found


def test_an_option_is_declared_once() -> None:
    repeated = {name: places for name, places in declared().items() if len(places) > 1}
    assert "--quiet" in declared() and "--quiet" not in repeated
    assert {name: places for name, places in repeated.items() if name not in DIFFERENT_OPTIONS} == {}
    assert set(DIFFERENT_OPTIONS) <= set(repeated), "no longer declared twice"


def commands(group: click.Group, path: str = "") -> list[tuple[str, click.Command]]:
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((f"{path}{name}", command))
        if isinstance(command, click.Group):
            found += commands(command, f"{path}{name} ")
    return found


COMMANDS = dict(commands(cli))


def option(command: click.Command, name: str) -> click.Option | None:
    found = [p for p in command.params if isinstance(p, click.Option) and name in p.opts]
    return found[0] if found else None


@pytest.mark.parametrize("name", [path for path, command in COMMANDS.items() if option(command, "--format")])
def test_formats_are_those_of_tables(name: str) -> None:
    """Every command that prints a table has every format; some have one more, and reports have their own."""
    found = option(COMMANDS[name], "--format")
    assert found is not None and isinstance(found.type, click.Choice)
    if name != "report":
        assert list(found.type.choices)[: len(TableFormat)] == [item.value for item in TableFormat]


def test_help_names_what_the_registries_hold() -> None:
    convention = option(COMMANDS["profile"], "--convention")
    assert convention is not None and convention.help is not None
    assert all(name in convention.help for name in CONVENTIONS)
    for name in ("profile", "compare", "report"):
        changes = option(COMMANDS[name], "--what-if")
        assert changes is not None and changes.help is not None
        assert all(change in changes.help for change in ALTERNATIVES)
    for name in ("compare", "report", "sweep run"):
        arithmetics = option(COMMANDS[name], "--as")
        assert arithmetics is not None and arithmetics.help is not None
        assert all(item in arithmetics.help for item in Arithmetic)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    silent = {"--epochs", "--momentum", "--weight-decay", "--draws", "--seed", "-n"}
    """Their names and defaults say it."""
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and not silent & set(parameter.opts):
            assert parameter.help, parameter.opts


def help_of(name: str, everything: bool) -> list[str]:
    parents = name.split()[:-1]
    ctx = click.Context(cli, info_name="addercost", terminal_width=80)
    for path in (" ".join(parents[: i + 1]) for i in range(len(parents))):
        ctx = click.Context(COMMANDS[path], info_name=path, parent=ctx)
    ctx = click.Context(COMMANDS[name], info_name=name, parent=ctx)
    if everything:
        ask_for_everything(ctx)
    return COMMANDS[name].get_help(ctx).splitlines()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_and_the_rest_is_a_further_option(name: str) -> None:
    shown, everything = help_of(name, everything=False), help_of(name, everything=True)
    assert len(shown) <= 50
    names = {word.strip(" ,") for line in everything for word in line.split() if word.startswith("-")}
    listed = {opt for param in COMMANDS[name].params if isinstance(param, click.Option) for opt in param.opts}
    assert listed <= names
    left_out = [opt for opt in listed & SELDOM if any(line.split()[:1] == [opt] for line in shown)]
    assert left_out == []
    assert bool(listed & SELDOM) == any("--help-all" in line for line in shown)


def test_sections_of_the_help_name_options_that_exist() -> None:
    existing = {opt for command in COMMANDS.values() for param in command.params for opt in param.opts}
    named = {name for names in SECTIONS.values() for name in names}
    assert named - existing == {"--help", "--help-all"}
    assert existing >= SELDOM
    assert all(isinstance(command, HelpCommand | click.Group) for command in COMMANDS.values())


def test_a_brief_text_stands_in_help_alone() -> None:
    few, all_changes = (
        " ".join(" ".join(help_of("profile", everything=everything)).split()) for everything in (False, True)
    )
    assert "A change of the network: int8, fold-bn, …; repeatable." in few
    assert "mixed:FILE" not in few and all(item.example in all_changes for item in ALTERNATIVES.values())


@pytest.mark.parametrize("everything", [False, True], ids=["help", "help-all"])
def test_the_help_of_plot_names_every_kind(everything: bool) -> None:
    text = "\n".join(help_of("plot", everything))
    assert [name for name in KINDS if name not in text] == []
    assert all(kind.summary in text for kind in KINDS.values()) is everything


def test_help_all_is_printed_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "--help-all"]) == 0
    assert "--bandwidth" in capsys.readouterr().out
    assert run(["profile", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--bandwidth" not in shown and "x<=None" not in shown and "INTEGER RANGE" not in shown


def test_every_command_of_the_help_exists() -> None:
    assert set(SUMMARIES) <= set(COMMANDS)


ESTIMATING = {
    "a processor": "--cpu",
    "a GPU": "--gpu",
    "a folder of tables": "--hardware-path",
    "a cost model": "--cost-model",
    "timed kernels": "--kernels",
    "a changed network": "--what-if",
    "an energy table": "--energy",
    "a memory of it": "--memory",
    "an accelerator": "--accelerator",
}
"""Options of estimates. Every command that names a processor has all of them but for those of `WITHOUT`."""

_TIMED = "it stands beside times of this machine, of the model as it is"
_ONE_FIGURE = "it moves the latencies and rates of one table, by the paper's rule"
WITHOUT: dict[str, dict[str, str]] = {
    "rank": {
        "--energy": "it orders processors by cycles, and an energy table is of none of them",
        "--memory": "the same",
    },
    "sensitivity": {
        "--cost-model": _ONE_FIGURE,
        "--kernels": _ONE_FIGURE,
        "--energy": _ONE_FIGURE,
        "--memory": _ONE_FIGURE,
        "--accelerator": _ONE_FIGURE,
    },
    "check": {"--energy": "a budget names it: --max energy@45nm=1mJ"},
    "sweep run": {
        "--kernels": "its workers take the kernels of this machine",
        "--accelerator": "its tallies keep sums of layers, and an array needs their shapes; `sweep designs` "
        "costs one network on many",
    },
    "bench run": {
        "--kernels": "it times this machine, and takes the kernels of this machine",
        "--what-if": _TIMED,
        "--energy": _TIMED,
        "--memory": _TIMED,
        "--accelerator": _TIMED,
    },
    "bench show": {
        "--kernels": _TIMED,
        "--what-if": _TIMED,
        "--energy": _TIMED,
        "--memory": _TIMED,
        "--accelerator": _TIMED,
    },
    "verdict": {
        "--cost-model": "each of its columns has one: the paper's rule, throughput, calibrated",
        "--kernels": _TIMED,
        "--what-if": _TIMED,
        "--energy": "it shows both tables, 45nm and 7nm",
        "--memory": "its energy is that of the arithmetic alone",
        "--accelerator": _TIMED,
    },
    "validate": {
        "--kernels": _TIMED,
        "--what-if": _TIMED,
        "--energy": "nothing measures joules",
        "--memory": "nothing measures joules",
        "--accelerator": "no times of one were measured or read",
    },
}
"""What these commands lack on purpose, and why."""

NAMING_PROCESSORS = [name for name, command in COMMANDS.items() if option(command, "--cpu")]


@pytest.mark.parametrize("name", NAMING_PROCESSORS)
def test_options_of_estimates_are_on_every_command_where_they_make_sense(name: str) -> None:
    missing = {text for text in ESTIMATING.values() if option(COMMANDS[name], text) is None}
    assert missing == set(WITHOUT.get(name, {}))


def test_commands_that_lack_options_of_estimates_name_processors() -> None:
    assert set(WITHOUT) <= set(NAMING_PROCESSORS)
    settings = {"--clock", "--bandwidth", "--cores", "--graphs", "--gpu"}
    assert all(option(COMMANDS[name], text) for name in NAMING_PROCESSORS for text in settings)
