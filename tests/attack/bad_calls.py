"""Bad arguments for every command and option, drawn from click's own definitions."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from tests.attack.attempt import Attempt
from tests.attack.call import Call, Ended, called, fault_of
from tests.attack.material import BENCH

TEXTS = (
    "", " ", "nan", "inf", "-inf", "-1", "0", "1", "3", "1e308", "1e-320", "1e999", "9" * 5000,
    "-" + "9" * 400, str(2**63), str(2**64), "0x10", "१२", "1_000", "1.5", "None", "-", "--", "*", ",",
    "1,,2", "=", "x=", "x=1", "x=nan", "1:2:3", "1x1x8x8", "1x0x8x8", "2x2:int64", "x" * 300, "a/" * 3000,
    "e\u0301\u202e\x1b[31m", "\udcff", "line\nbreak", "::error::x", "##[error]x", "=1+1",
    "＝1+1", "{{7*7}}", "'; DROP TABLE sweep --", "zoo:", "zoo:lenet5-bn:", "zoo:lenet5-bn", "nope", "adder",
    "mac,adder", "int8", "fp32", "roofline", "45nm", "dram", "via-nano-2000", "rtx-3090", "tpu-like",
    "100 %", "1%", "-5%", "2G", "-1G", "1e30G", "5GHz", "nanGHz", "cpu", "cuda", "local:2", "127.0.0.1:1",
)  # fmt: skip
FILES = (
    "missing", ".", "..", "/", "fifo", "/dev/zero", "/dev/full", "sparse", "loop", "net.py", "trace.json",
    "report.html", "swept", "trained", "timings.csv", "via-nano-2000.toml", "nowhere/out.csv",
    "/proc/self/mem", "x" * 300, "", "via-nano-2000.toml/x",
)  # fmt: skip
BASES: dict[str, Sequence[str]] = {
    "profile": ("trace.json",),
    "compare": ("trace.json",),
    "reproduce accuracy": ("trained",),
    "reproduce claims": (),
    "reproduce counts": (),
    "reproduce hardware": (),
    "reproduce latency": (),
    "llm": ("net.py:Net",),
    "reconcile": ("trace.json",),
    "rank": ("trace.json",),
    "sensitivity": ("trace.json",),
    "report": ("trace.json",),
    "plot": ("breakdown", "trace.json", "-o", "figure.svg"),
    "diff": ("profile.json", "trace.json"),
    "check": ("trace.json", "--max", "macs=1G"),
    "train": ("net.py:Net", "--data", "digits", "-o", "new", "--dry-run"),
    "sweep designs": ("trace.json",),
    "sweep measure": ("swept", "--dask", "127.0.0.1:1"),
    "sweep pareto": ("swept", "--min", "mac_sites"),
    "sweep run": ("space.py", "-o", "new", "--dry-run"),
    "sweep top": ("swept", "--by", "mac_sites"),
    "query": ("swept", "SELECT * FROM sweep"),
    "bench diff": ("bench.json", "bench.json"),
    "bench run": (*BENCH[1:], "--quiet"),
    "bench show": ("bench.json",),
    "doctor": (),
    "verdict": ("trace.json", "--no-measure"),
    "validate": ("--measured", "timings.csv", "--column", "ms", "--cpu", "intel-skylake-x"),
    "hardware check": ("via-nano-2000.toml",),
    "hardware diff": ("via-nano-2000", "amd-zen4"),
    "hardware list": (),
    "hardware show": ("via-nano-2000",),
    "calibrate": ("--save", "host.toml"),
    "tune": ("trace.json", "--minutes", "0.001", "--quiet"),
}
"""Arguments with which each command works; the options are click's to say."""

SLOW = {"calibrate": 3.0, "tune": 10.0, "doctor": 5.0, "bench run": 10.0, "sweep measure": 10.0}
"""Commands that take long when nothing is wrong: after so many seconds a signal ends them."""
LONGEST_S = 90.0
CALLS = 1000
"""So many calls are a whole attack."""


@dataclass(frozen=True, slots=True)
class Command:
    path: str
    options: Sequence[click.Parameter]

    @property
    def words(self) -> list[str]:
        return self.path.removesuffix(" run").split()


