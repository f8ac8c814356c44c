"""Data inside a page as JSON that no text in it can end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup


def embedded(data: Any) -> Markup:
    """JSON for a script element of type application/json: no `<`, `>` or `&` is left in it."""
    from markupsafe import Markup

    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
