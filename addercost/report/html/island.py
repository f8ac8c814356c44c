"""The data island of a page: JSON in a script element. No text in the data can close the element."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup


def embedded(data: Any) -> Markup:
    """JSON for a script element of type application/json, without any `<`, `>` or `&`."""
    from markupsafe import Markup

    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