def commands() -> Iterator[Command]:
    """Every command of the command line, those of groups as well."""
    from addercost.cli.group import cli

    yield from _inside(cli, "")


def _inside(command: click.Command, path: str) -> Iterator[Command]:
    if not isinstance(command, click.Group):
        # --debug shows a traceback, which is what the attack looks for elsewhere.
        yield Command(path, [each for each in command.params if each.name != "debug"])
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from _inside(inner, f"{path} {name}".strip())


def attempts(inputs: Path, rng: random.Random, share: float) -> Sequence[Attempt]:
    """Each option is drawn equally often, alone or beside another one."""
    found = list(commands())
    without = sorted({each.path for each in found} ^ set(BASES))
    if without:
        return [
            Attempt(name, lambda folder: ["it has no line in BASES, or BASES has no command"])
            for name in without
        ]
    options = [(each, option) for each in found for option in each.options]
    rng.shuffle(options)
    calls = round(CALLS * share)
    drawn = [options[i % len(options)] for i in range(calls)]
    return [_attempt(inputs, command, _arguments(command, option, rng)) for command, option in drawn]


def _arguments(command: Command, option: click.Parameter, rng: random.Random) -> list[str]:
    base = list(BASES[command.path])
    if isinstance(option, click.Argument):
        places = [i for i, word in enumerate(base) if not word.startswith("-")]
        if places:
            base[rng.choice(places)] = _value(option, rng)
        else:
            base.insert(0, _value(option, rng))
        return [*command.words, *base]
    given = _given(option, rng)
    if rng.random() < 0.4:
        others = [each for each in command.options if isinstance(each, click.Option) and each is not option]
        given += _given(rng.choice(others), rng)
    # Before the arguments or behind them: both are usual.
    return [*command.words, *base, *given] if rng.random() < 0.8 else [*command.words, *given, *base]


def _given(option: click.Parameter, rng: random.Random) -> list[str]:
    assert isinstance(option, click.Option)
    name = rng.choice([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return [name] if rng.random() < 0.9 else [f"{name}=x"]
    value = _value(option, rng)
    return rng.choice(([name, value], [name, value], [name, value], [f"{name}={value}"], [name]))


def _value(option: click.Parameter, rng: random.Random) -> str:
    if isinstance(option.type, click.Choice) and rng.random() < 0.5:
        return str(rng.choice(list(option.type.choices)))
    if isinstance(option.type, click.Path) and rng.random() < 0.8:
        return rng.choice(FILES)
    return rng.choice(TEXTS)


def _attempt(inputs: Path, command: Command, arguments: list[str]) -> Attempt:
    def run(folder: Path) -> list[str]:
        prepare(inputs, folder)
        before = names_in(folder)
        ended = called(arguments) if command.path not in SLOW else _interrupted(arguments, SLOW[command.path])
        return (
            [fault]
            if (fault := fault_of(ended, arguments) or left_behind(before, folder, ended.code))
            else []
        )

    return Attempt(shown(arguments), run, longest_s=LONGEST_S)


def _interrupted(arguments: Sequence[str], after_s: float) -> Ended:
    call = Call(arguments)
    timer = threading.Timer(after_s, os.kill, (call.pid, signal.SIGTERM))
    timer.start()
    ended = call.ended()
    timer.cancel()
    return ended


def prepare(inputs: Path, folder: Path) -> None:
    """The valid inputs, and files that nobody should wait for."""
    shutil.copytree(inputs, folder, dirs_exist_ok=True)
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 36)


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def left_behind(before: set[str], folder: Path, code: int) -> str:
    """Files that a refused call has made, and half-written ones of any call."""
    new = names_in(folder) - before
    half = [name for name in new if name.endswith(".tmp")]
    wrong = half or (sorted(new) if code in (2, 3, 4, 5, 6) else [])
    return f"exit code {code}, and it leaves {', '.join(wrong)[:300]}" if wrong else ""


def shown(arguments: Sequence[str]) -> str:
    return " ".join(
        ascii(word) if not word.isprintable() or not word or " " in word else word for word in arguments
    )[:400]
