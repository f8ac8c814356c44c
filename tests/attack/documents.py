"""Documents with every field deleted, retyped, no number, huge, negative and nested, and cut off anywhere."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addercost.cli import run
from tests.attack.attempt import Attempt
from tests.attack.bad_calls import prepare
from tests.attack.call import Ended, fault_of
from tests.results.document_places import places

BAD = (
    None, True, "", "x", "::error::x", -1, 0, 1.5, -1e308, 1e308, 10**400, -(10**400), float("nan"),
    float("inf"), [], {}, [[]], {"tensor": [-1]}, "nested lists", "nested objects",
)  # fmt: skip
DEPTH = 10**5
CUTS = FLIPS = 50
BATCH = 40
DAMAGES = 5000
"""So many damages are a whole attack. Every field (elements of a list count as one) is damaged before any is
a second time; the seed draws in which ways.
"""


@dataclass(frozen=True, slots=True)
class Document:
    """name: in the folder of inputs. commands: which read it, one of them by lot."""

    name: str
    commands: Sequence[Sequence[str]]


DOCUMENTS = (
    Document(
        "trace.json",
        (("profile", "trace.json", "--cpu", "via-nano-2000"), ("diff", "trace.json", "trace.json")),
    ),
    Document("profile.json", (("profile", "profile.json"), ("check", "profile.json", "--max", "mul=1G"))),
    Document(
        "report.json",
        (
            ("report", "report.json", "-o", "out.html", "--force"),
            ("report", "report.json", "--format", "csv"),
        ),
    ),
    Document("bench.json", (("bench", "show", "bench.json"), ("bench", "diff", "bench.json", "bench.json"))),
    Document(
        "trained/training.json",
        (("reproduce", "accuracy", "trained"), ("plot", "curves", "trained", "-o", "f.svg", "--force")),
    ),
    Document("swept/sweep.json", (("sweep", "top", "swept", "--by", "mac_sites"),)),
    Document(
        "scores/validation.json",
        (("plot", "validation", "scores/validation.json", "-o", "f.svg", "--force"),),
    ),
    Document("via-nano-2000.toml", (("hardware", "check", "via-nano-2000.toml"),)),
    Document("rtx-3090.toml", (("hardware", "check", "rtx-3090.toml"),)),
    Document("45nm.toml", (("hardware", "check", "45nm.toml"),)),
    Document("tpu-like.toml", (("hardware", "check", "tpu-like.toml"),)),
    Document("config.json", (("profile", "hf:config.json", "--input", "1x4:int64"),)),
    Document("widths.toml", (("profile", "trace.json", "--what-if", "mixed:widths.toml"),)),
    Document(
        "timings.csv",
        (("validate", "--measured", "timings.csv", "--column", "ms", "--cpu", "amd-zen4", "-q"),),
    ),
    Document(
        "report.html", (("profile", "report.html"), ("report", "report.html", "-o", "out.html", "--force"))
    ),
)


def attempts(inputs: Path, rng: random.Random, share: float) -> Sequence[Attempt]:
    readable = [each for each in DOCUMENTS if (inputs / each.name).is_file()]
    found = [
        Attempt(each.name, lambda folder, name=each.name: [f"there is no {name} to damage"])  # type: ignore[misc]
        for each in DOCUMENTS
        if each not in readable
    ]
    for document in readable:
        text = (inputs / document.name).read_bytes()
        changes = [
            *_cut_and_flipped(text, rng, share),
            *_fields(document.name, text, rng, share / len(readable)),
        ]
        for first in range(0, len(changes), BATCH):
            batch = changes[first : first + BATCH]
            seed = rng.random()
            found.append(
                Attempt(f"{document.name} {first}", _reads(inputs, document, batch, seed), len(batch), 120)
            )
    rng.shuffle(found)
    return found


Change = tuple[str, Callable[[], bytes]]


def _cut_and_flipped(data: bytes, rng: random.Random, share: float) -> Iterator[Change]:
    for i in range(round(CUTS * share)):
        end = len(data) * i // CUTS if share == 1 else rng.randrange(len(data))
        yield f"cut off at {end}", lambda end=end: data[:end]  # type: ignore[misc]
    for _ in range(round(FLIPS * share)):
        at, bits = rng.randrange(len(data)), rng.randrange(1, 256)
        yield (
            f"byte {at} changed by {bits:#x}",
            lambda at=at, bits=bits: data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :],  # type: ignore[misc]
        )


def _fields(name: str, text: bytes, rng: random.Random, share: float) -> Iterator[Change]:
    """One change of one field each."""
    if not name.endswith((".json", ".toml")):
        return
    data = json.loads(text) if name.endswith(".json") else tomllib.loads(text.decode())
    write = json.dumps if name.endswith(".json") else toml
    every = [(path, kind) for path in places(data) for kind in range(len(BAD) + 1)]
    rng.shuffle(every)
    before: Counter[tuple[Any, ...]] = Counter()
    turns = []
    for path, _ in every:
        field = tuple(None if isinstance(step, int) else step for step in path)
        turns.append(before[field])
        before[field] += 1
    in_turn = [each for _, each in sorted(zip(turns, every, strict=True), key=lambda pair: pair[0])]
    for path, kind in in_turn[: round(DAMAGES * share) or 1]:
        yield (
            f"{path} " + ("deleted" if kind == len(BAD) else f"= {str(BAD[kind])[:30]}"),
            lambda path=path, kind=kind: damaged(data, path, kind, write),  # type: ignore[misc]
        )


def damaged(data: Any, path: tuple[Any, ...], kind: int, write: Callable[[Any], str]) -> bytes:
    changed = copy.deepcopy(data)
    place = changed
    for step in path[:-1]:
        place = place[step]
    if kind == len(BAD):
        del place[path[-1]]
        return write(changed).encode()
    value = BAD[kind]
    place[path[-1]] = value
    text = write(changed)
    if value == "nested lists":
        text = text.replace('"nested lists"', "[" * DEPTH + "]" * DEPTH)
    if value == "nested objects":
        text = text.replace('"nested objects"', '{"a":' * DEPTH + "1" + "}" * DEPTH)
    return text.encode()


def toml(data: dict[str, Any]) -> str:
    """The tables as TOML; lists and tables inside are written in one line."""
    return "".join(f"{json.dumps(key)} = {_toml_value(value)}\n" for key, value in data.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if value is None:
        return "null"
    return str(value) if isinstance(value, float) else json.dumps(value, default=str, ensure_ascii=False)


def _reads(
    inputs: Path, document: Document, changes: Sequence[Change], seed: float
) -> Callable[[Path], list[str]]:
    def reads(folder: Path) -> list[str]:
        prepare(inputs, folder)
        rng, faults = random.Random(seed), []
        for what, change in changes:
            (folder / document.name).write_bytes(change())
            arguments = rng.choice(document.commands)
            ended = _run_here(arguments)
            fault = fault_of(ended, arguments) or ("it writes a file" if list(folder.rglob("*.tmp")) else "")
            if fault:
                faults.append(f"{what}: {' '.join(arguments)}: {fault}")
        return faults

    return reads


def _run_here(arguments: Sequence[str]) -> Ended:
    """In this process: a fault that ends it ends the attempt."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    return Ended(code, out.getvalue(), err.getvalue(), 0.0)
