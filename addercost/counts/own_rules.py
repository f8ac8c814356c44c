"""Counting rules for operators that addercost does not know: `addercost.rule`."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable

from addercost.counts import rules as _rules  # noqa: F401  (registers every built-in rule)
from addercost.counts.registry import RULES, CountingRule
from addercost.counts.work import OperatorWork
from addercost.errors import ArgumentError, ModelError
from addercost.trace.record import OpCall

_NAME = re.compile(r"\w+\.\w+")


def rule(*names: str) -> Callable[[CountingRule], CountingRule]:
    """Registers the decorated function as the counting rule of operators of your own.

    names: "namespace.operator" without the overload, as a profile lists them under `uncounted`. An operator
    that torch.library knows as "mylib::scale" is "mylib.scale".

    The function takes a call (`addercost.OpCall`) and returns an `addercost.OperatorWork`. It reads arguments
    by their names in the operator's schema: `call.shape("x")`, `call.tensor("x")`, `call.args["p"]`; the
    first result is `call.output`. A rule applies to every count that is made after its registration, also to
    counts of traces that were made before.

    A deep model makes the same call in each of its layers. Where only the layer and the names of the tensors
    differ, the rule may be asked once for all of them, since that makes counting several times as fast. So
    its result must follow from shapes, formats and other arguments, and neither from `call.module` and
    `call.index` nor from anything that the rule remembers.

    Raises ArgumentError for a name of another form, and for an operator that already has a rule. A file that
    is executed again may register its rules again.

        @addercost.rule("mylib.scale")
        def scale(call):
            "x: […], out: […]: one multiplication an element."
            x = call.tensor("x")
            return addercost.OperatorWork(other=addercost.OpCounts.of(x.number_format, mul=x.numel))
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise ArgumentError(f"{name!r} names no operator", f"write it as {_suggested(name)!r}")
    if not names:
        raise ArgumentError(
            "a counting rule needs the name of an operator", "as in @addercost.rule('mylib.scale')"
        )

    def register(function: CountingRule) -> CountingRule:
        for name in names:
            if name in RULES and not _is_executed_again(RULES[name], function):
                raise ArgumentError(
                    f"{name} has a counting rule already, in {RULES[name].__module__}",
                    "an operator has one rule: remove one of the two",
                )
        for name in names:
            RULES[name] = _checked(name, function)
        return function

    return register


def _suggested(name: str) -> str:
    """The name in the form that `rule` expects: `mylib::scale.default` becomes mylib.scale."""
    parts = [part for part in re.split(r"\W+", name) if part]
    return ".".join(parts[:2]) if len(parts) > 1 else "namespace.operator"


def _is_executed_again(known: CountingRule, function: CountingRule) -> bool:
    """Whether both functions are the same definition in one file that was executed twice."""
    first, second = (getattr(inspect.unwrap(rule), "__code__", None) for rule in (known, function))
    if first is None or second is None or inspect.unwrap(known) is inspect.unwrap(function):
        return False
    return (first.co_filename, first.co_firstlineno) == (second.co_filename, second.co_firstlineno)


def _checked(name: str, function: CountingRule) -> CountingRule:
    """The rule, wrapped so that its failures and wrong results are reported with the operator's name."""

    @functools.wraps(function)
    def checked(call: OpCall) -> OperatorWork:
        try:
            work = function(call)
        except Exception as error:
            raise ModelError(
                f"the counting rule of {name} failed: {type(error).__name__}: {error}",
                f"the call's arguments are: {', '.join(call.args) or 'none'}",
            ) from error
        if not isinstance(work, OperatorWork):
            raise ModelError(
                f"the counting rule of {name} returned {type(work).__name__}",
                "it returns an addercost.OperatorWork",
            )
        return work

    return checked
