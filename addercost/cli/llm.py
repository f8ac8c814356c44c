"""`addercost llm SPEC`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.cli.emit import check_output, emit, emit_table
from addercost.cli.estimates import Estimates, estimate_options
from addercost.cli.options import (
    arithmetic_option,
    debug_option,
    force_option,
    format_option,
    output_option,
    quiet_option,
    what_if_option,
)
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.errors import ArgumentError

FORMATS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""torch's names of the number formats that a model computes in."""


@click.command(cls=SpecCommand)
@spec_argument("spec")
@click.option(
    "--prompt", type=click.IntRange(min=1), default=512, show_default=True, help="Tokens read at once."
)
@click.option(
    "--context",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Tokens before the one that is written.",
)
@click.option(
    "--new",
    type=click.IntRange(min=0),
    default=128,
    show_default=True,
    help="Tokens written after the prompt; 0 for no whole text.",
)
@click.option("--source", type=click.IntRange(min=1), metavar="N", help="Tokens that an encoder reads.")
@click.option(
    "--batch", "batches", default="1", show_default=True, metavar="LIST", help="Texts at once: 1,8."
)
@click.option(
    "--dtype",
    type=click.Choice(list(FORMATS)),
    help="Number format of the floating-point weights; by default the one that the configuration names.",
)
@arithmetic_option("What if every linear layer used this arithmetic.")
@what_if_option
@estimate_options
@format_option
@output_option("Write to a file instead of the terminal.")
@force_option()
@debug_option
@quiet_option
def llm(
    spec: str,
    prompt: int,
    context: int,
    new: int,
    source: int | None,
    batches: str,
    dtype: str | None,
    arithmetic: str | None,
    what_if: tuple[str, ...],
    estimates: Estimates,
    table_format: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Say what a language model costs: reading a prompt, writing one token, writing a text.

    SPEC is a text decoder: hf:llama, a folder or config.json of Hugging Face, or a file that defines one.
    Both phases are traced from the model's own code, with the cache that it returns.
    """
    check_output(output, force)
    chosen = parsed_batches(batches)
    estimates.check()

    from addercost.api import language_model
    from addercost.report.tables.language_model import language_model_table

    with progress(f"tracing {spec}", quiet):
        report = language_model(
            spec,
            prompt=prompt,
            context=context,
            new=new,
            source=source,
            batches=chosen,
            dtype=FORMATS[dtype] if dtype else None,
            arithmetic=arithmetic,
            what_if=what_if,
            **estimates.arguments(),
        )
    if table_format == "json":
        emit(lambda width, styled: report.to_json(), output, force)
    else:
        emit_table(language_model_table(report), table_format, output, force)


def parsed_batches(text: str) -> tuple[int, ...]:
    """`1,8`. Raises ArgumentError."""
    found = []
    for part in text.split(","):
        if not part.strip().isdecimal() or not 0 < int(part[:12]) < 1_000_000:
            raise ArgumentError(f"--batch {text!r} is no list of whole numbers", "write it as 1,8,32")
        found.append(int(part))
    return tuple(dict.fromkeys(found))
