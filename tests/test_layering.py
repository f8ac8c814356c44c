"""The import rule of ARCHITECTURE.md: a part imports only parts below it, and nothing imports in a circle.

Every import counts: at the top of a file, inside a function, and for type checking alone.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

import addercost

PACKAGE = Path(addercost.__file__).parent
RANKS = (
    ("errors",),
    ("units", "text", "version", "supervision", "garbage_collection", "input_files"),
    ("extensions", "reading"),
    ("arithmetic",),
    ("trace.record",),
    ("trace.reuse.blocks",),
    ("counts",),
    ("hardware",),
    ("cost",),
    ("results",),
    ("analysis",),
    ("kernels",),
    ("layers",),
    ("models",),
    ("trace",),
    ("sources",),
    ("report", "measure", "train"),
    ("sweep",),
    ("api",),
    ("language_models",),
    ("",),
    ("cli",),
    ("__main__",),
)
"""The parts from the bottom up; "" is `addercost` itself. Two parts of one rank do not import each other."""

RANK = {part: rank for rank, parts in enumerate(RANKS) for part in parts}
MAY_IMPORT_TORCH = ("kernels", "layers", "models", "trace", "sources", "measure", "train", "sweep")
HEAVY = (
    "torch",
    "torchvision",
    "pandas",
    "matplotlib",
    "fvcore",
    "numpy",
    "halide",
    "triton",
    "llvmlite",
    "jinja2",
    "msgspec",
)


def module_name(file: Path) -> str:
    """`report.tables` for `addercost/report/table.py`, "" for `addercost/__init__.py`."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str | None:
    """The most specific part that `module` belongs to, or None where no rank names it."""
    names = module.split(".")
    for length in range(len(names), 0, -1):
        part = ".".join(names[:length])
        if part in RANK:
            return part
    return None


@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def imported(source: str, modules: Iterable[str]) -> list[str]:
    """Every module of ours that `source` imports, wherever the statement stands."""
    known = set(modules)
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name == "addercost" or name.startswith("addercost."):
                inner = name.removeprefix("addercost").removeprefix(".")
                # `from addercost.units import si` imports the module `units`; `si` is no module.
                found.append(inner if inner in known else inner.rpartition(".")[0])
    return found


