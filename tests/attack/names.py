"""Hostile names of models, layers and processors in every output, opened by what people open them with."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from addercost.report.formats.table_latex import PACKAGES
from addercost.report.plots.kinds import KINDS, Takes
from tests.attack.attempt import Attempt
from tests.attack.call import called, fault_of

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

NAMES = (
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "<svg onload=alert(3)>",
    "javascript:alert(4)", "&lt;b&gt; \"'`", "=1+1", "+1+1", "-1+1", "@SUM(1,1)", "＝1+1", "\t=1+1",
    '=HYPERLINK("http://a","b")', "=cmd|' /C calc'!A0", "\\input{/etc/passwd}", "\\write18{id}",
    "50% $x_1^2$ #1 & ~ {}", "a\\", "]]><!--", "line\nbreak", "\x1b[31mred\x1b[0m", "\u202egnp.exe",
    "x" * 300, "::error::x", "##[error]x", "##vso[task.x]y", "{{ 7 * 7 }}", "%s%n", "${7*7}", "__proto__",
    "модуль 层 🧨", "|a|b|", "`id`", "$(id)", "'; DROP TABLE sweep --", "a\r\nb", "\ud800",
)  # fmt: skip
"""Names of layers. torch takes none with a dot, so that becomes another character."""

MODEL = f"""
import torch
from torch import nn

NAMES = {NAMES!r}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for name in NAMES:
            # A class takes no lone surrogate.
            kind = type(name.encode("utf-8", "replace").decode(), (nn.Conv2d,), {{}})
            self.add_module(name.replace(".", "\\u2024"), kind(2, 2, 1))

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return x

