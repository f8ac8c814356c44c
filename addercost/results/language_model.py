"""The costs of a language model (reading a prompt, writing a token, writing a text), and their JSON document.

{"schema": "addercost/language-model/1", "model": "llama", "parameters": 6738415616,
 "weight_bytes": 13476831232, "prompt": 512, "context": 1024, "new": 128,
 "phases": [{"phase": "decode", "batch": 1, "tokens": 1, "context": 1024, "mac_sites": 6875774976,
             "operations": {"bf16": {"mul": 6875774976, …}}, "moved_bytes": …, "cache_bytes": …,
             "activation_bytes": …,
             "costs": [{"hardware": "amd-zen4", "model": "roofline", "seconds": 0.41, "bound": "memory",
                        "bound_share": 0.99, "complete": true, "assumptions": []}],
             "energies": [{"hardware": "45nm", "joules": 2.1, "complete": true}]}],
 "texts": [{"batch": 1, "hardware": "amd-zen4", "model": "roofline", "seconds": 53.1, "complete": true}],
 "notes": []}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from addercost.reading import Count, NotNegative, Size, Text, read_as
from addercost.results.document import Document, checked_fields
from addercost.results.plain import to_plain
from addercost.text import harmless_json

SCHEMA = "addercost/language-model/1"


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """Predicted seconds of one forward. bound: the limit that sets the largest part of them. bound_share:
    that part of the seconds, 0 to 1.

    complete: False where figures are missing, which makes the time a lower bound. missing: those figures.
    """

    hardware: Text
    model: Text
    seconds: NotNegative
    bound: str
    bound_share: NotNegative
    complete: bool = True
    missing: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PhaseEnergy:
    """Predicted joules of one forward. missing: figures that are not known, which makes the joules a lower
    bound.
    """

    hardware: Text
    joules: NotNegative
    complete: bool = True
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """One forward over a batch of texts.

    tokens: how many tokens of each text this forward reads. context: how many tokens came before; their cache
    is read. operations: numbers of operations by number format and class. moved_bytes: the bytes that its
    operators read and write. cache_bytes: the size of the cache for all texts after it. activation_bytes: the
    most bytes that its intermediate results take at once, without the cache, in the formats of the model's
    own code.
    """

    phase: Literal["prefill", "decode"]
    batch: Size
    tokens: Size
    context: Count
    mac_sites: Count
    operations: Mapping[str, Mapping[str, Count]]
    moved_bytes: Count
    cache_bytes: Count
    activation_bytes: Count | None = None
    complete: bool = True
    costs: tuple[PhaseCost, ...] = ()
    energies: tuple[PhaseEnergy, ...] = ()

    @property
    def operation_count(self) -> int:
        return sum(n for by_class in self.operations.values() for n in by_class.values())

    @property
    def intensity(self) -> float | None:
        """Operations for each byte moved."""
        return self.operation_count / self.moved_bytes if self.moved_bytes else None

    @property
    def all_tokens(self) -> int:
        return self.batch * self.tokens


@dataclass(frozen=True, slots=True)
class TextCost:
    """Predicted seconds of a whole text: of the prompt, then of `LanguageModelReport.new` tokens one by
    one.
    """

    batch: Size
    hardware: Text
    model: Text
    seconds: NotNegative
    complete: bool = True


@dataclass(frozen=True, slots=True)
class TokenTime:
    """Predicted seconds of one token of each text after `context` others."""

    batch: Size
    context: Size
    hardware: Text
    model: Text
    seconds: NotNegative


@dataclass(frozen=True, slots=True)
class LanguageModelReport:
    """The report. weight_bytes: of all parameters in their stored format. prompt, context, new: numbers of
    tokens of each text. source: how many tokens an encoder reads, None for a model without one. token_times:
    times at further contexts, for a figure.
    """

    model: Text
    parameters: Count
    weight_bytes: Count
    prompt: Size
    context: Size
    new: Count
    phases: tuple[PhaseReport, ...]
    texts: tuple[TextCost, ...] = ()
    token_times: tuple[TokenTime, ...] = ()
    source: Size | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **to_plain(self)}

    def to_json(self) -> str:
        return harmless_json(json.dumps(self.to_dict(), indent=1, allow_nan=False)) + "\n"


def language_model_from_data(data: Any, source: str = "language model report") -> LanguageModelReport:
    """Reads the document above. Raises DataError naming `source` and the field."""
    return read_as(LanguageModelReport, checked_fields(data, SCHEMA, source), source)


DOCUMENT = Document(SCHEMA, "what a language model costs", LanguageModelReport, language_model_from_data)
