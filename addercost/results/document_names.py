"""The endings of the files that addercost writes and reads back."""

from __future__ import annotations

JSON_SUFFIX = ".json"
"""Of every document: its `schema` says which one it is."""

PAGE_SUFFIXES = (".html", ".htm")
"""Of report pages, which hold the report's document."""
