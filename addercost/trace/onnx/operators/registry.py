"""The translators, by domain and operator. A translator makes the calls of one node."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from addercost.trace.onnx.node import OnnxNode
from addercost.trace.record import OpCall

Translator = Callable[[OnnxNode], Iterable[OpCall]]

TRANSLATORS: dict[tuple[str, str], Translator] = {}


def translates(*ops: str, domain: str = "") -> Callable[[Translator], Translator]:
    """Registers a function for these operators of `domain`; "" is the standard's own domain."""

    def register(translator: Translator) -> Translator:
        for op in ops:
            if (domain, op) in TRANSLATORS:
                raise ValueError(f"{domain}.{op} is translated twice")
            TRANSLATORS[domain, op] = translator
        return translator

    return register