def run_time_imports(source: str) -> set[str]:
    """The first names of what `source` imports, but for what only type checkers read."""
    found = set()
    waiting: list[ast.AST] = [parsed(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def fault(module: str, other: str) -> str | None:
    """What is wrong with `module` importing `other`, or None."""
    own, its = part_of(module), part_of(other)
    if own is None or its is None:
        return f"{module if own is None else other} has no rank"
    if own == its or RANK[its] < RANK[own]:
        return None
    return f"{module} imports {other}, which does not stand below it"


def circles(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The groups of modules that import each other, directly or through others."""
    reach: dict[str, set[str]] = {}
    for start in imports:
        seen: set[str] = set()
        waiting = list(imports[start])
        while waiting:
            module = waiting.pop()
            if module not in seen and module in imports:
                seen.add(module)
                waiting.extend(imports[module])
        reach[start] = seen
    groups = {
        tuple(sorted(other for other in reach[module] if module in reach[other]))
        for module in imports
        if module in reach[module]
    }
    return [list(group) for group in sorted(groups)]


@cache
def sources() -> Mapping[str, str]:
    return {module_name(file): file.read_text() for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports() -> Mapping[str, Sequence[str]]:
    """What each module of ours imports of the others."""
    return {
        module: [name for name in imported(text, sources()) if name != module]
        for module, text in sources().items()
    }


def test_every_module_has_a_rank() -> None:
    assert [module for module in sources() if part_of(module) is None] == [], "give it one in RANKS"


def test_imports_only_what_stands_below() -> None:
    found = (fault(module, other) for module, others in imports().items() for other in others)
    assert [*filter(None, found)] == []


def test_nothing_imports_in_a_circle() -> None:
    assert circles(imports()) == []


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        pytest.param("counts.conventions", "from addercost.results.intervals import MARGIN", id="upwards"),
        pytest.param("measure.runner", "from addercost.cli.options import width", id="into-the-commands"),
        pytest.param("report.tables", "import addercost.measure.devices.cpu", id="a-part-of-the-same-rank"),
        pytest.param(
            "hardware.schema",
            "if TYPE_CHECKING:\n    from addercost.cost.bounds import Bound",
            id="for-type-checking",
        ),
        pytest.param(
            "cost.bounds", "def f():\n    from addercost.report import tables", id="inside-a-function"
        ),
        pytest.param("trace.record", "from addercost.trace.tracer import trace", id="from-plain-data"),
        pytest.param("units", "from addercost.nowhere import x", id="a-part-without-a-rank"),
        pytest.param("nowhere.file", "from addercost.units import si", id="from-a-part-without-a-rank"),
    ],
)
def test_the_rule_finds(module: str, statement: str) -> None:
    """The rule fails where it should: each of these imports is a fault."""
    others = imported(statement, sources())
    assert len(others) == 1
    assert fault(module, others[0]) is not None


def test_a_circle_is_found_through_a_third_module() -> None:
    chain = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": [], "e": ["a"]}
    assert circles(chain) == [["a", "b", "c"]]
    assert circles({"a": ["b"], "b": ["c"], "c": []}) == []


def test_tracing_knows_no_counting_rule() -> None:
    """Which operators are counted as they are is an argument of the tracers, `is_counted`."""
    assert [
        (module, other)
        for module, others in imports().items()
        for other in others
        if module.startswith("trace.") and other.partition(".")[0] == "counts"
    ] == []


REUSE, REUSE_ENTRY, REUSE_DATA = "trace.reuse", "trace.reuse.tracer", "trace.reuse.blocks"


def test_block_reuse_has_one_entry() -> None:
    """Outside of `trace.reuse` only its entry is imported, and the plain data that it returns."""
    inner = {
        other
        for module, others in imports().items()
        for other in others
        if not is_in(module, REUSE) and is_in(other, REUSE)
    }
    assert inner == {REUSE_ENTRY, REUSE_DATA}


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def test_torch_stays_at_the_edge() -> None:
    assert [
        module
        for module, text in sources().items()
        if part_of(module) not in MAY_IMPORT_TORCH and "torch" in run_time_imports(text)
    ] == []


LIGHT = (
    "import addercost",
    "import addercost.cli.group, addercost.cli.profile, addercost.cli.compare, addercost.cli.reproduce",
    "import addercost.cli.report, addercost.cli.plot, addercost.cli.diff, addercost.cli.check",
    "import addercost.counts.model, addercost.results.trace",
    "import addercost.report.shown",
    "import addercost.hardware",
    "import addercost.cli.train, addercost.report.tables.accuracy, addercost.train.settings",
    "import addercost.cli.sweep, addercost.cli.query, addercost.sweep.child_process.supervisor",
    "import addercost.cli.bench, addercost.report.tables.timings, addercost.report.tables.bench_diff",
    "import addercost.report.formats.chrome_trace, addercost.measure.journal",
)


# All of them in one process; `make test-all` starts one for each, which takes a third of a second.
@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("; ".join(LIGHT), id="all"),
        *(pytest.param(statement, marks=pytest.mark.exhaustive) for statement in LIGHT),
    ],
)
def test_importing_is_light(statement: str) -> None:
    """What start-up imports, and what a machine without torch needs, imports nothing heavy."""
    code = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_planning_a_sweep_of_nasbench201_needs_no_torch() -> None:
    """The sweep's own process walks 15,625 names and traces nothing."""
    code = """
import sys
from addercost.sweep.run import plan
from addercost.results.sweep_settings import SweepSettings
print(plan("nasbench201", SweepSettings()).walk.architectures, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["15625", "False"]
