"""The module tree in the form that the page's script reads.

It is `{bases, kinds: [name, fill, text], tree: [name, kind, values, parts]}`, where parts are nodes of the
same form.
"""

from __future__ import annotations

from typing import Any

from addercost.analysis.module_tree import ModuleNode, bases, module_tree
from addercost.report.plots.palette import LAYER_KINDS, layer_kind
from addercost.results.profile import Profile
from addercost.text import printable

_WIDEST = 300
_MODULE = ("module", "#d9d9da", "#000000")


def icicle_data(profile: Profile) -> dict[str, Any]:
    """The tree. A node's kind is an index into `kinds`; its values are in the order of `bases`."""
    names = bases(profile)
    kinds = [*LAYER_KINDS]
    rows = [[kind, colour, _text_on(colour)] for kind, colour in LAYER_KINDS.items()]

    def packed(node: ModuleNode) -> list[Any]:
        leaf = node.op and not node.children
        kind = kinds.index(layer_kind(node.op)) if leaf else len(kinds)
        return [printable(node.name), kind, [node.values[name] for name in names], []]

    root = module_tree(profile, _WIDEST, names[0])
    top = packed(root)
    stack = [(root, top)]
    while stack:
        node, entry = stack.pop()
        for child in node.children:
            entry[3].append(packed(child))
            stack.append((child, entry[3][-1]))
    shown = [name.replace("cycles@", "estimated cycles on ") for name in names]
    return {"bases": shown, "kinds": [*rows, list(_MODULE)], "tree": top}


def _text_on(colour: str) -> str:
    """Black or white, whichever has more contrast to `colour` (WCAG 2 relative luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#ffffff"
