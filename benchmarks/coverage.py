"""How much of torch is counted: every entry of torch's own operator database, traced and counted.

    python -m benchmarks.coverage [--samples N]

For each entry every sample input of the database is traced in its first floating-point type (else its first
type), and every operator call in it is counted by a rule, by torch's element-wise tag, by decomposition, or
not at all. An entry has the weakest kind of all its calls. Needs `expecttest`, which the database imports.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import nn

from addercost.api import trace_model
from addercost.counts.call_work import work_of
from addercost.counts.registry import RULES
from addercost.errors import TraceError
from addercost.trace.record import DECOMPOSED, OpCall

_CUDA_SOURCE = "compiles CUDA source when it runs, so it needs an Nvidia GPU"
_SPARSE = "sparse format: the work depends on how many elements are not zero"

NEWER = "an operator of torch 2.15, for which there is no rule yet"
REMAINDER: Mapping[str, str] = {
    "jiterator_unary": _CUDA_SOURCE,
    "jiterator_binary": _CUDA_SOURCE,
    "jiterator_binary_return_by_ref": _CUDA_SOURCE,
    "jiterator_4inputs_with_extra_args": _CUDA_SOURCE,
    "jiterator_2inputs_2outputs": _CUDA_SOURCE,
    "sparse.mm.reduce": _SPARSE,
    "linalg.matrix_sqrth": NEWER,
    "linalg.polar": NEWER,
}
"""Entries that are not counted, with the reason."""


class Kind(IntEnum):
    """The ways to count a call, from the strongest to the weakest."""

    RULE = 0
    TAG = 1
    DECOMPOSITION = 2
    UNCOUNTED = 3


@dataclass(frozen=True)
class Coverage:
    """The result for one entry: the weakest way in which its calls are counted, the operators without a rule,
    and how its samples were run.
    """

    name: str
    kind: Kind
    uncounted: tuple[str, ...]
    tracers: Mapping[str, int]
    problem: str = ""


class _Called(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def entries() -> list[Any]:
    """The database, 702 entries in torch 2.13."""
    from torch.testing._internal.common_methods_invocations import op_db

    return list(op_db)


def entry_name(entry: Any) -> str:
    return f"{entry.name}.{entry.variant_test_name}" if entry.variant_test_name else str(entry.name)


def samples(entry: Any, limit: int | None = None) -> Iterator[Any]:
    """The sample inputs of an entry: on the CPU, or on the meta device for entries that only a GPU runs."""
    on_cpu = entry.supported_dtypes("cpu")
    types = on_cpu or {torch.float32 if "batch_norm" in entry.name else torch.float16}
    dtype = torch.float32 if torch.float32 in types else min(types, key=str)
    torch.manual_seed(0)
    # entry.sample_inputs would look for a unittest on the stack, which takes longer than the traces.
    made = entry.sample_inputs_func(entry, "cpu" if on_cpu else "meta", dtype, False)
    return itertools.islice(made, limit)


def kind_of(call: OpCall) -> Kind:
    if work_of(call) is None:
        return Kind.UNCOUNTED
    if any(tag.startswith(DECOMPOSED) for tag in call.tags):
        return Kind.DECOMPOSITION
    return Kind.RULE if call.name in RULES or "view" in call.tags else Kind.TAG


def cover(entry: Any, limit: int | None = None) -> Coverage:
    """Traces and counts the samples of one entry."""
    name, kind, problem = entry_name(entry), Kind.RULE, ""
    uncounted: set[str] = set()
    tracers: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for sample in samples(entry, limit):
            try:
                made = trace_model(_Called(entry.op), sample.input, *sample.args, kwargs=sample.kwargs)
            except TraceError as error:
                kind, problem = Kind.UNCOUNTED, str(error)
                continue
            tracers[made.tracer] += 1
            for call in made.calls:
                found = kind_of(call)
                kind = max(kind, found)
                if found is Kind.UNCOUNTED:
                    uncounted.add(call.name)
    if not tracers and not problem:
        kind, problem = Kind.UNCOUNTED, "the database has no sample for it"
    return Coverage(name, kind, tuple(sorted(uncounted)), tracers, problem)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=int, help="at most so many samples an entry (default: all)")
    limit = parser.parse_args().samples
    covered = [cover(entry, limit) for entry in entries()]
    kinds = Counter(coverage.kind for coverage in covered)
    print(f"torch {torch.__version__}: {len(covered)} entries")
    for kind in Kind:
        print(f"  {kind.name.lower():<14}{kinds[kind]:>6}{kinds[kind] / len(covered):>9.1%}")
    runs = sum((Counter(coverage.tracers) for coverage in covered), Counter())
    print("samples traced:", ", ".join(f"{n} {tracer}" for tracer, n in runs.most_common()))
    print("not counted:")
    for coverage in covered:
        if coverage.kind is Kind.UNCOUNTED:
            reason = REMAINDER.get(coverage.name) or coverage.problem or "no reason known"
            print(f"  {coverage.name}: {reason}")


if __name__ == "__main__":
    main()
