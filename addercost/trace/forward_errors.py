"""The error of a forward that failed: which layer raised what, and what to do about it."""

from __future__ import annotations

from addercost.errors import TraceError
from addercost.text import error_text


def forward_error(name: str, failed: tuple[str, str] | None, error: Exception) -> TraceError:
    text = error_text(error) or type(error).__name__
    if len(text) > 400:
        text = text[:400] + " …"
    path, given = failed or ("", "")
    where = (f"layer {path}" if path else "its forward") + (f", given {given}," if given else "")
    return TraceError(
        f"{name} does not run on these inputs: {where} raised {type(error).__name__}: {text}",
        _advice(error, text),
    )


_ABOUT_ARGUMENTS = ("positional argument", "unexpected keyword argument", "keyword-only argument")
_ABOUT_SHAPES = (
    "shape", "size", "dtype", "type", " dim", "channels", "index out of range", "expected", "must match",
    "multiplied", "unpack", "broadcast",
)  # fmt: skip


def _advice(error: Exception, text: str) -> str:
    if isinstance(error, TypeError) and any(sign in text for sign in _ABOUT_ARGUMENTS):
        return "give one --input for each argument of its forward, name=… for keywords"
    if "more than 1 value per channel" in text:
        return "a batch norm that trains needs several values: give --batch 2"
    if "load custom C++ ops" in text:
        return "install a torchvision that is built for this torch; its own operators do not load here"
    if isinstance(error, MemoryError) or "allocate" in text:
        return "trace a smaller configuration of it"
    if isinstance(error, RuntimeError | IndexError | ValueError | TypeError) and any(
        sign in text.lower() for sign in _ABOUT_SHAPES
    ):
        return "check the shape and dtype given with --input"
    return "run it on the same inputs in torch alone; if it runs there, --debug shows where tracing differs"
