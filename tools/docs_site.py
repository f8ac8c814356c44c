"""Adds to the site what is not in `docs/`: reference pages made from the code, and further documents.

mkdocs calls the functions here (`hooks` in mkdocs.yml); `make docs` builds the site into output/site.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
FOLDERS = ("reports", "benchmarks/results")
LINK = re.compile(
    r"(?P<text>!?\[[^\]]*\])\((?!https?:|#|mailto:)(?P<target>[^)#\s]+)(?P<anchor>#[^)]*)?\)",
)

SHOWN = (".md", ".svg", ".html", ".csv", ".txt", ".tex")
"""The suffixes of files of these folders that the site has. Timings in JSON are only in the repository."""


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated pages, and the documents to which pages link."""
    sys.path.insert(0, str(Path(__file__).parent))
    import tutorial
    from docs_commands import commands_page
    from docs_reference import documents_page, operators_page, schemas

    add(files, config, "tutorial.md", tutorial.page(tutorial.read()))
    add(files, config, "reference/commands.md", commands_page())
    add(files, config, "reference/operators.md", operators_page())
    add(files, config, "reference/documents.md", documents_page())
    for name, schema in schemas().items():
        add(files, config, f"reference/schemas/{name}.schema.json", json.dumps(schema, indent=1) + "\n")
    for name in DOCUMENTS:
        add(files, config, name, (ROOT / name).read_text(encoding="utf-8"))
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SHOWN:
                name = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def add(files: Files, config: Any, name: str, content: str) -> None:
    files.append(File.generated(config, name, content=content))


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Changes links of a page that lead out of `docs/` into links to the site's documents.

    On a page of `docs/`, `../reports/x.md` is a file of the repository; on the site it is `reports/x.md`. A
    link to a file that the site does not have, such as a source file, becomes plain text.
    """
    here = Path(page.file.src_uri).parent
    is_of_docs = (ROOT / "docs" / page.file.src_uri).exists()

    def corrected(match: re.Match[str]) -> str:
        text, target, anchor = match["text"], match["target"], match["anchor"] or ""
        source = (ROOT / "docs" if is_of_docs else ROOT) / here / target
        path = Path(source).resolve()
        path = path.with_suffix(".md") if path.suffix == ".ipynb" else path
        for base in (ROOT / "docs", ROOT):
            if path.is_relative_to(base):
                name = path.relative_to(base).as_posix()
                name = f"{name}/README.md" if path.is_dir() else name
                if files.get_file_from_path(name):
                    return f"{text}({relative(name, here)}{anchor})"
        if is_of_docs and "reference/" in target:
            return match[0]
        return text if text.startswith("!") else f"**{text[1:-1]}**"

    return LINK.sub(corrected, markdown)


def relative(name: str, here: Path) -> str:
    return "/".join((*[".."] * len(here.parts), name))
