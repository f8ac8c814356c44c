"""Options that several commands share, each declared once, and the functions that read their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from addercost.arithmetic import Arithmetic
from addercost.cli.completion import (
    complete_arithmetics,
    complete_convention,
    complete_energy,
    complete_what_if,
)
from addercost.cli.help import BriefOption
from addercost.counts.conventions import CONVENTIONS
from addercost.counts.what_if import ALTERNATIVES
from addercost.errors import ArgumentError, unknown_name
from addercost.report.formats.table_format import TableFormat

if TYPE_CHECKING:
    from addercost.trace.input_shapes import InputShape

F = TypeVar("F", bound=Callable[..., Any])


class Option(Protocol):
    """A decorator that adds an option to a command."""

    def __call__(self, function: F, /) -> F: ...


def debug_option(function: F) -> F:
    # The command line itself handles this option, at any place.
    return click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")(
        function
    )


def quiet_option(function: F) -> F:
    return click.option("-q", "--quiet", is_flag=True, help="No progress, no remarks on stderr.")(function)


def one_of(names: Iterable[str]) -> str:
    """The values of an option for its help: `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}"


def format_option_with(further: Sequence[str] = (), help_text: str = "", has_width: bool = True) -> Option:
    """--format of a command that prints tables, and in `further` formats; with --width of tables in LaTeX."""
    choices = [*(item.value for item in TableFormat), *further]

    def decorate(function: F) -> F:
        option: Option = click.option(
            "--format",
            "table_format",
            type=click.Choice(choices),
            default=TableFormat.TABLE.value,
            metavar="FORMAT",
            is_eager=True,  # --width asks what it is
            help=f"{one_of(choices)}. {help_text}".strip(),
        )
        return option(_table_width_option(function) if has_width else function)

    return decorate


def format_option(function: F) -> F:
    return format_option_with()(function)


def output_option(help_text: str) -> Option:
    """-o of a command that writes one file."""
    return click.option("-o", "--output", type=click.Path(path_type=Path), help=help_text)


def figure_option(help_text: str) -> Option:
    """--figure of a command that draws one beside its table."""
    return click.option("--figure", type=click.Path(path_type=Path), metavar="FILE", help=help_text)


def width_option(help_text: str, **more: Any) -> Option:
    """--width of a figure or a table, as the column of a paper. more: for `click.option`."""
    return click.option(
        "--width",
        type=click.Choice(["single", "double"]),
        default="double",
        metavar="WIDTH",
        help=help_text,
        **more,
    )


_WIDTH = "addercost.width"
LATEX_WIDTH = "LaTeX: single for a column; default: double, the page."


def latex_width() -> str:
    """The width of a LaTeX table by --width: single or double."""
    width: str = click.get_current_context().meta.get(_WIDTH, "double")
    return width


def _keep_width(ctx: click.Context, param: click.Parameter, width: str) -> None:
    if was_given("width") and ctx.params.get("table_format") != TableFormat.LATEX.value:
        raise ArgumentError("--width is of a table in LaTeX", "add --format latex")
    ctx.meta[_WIDTH] = width


_table_width_option = width_option(
    LATEX_WIDTH,
    expose_value=False,
    callback=_keep_width,
)


def all_option(help_text: str) -> Option:
    """The option --all of a command that shows only some rows by default."""
    return click.option("--all", "show_all", is_flag=True, help=help_text)


def force_option(help_text: str = "Replace the file if it exists.") -> Option:
    return click.option("--force", is_flag=True, help=help_text)


def output_options(function: F) -> F:
    """--format, -o and --force of every command that prints a table, and --debug."""
    return output_options_with()(function)


def output_options_with(has_width: bool = True) -> Option:
    """The same options. has_width: False for a command whose --width belongs to a figure."""
    decorators: tuple[Option, ...] = (
        format_option_with(has_width=has_width),
        output_option("Write to a file instead of the terminal."),
        force_option(),
        debug_option,
    )

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def folder_option(help_text: str) -> Option:
    """-o of a command whose result is a folder."""
    return click.option(
        "-o", "--output", "folder", type=click.Path(path_type=Path), metavar="DIR", help=help_text
    )


def _marked(names: Iterable[str], default: str) -> list[str]:
    return [f"{name} (default)" if name == default else name for name in names]


def convention_option_with(default: str) -> Option:
    return click.option(
        "--convention",
        default=default,
        metavar="NAME",
        help=f"What is counted: {one_of(_marked(CONVENTIONS, default))}.",
        shell_complete=complete_convention,
    )


def convention_option(function: F) -> F:
    return convention_option_with("full")(function)


def hardware_path_option(function: F) -> F:
    return click.option(
        "--hardware-path",
        type=click.Path(path_type=Path),
        help="A folder of tables that add to and override the built-in ones [env: ADDERCOST_HARDWARE].",
    )(function)


def energy_option_with(help_text: str) -> Option:
    return click.option(
        "--energy", multiple=True, metavar="NAME", help=help_text, shell_complete=complete_energy
    )


def input_option(function: F) -> F:
    return click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="SHAPE",
        help="1x3x224x224, 1x128:int64 or name=1x128:bool; repeatable.",
    )(function)


def parsed_inputs(texts: tuple[str, ...]) -> tuple[InputShape, ...] | None:
    """The inputs of --input, or None where it was not given."""
    if not texts:
        return None
    from addercost.trace.input_shapes import parse_input_shapes

    return parse_input_shapes(texts)


def arithmetic_option(help_text: str) -> Option:
    """--as of a command that counts the network in one other arithmetic, if any."""
    return click.option(
        "--as",
        "arithmetic",
        type=click.Choice([item.value for item in Arithmetic]),
        metavar="ARITHMETIC",
        help=f"{help_text} {one_of(Arithmetic)}.",
        cls=BriefOption,
        brief="Every layer in this arithmetic: adder, xnor, shift, …",
    )


def alternative_option(help_text: str) -> Option:
    """--as of a command that compares one other arithmetic with multiply-add."""
    others = [item.value for item in Arithmetic if item is not Arithmetic.MAC]
    return click.option(
        "--as",
        "arithmetic",
        type=click.Choice(others),
        default=Arithmetic.ADDER.value,
        show_default=True,
        metavar="ARITHMETIC",
        help=f"{help_text} {one_of(others)}.",
        cls=BriefOption,
        brief=f"{help_text} adder, xnor, …",
    )


def arithmetics_option(help_text: str | None, default: str | None, brief: str = "") -> Option:
    """--as of a command that counts in several arithmetics, in one list or one option each. brief: what
    `--help` says.
    """
    return click.option(
        "--as",
        "arithmetics",
        multiple=True,
        callback=lambda _context, _option, lists: ",".join(lists) if lists else None,
        default=(default,) if default else (),
        show_default=default is not None,
        metavar="LIST",
        help=help_text,
        shell_complete=complete_arithmetics,
        cls=BriefOption,
        brief=brief or help_text or "",
    )


def parsed_arithmetics(text: str) -> tuple[Arithmetic, ...]:
    """The arithmetics of a comma-separated list. Raises ArgumentError, which offers the nearest names, for an
    unknown one.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in list(Arithmetic):
            raise unknown_name("arithmetic", name, Arithmetic)
    return tuple(Arithmetic(name) for name in dict.fromkeys(names))


def keep_first_last_option_with(help_text: str) -> Option:
    return click.option("--keep-first-last", is_flag=True, help=help_text)


def keep_first_last_option(function: F) -> F:
    return keep_first_last_option_with("What-ifs leave the first and the last layer as they are.")(function)


def backward_option(function: F) -> F:
    return click.option("--backward", is_flag=True, help="Trace a training step: forward and gradients.")(
        function
    )


def fuse_attention_option(function: F) -> F:
    return click.option(
        "--fuse-attention/--no-fuse-attention",
        default=True,
        show_default=True,
        help="Attention as one operator, with a fused kernel's bytes; or as the products, softmax and copies "
        "that torch makes of it.",
    )(function)


def what_if_option_with(name: str, help_text: str, brief: str) -> Option:
    """--what-if. name: of the command's argument. brief: what `--help` says."""
    return click.option(
        "--what-if",
        name,
        multiple=True,
        metavar="CHANGE",
        help=help_text,
        shell_complete=complete_what_if,
        cls=BriefOption,
        brief=f"{brief}: {_FEW_CHANGES}",
    )


def what_if_option(function: F) -> F:
    return what_if_option_with(
        "what_if",
        f"What if the network were changed: {', '.join(_changes())}; repeatable, in order.",
        "A change of the network",
    )(function)


def what_ifs_option(help_text: str) -> Option:
    """--what-if of a command that shows changed networks beside the model."""
    return what_if_option_with(
        "what_ifs", f"{help_text}: {', '.join(_changes())}, or several joined by +.", "One more network"
    )


_FEW_CHANGES = "int8, fold-bn, …; repeatable."


def _changes() -> list[str]:
    """Every change by name, with an example of its value if it takes one."""
    return [item.example for item in ALTERNATIVES.values()]


def model_batch_option(function: F) -> F:
    return click.option(
        "--batch", type=click.IntRange(min=1), default=1, help="Multiplies the first dimension."
    )(function)


def batches_option(function: F) -> F:
    return click.option(
        "--batch",
        "batches",
        metavar="LIST",
        help="Multiplies the first dimension of every input: 8, or 1,8,32 for a column each.",
        cls=BriefOption,
        brief="Multiplies the batch of every input: 8, or 1,8,32.",
    )(function)


def parsed_batches(text: str | None) -> tuple[int, ...]:
    """The batch sizes of a comma-separated list, each once; 1 where none is given. Raises ArgumentError for
    anything but positive whole numbers.
    """
    if text is None:
        return (1,)
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) <= 7 and int(part) > 0 for part in parts):
        raise ArgumentError(
            f"--batch {text!r} is no list of batch sizes", "write whole numbers from 1 to 9999999 as 1,8,32"
        )
    return tuple(dict.fromkeys(map(int, parts)))


def was_given(name: str) -> bool:
    """Whether the current command's argument `name` comes from the command line and not from a default."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE
