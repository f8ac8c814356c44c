"""The endings of the files that addercost writes and reads back."""

from __future__ import annotations

JSON_SUFFIX = ".json"
"""The ending of every document; its field `schema` names its kind."""

PAGE_SUFFIXES = (".html", ".htm")
"""The endings of report pages, each of which contains the report's document."""
