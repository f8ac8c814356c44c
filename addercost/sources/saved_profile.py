"""`profile.json`, `report.json`, `report.html`: counts that were saved. They are read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from addercost.errors import DataError
from addercost.input_files import check_readable
from addercost.results.document_names import JSON_SUFFIX, PAGE_SUFFIXES
from addercost.sources.kind import NoSuchModelError, ProfileRequest, SpecKind, TraceRequest
from addercost.sources.saved_trace import read_trace
from addercost.trace.record import Trace

if TYPE_CHECKING:
    from addercost.results.profile import Profile

_HEAD_CHARACTERS = 400
"""The schema is within the first so many characters of a document."""


def _recognises(spec: str) -> bool:
    """Whether a SPEC is an HTML page, or a document whose schema is that of a profile or a report."""
    if spec.endswith(PAGE_SUFFIXES):
        return True
    if not spec.endswith(JSON_SUFFIX):
        return False
    try:
        check_readable(Path(spec))
        with Path(spec).open(encoding="utf-8") as file:
            head = file.read(_HEAD_CHARACTERS)
    except (DataError, OSError, UnicodeDecodeError):
        return False
    return '"addercost/profile/' in head or '"addercost/report/' in head


def _load(spec: str, request: ProfileRequest) -> Profile:
    from addercost.results.reopened import reopen_profile

    return reopen_profile(
        spec,
        request.convention,
        request.arithmetic,
        request.cpus,
        request.cost_models,
        request.hardware_path,
    )


def _refuse(spec: str, request: TraceRequest) -> Trace:
    """Raises the error for commands that need a model and not saved counts."""
    if spec.endswith(JSON_SUFFIX):
        return read_trace(Path(spec))
    raise NoSuchModelError(f"cannot read a model from {spec}")


SAVED_PROFILE = SpecKind(
    name="saved_profile",
    form="profile.json, report.html",
    summary="counts saved before, which profile, report, plot, diff and check show as they were counted",
    recognises=_recognises,
    load_trace=_refuse,
    load_profile=_load,
    suffixes=(JSON_SUFFIX, *PAGE_SUFFIXES),
)
