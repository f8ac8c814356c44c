"""The import rule of ARCHITECTURE.md: packages import only what stands to their left, torch at the edge."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import addercost

PACKAGE = Path(addercost.__file__).parent
LAYERS = (
    ("errors", "units"),
    ("arithmetic",),
    ("trace.record", "trace.serialize", "trace.blocks"),
    ("counts",),
    ("hardware",),
    ("cost",),
    ("report",),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MAY_IMPORT_TORCH = ("trace", "layers", "kernels", "models", "train", "measure", "sweep")
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
)

FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def rank_of(module: str) -> int | None:
    for name in (module, module.partition(".")[0]):
        if name in RANK:
            return RANK[name]
    return None


def imports(file: Path) -> list[tuple[str, bool]]:
    """(imported module, whether at the top level of the file and at run time)."""
    tree = ast.parse(file.read_text())
    found = []

    def visit(node: ast.AST, runs: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, runs) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.extend((f"{child.module}.{alias.name}", runs) for alias in child.names)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                visit(child, runs and not inside)

    visit(tree, True)
    return found


RANKED = [file for file in FILES if rank_of(module_name(file)) is not None]


@pytest.mark.parametrize("file", RANKED, ids=module_name)
def test_imports_only_what_stands_to_the_left(file: Path) -> None:
    own = rank_of(module_name(file))
    assert own is not None
    for name, _ in imports(file):
        if name.startswith("addercost."):
            other = rank_of(name.removeprefix("addercost."))
            assert other is None or other <= own, f"{module_name(file)} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_torch_stays_at_the_edge(file: Path) -> None:
    module = module_name(file)
    at_the_edge = module.partition(".")[0] in MAY_IMPORT_TORCH and rank_of(module) is None
    for name, _ in imports(file):
        if name.partition(".")[0] == "torch":
            assert at_the_edge, f"{module} imports {name}"


@pytest.mark.parametrize(
    "statement",
    [
        "import addercost",
        "import addercost.cli.group, addercost.cli.profile, addercost.cli.compare, addercost.cli.reproduce",
        "import addercost.cli.report, addercost.cli.plot, addercost.cli.diff, addercost.cli.check",
        "import addercost.counts.model, addercost.trace.serialize",
        "import addercost.report.profile, addercost.report.comparison",
        "import addercost.hardware",
        "import addercost.cli.train, addercost.report.accuracy_tables, addercost.train.settings",
        "import addercost.cli.sweep, addercost.cli.query, addercost.sweep.supervise",
        "import addercost.cli.bench, addercost.report.bench_table, addercost.report.bench_diff",
        "import addercost.report.chrome_trace, addercost.measure.store",
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
from addercost.sweep.settings import SweepSettings
print(plan("nasbench201", SweepSettings()).walk.architectures, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["15625", "False"]
