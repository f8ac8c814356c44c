"""Texts and units as LaTeX prints them."""

from __future__ import annotations

import re

from addercost.text import printable

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "µ": r"$\mu$",
    "Σ": r"$\Sigma$",
    "±": r"$\pm$",
    "→": r"$\to$",
    "…": r"\dots{}",
    "–": "--",
    "·": r"$\cdot$",
    "²": r"$^2$",
}
_POWER = re.compile(r"10\^(\d+) (.*)")
_BREAKS = re.compile(r"(?<=[./])(?=\w)")
_PREFIXES = {
    "P": r"\peta",
    "T": r"\tera",
    "G": r"\giga",
    "M": r"\mega",
    "k": r"\kilo",
    "m": r"\milli",
    "µ": r"\micro",
    "n": r"\nano",
    "p": r"\pico",
    "f": r"\femto",
}
_UNITS = {"s": r"\second", "J": r"\joule", "B": r"\byte", "Hz": r"\hertz", "B/s": r"\byte\per\second"}


def latex_text(text: str) -> str:
    """Text that LaTeX prints as it is. Characters without a glyph in pdfLaTeX become `[U+XXXX]`."""
    return "".join(_SPECIAL.get(c, c) for c in visible_text(text))


def visible_text(text: str) -> str:
    """The text with characters that have no glyph replaced, as a reader sees it."""
    return "".join(map(_character, printable(text)))


def latex_path(text: str) -> str:
    """A module path in a monospaced font. Lines may break after its dots."""
    return r"\texttt{" + r"\allowbreak{}".join(map(latex_text, _BREAKS.split(text))) + "}"


def latex_unit(unit: str) -> str:
    r"""A unit for LaTeX: `µs` as siunitx's \unit{\micro\second}, `10^6 ops` as $10^6$ ops, any other text
    unchanged.
    """
    if power := _POWER.fullmatch(unit):
        return f"$10^{{{power[1]}}}$ {latex_text(power[2])}"
    for name, command in _UNITS.items():
        prefix = unit.removesuffix(name)
        if unit.endswith(name) and (not prefix or prefix in _PREFIXES):
            return rf"\unit{{{_PREFIXES.get(prefix, '')}{command}}}"
    return latex_text(unit)


def _character(c: str) -> str:
    return c if c.isascii() or c in _SPECIAL or "\u00c0" <= c <= "\u017e" else f"[U+{ord(c):04X}]"
