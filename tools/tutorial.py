"""The tutorial notebook: runs its cells in order, writes what they show into it, and makes a page of it.

Usage: python tools/tutorial.py

Replaces docs/tutorial.ipynb by the notebook with the new outputs of its cells.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parent.parent / "docs" / "tutorial.ipynb"


def read() -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return notebook


def shown(cell: Mapping[str, Any]) -> str:
    """The text below a cell."""
    return "".join("".join(output["text"]) for output in cell.get("outputs", ()))


def run(notebook: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Every code cell with its output. The value of its last expression is printed."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            yield cell, printed("".join(cell["source"]), names)


def printed(source: str, names: dict[str, Any]) -> str:
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(tree, "tutorial", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "tutorial", "eval"), names)
            if value is not None:
                print(value)
    return output.getvalue()


def page(notebook: Mapping[str, Any]) -> str:
    """The notebook as Markdown."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        if shown(cell):
            parts.append(f"```text\n{shown(cell).rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    notebook = read()
    for number, (cell, text) in enumerate(run(notebook), 1):
        lines = text.splitlines(keepends=True)
        cell["execution_count"] = number
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