Net.__name__ = Net.__qualname__ = NAMES[0]
model = Net()
example_inputs = torch.zeros(1, 2, 4, 4)
"""
FILE = "names.py:model"
ON = ("--cpu", "via-nano-2000", "--cpu", "intel-skylake-x", "--energy", "45nm")
TABLES: dict[str, Sequence[str]] = {
    "profile": ("profile", "names.json", *ON),
    "compare": ("compare", "names.json", *ON),
    "rank": ("rank", "names.json"),
    "sensitivity": ("sensitivity", "names.json"),
    "reconcile": ("reconcile", "names.json"),
    "diff": ("diff", "names.json", "names.json", "--cpu", "via-nano-2000"),
    "check": ("check", "names.json", "--max", "mul=1"),
    "designs": ("sweep", "designs", "names.json"),
    "query": ("query", "swept-names", "SELECT * FROM sweep"),
    "top": ("sweep", "top", "swept-names", "--by", "mac_sites"),
    "hardware": ("hardware", "show", "mine", "--hardware-path", "."),
}
TITLE = ("--title", "".join(NAMES[:3]))
SPACE = f"""
import torch
from torch import nn
# No file holds a lone surrogate, so a sweep refuses it.
NAMES = {[name for name in NAMES if name.isascii() or name.isprintable()]!r}
architectures = [(name, lambda: nn.Linear(2, 3), torch.empty(1, 2)) for name in NAMES]
"""


def attempts(inputs: Path, rng: random.Random, share: float) -> Sequence[Attempt]:
    figures = [name for name, kind in KINDS.items() if kind.takes is Takes.MODEL]
    rng.shuffle(figures)
    return [
        Attempt("text on a terminal, as Markdown and JSON", _in(inputs, _texts), 3 * len(TABLES), 200),
        Attempt("CSV and XLSX in a spreadsheet", _in(inputs, _spreadsheets), len(TABLES) + 2, 200),
        Attempt("LaTeX", _in(inputs, _latex), 1, 200),
        Attempt(
            "pages and figures in a browser",
            _in(inputs, lambda folder: _pages(folder, figures[: max(round(share * len(figures)), 2)])),
            2 + max(round(share * len(figures)), 2),
            300,
        ),
    ]


def _in(inputs: Path, attack: Callable[[Path], list[str]]) -> Callable[[Path], list[str]]:
    def run(folder: Path) -> list[str]:
        (folder / "names.py").write_text(MODEL)
        (folder / "names-space.py").write_text(SPACE)
        table = (inputs / "via-nano-2000.toml").read_text()
        title = json.dumps("".join(name for name in NAMES if name.isprintable()), ensure_ascii=False)
        (folder / "mine.toml").write_text(
            re.sub(
                r"(?m)^name = .*$",
                'name = "mine"',
                re.sub(r"(?m)^title = .*$", lambda _: f"title = {title}", table),
            )
        )
        for arguments in (
            ("profile", FILE, "--save-trace", "names.json", "-q"),
            ("sweep", "names-space.py", "-o", "swept-names", "--workers", "1", "-q"),
        ):
            ended = called(arguments)
            if ended.code:
                return [f"{' '.join(arguments)}: exit code {ended.code}: {ended.stderr[-600:]!r}"]
        return attack(folder)

    return run


def _made(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """What the call prints, and what is wrong with it."""
    ended = called(arguments)
    fault = fault_of(ended, arguments) or (
        "" if ended.code in (0, 1) else f"exit code {ended.code}: {ended.stderr[:500]}"
    )
    return ended.stdout, [f"{' '.join(arguments)[:200]}: {fault}"] if fault else []


def _texts(folder: Path) -> list[str]:
    faults = []
    for name, arguments in TABLES.items():
        for table_format in ("table", "markdown", "json"):
            text, wrong = _made([*arguments, "--format", table_format])
            faults += wrong
            if table_format == "markdown" and (found := re.search(r"(?<!\\)<(script|img|svg)", text)):
                faults.append(f"{name} as Markdown has {found[0]}")
    return faults


def _spreadsheets(folder: Path) -> list[str]:
    """Gnumeric computes what it takes for a formula; no cell may be one."""
    faults = []
    for name, arguments in TABLES.items():
        text, wrong = _made([*arguments, "--format", "csv"])
        faults += wrong
        (folder / f"{name}.csv").write_text(text)
        if not list(csv.reader(io.StringIO(text))):
            faults.append(f"{name} as CSV is empty")
    for ending in ("csv", "xlsx"):
        _, wrong = _made(["report", "names.json", *TITLE, "-o", f"report.{ending}", "-q"])
        faults += wrong
    for file in sorted((*folder.glob("*.csv"), *folder.glob("*.xlsx"))):
        made = file.with_suffix(f"{file.suffix}.gnumeric")
        command = ["ssconvert", "--export-type=Gnumeric_XmlIO:sax", str(file), str(made)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode or not made.exists():
            faults.append(f"{file.name}: Gnumeric does not read it: {done.stderr[-300:]}")
            continue
        content = made.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        cells = [cell for cell in ET.fromstring(content).iter() if cell.tag.endswith("}Cell")]
        if not cells:
            faults.append(f"{file.name}: Gnumeric finds no cell")
        faults += [
            f"{file.name}: the cell {cell.text!r} is a formula"
            for cell in cells
            if cell.get("ValueType") is None
            and cell.get("ExprID") is None
            and (cell.text or "").startswith("=")
        ]
    return faults


def _latex(folder: Path) -> list[str]:
    _, faults = _made(["report", "names.json", *TITLE, *ON, "-o", "tables.tex", "--format", "latex", "-q"])
    if faults:
        return faults
    (folder / "paper.tex").write_text(
        f"\\documentclass{{article}}\\usepackage{{{PACKAGES}}}\n"
        "\\begin{document}\\tiny\\input{tables}\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return [] if done.returncode == 0 else [f"LaTeX stops: {done.stdout[-600:]}"]


def _pages(folder: Path, figures: Sequence[str]) -> list[str]:
    from conftest import ARGUMENTS, executable  # type: ignore[import-not-found]
    from playwright.sync_api import sync_playwright

    faults: list[str] = []
    outputs = {"report.html": ["report", "names.json", *TITLE, "-o", "report.html", "-q"]}
    outputs["diff.html"] = ["diff", "names.json", "names.json", "--format", "html", "-o", "diff.html"]
    for kind in figures:
        more = ["--accelerator", "tpu-like"] if kind == "accelerator" else []
        outputs[f"{kind}.svg"] = ["plot", kind, "names.json", "-o", f"{kind}.svg", "-q", *more]
    for arguments in outputs.values():
        faults += _made(arguments)[1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), headless=True, args=ARGUMENTS)
        for name in outputs:
            if (folder / name).exists():
                faults += [f"{name}: {complaint}" for complaint in _complaints(browser, folder / name)]
        browser.close()
    return faults


def _complaints(browser: Any, file: Path) -> list[str]:
    """What a page does that it should not: messages, dialogs, requests."""
    complaints: list[str] = []
    page = browser.new_context(offline=True).new_page()
    address = file.as_uri()
    page.on("console", lambda message: complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda r: r.url.split("#")[0] == address or complaints.append(f"request: {r.url}"))
    page.goto(address)
    # Buttons and selections draw parts of the page anew.
    for button in page.get_by_role("button").all()[:12]:
        if button.is_visible() and button.is_enabled():
            button.click()
    page.close()
    return complaints
