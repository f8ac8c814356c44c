"""Saves the state of the caller's model before a forward, and restores it afterwards.

Only what the forward changed is written. If one piece cannot be restored, it is reported, and the others are
restored all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from torch import nn

from addercost.errors import AddercostError
from addercost.text import error_text
from addercost.trace.modules import ModuleTree
from addercost.trace.restorable import (
    DICT,
    LIST,
    SLOTS,
    UNCHANGING,
    Restorable,
    is_library,
    restorables,
    slots_of,
)
from addercost.trace.written_tensors import WrittenTensors

_DEEPEST = 6
"""How many references away from a module's attribute a value may be and still be restored."""

_MOST_READ = 50_000
"""The most values that are looked at through the modules' attributes, so that a module which refers to a
whole data set does not take long.
"""

_OF_MODULES = frozenset({"_parameters", "_buffers", "_modules"})
"""Attributes that contain other modules, or tensors that are replaced during a trace."""

_UNCHANGING = frozenset(UNCHANGING)

_Place: TypeAlias = "tuple[nn.Module, str]"
"""The module and the attribute through which a value was found."""


class CallersState:
    """A snapshot of the modules, their classes, and what their attributes refer to.

    more: further values to restore. written: the tensors among all these that the forward writes in place.
    problems: one line for each piece that could not be restored.
    """

    def __init__(self, tree: ModuleTree, more: Iterable[Any] = ()) -> None:
        self.problems: list[str] = []
        self.written = WrittenTensors()
        self._tree = tree
        self._modules = [(module, type(module), dict(module.__dict__)) for module in tree.modules]
        self._empty: list[Any] = []
        self._plain: list[tuple[Restorable, Any, Any]] = []
        self._pieces: list[tuple[Restorable, Any, Any, _Place]] = []
        self._seen: set[int] = set()
        self._kinds: dict[type, tuple[Restorable, ...]] = {}
        self._left = _MOST_READ
        self._pending: list[tuple[tuple[Restorable, ...], Any, int, _Place]] = []
        for module, _, attributes in self._modules:
            self._visit_attributes(module, attributes)
        for kind, module in {kind: module for module, kind, _ in self._modules}.items():
            if not is_library(kind):
                self._visit(kind, 0, (module, ""))
                if slots_of(kind):
                    for other in [m for m in tree.modules if type(m) is kind]:
                        self._keep(SLOTS, other, 0, (other, ""))
        for value in more:
            self._visit(value, 0, (tree.root, ""))
        while self._pending:
            kinds, value, depth, place = self._pending.pop()
            for kind_ in kinds:
                self._keep(kind_, value, depth, place)

    def _visit_attributes(self, module: nn.Module, attributes: dict[str, Any]) -> None:
        """Visits a module's attributes. The most common kinds are handled here, because this runs for every
        attribute of every module.
        """
        for name, value in attributes.items():
            kind = value.__class__
            if kind in _UNCHANGING:
                continue
            if kind is OrderedDict or kind is dict or kind is set:
                if not value:
                    self._empty.append(value)
                    continue
                if name in _OF_MODULES:
                    self._plain.append((DICT, value, value.copy()))
                    continue
            elif kind is tuple:
                if _UNCHANGING.issuperset(map(type, value)):
                    continue
            elif kind is list and _UNCHANGING.issuperset(map(type, value)):
                self._plain.append((LIST, value, value.copy()))
                continue
            self._visit(value, 0, (module, name))

    def _visit(self, value: Any, depth: int, place: _Place) -> None:
        """Saves a value that can change, unless it was saved before."""
        kind = type(value)
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = restorables(kind)
        if not found or depth > _DEEPEST or self._left <= 0 or id(value) in self._seen:
            return
        if id(value) in self._tree.paths:
            return  # It is a module of the tree itself.
        self._left -= 1
        self._seen.add(id(value))
        self._pending.append((found, value, depth, place))

    def _keep(self, kind: Restorable, value: Any, depth: int, place: _Place) -> None:
        try:
            saved = kind.save(value)
        except Exception:
            return  # A value that cannot be read is not restored either.
        self._pieces.append((kind, value, saved, place))
        for content in kind.contents(value, saved):
            self._visit(content, depth + 1, place)

    def restore(self) -> None:
        """Restores everything. Adds to `problems` what could not be restored."""
        for module, kind, attributes in self._modules:
            try:
                if type(module) is not kind:
                    object.__setattr__(module, "__class__", kind)
                now = module.__dict__
                dict.update(now, attributes)
                if len(now) > len(attributes):
                    for name in [name for name in now if name not in attributes]:
                        dict.__delitem__(now, name)
            except Exception as error:
                self._note((module, ""), error)
        for value in self._empty:
            if value:
                value.clear()
        for restorable, value, saved in self._plain:
            self._put_back(restorable, value, saved, (self._tree.root, ""))
        for restorable, value, saved, place in self._pieces:
            self._put_back(restorable, value, saved, place)
        self.problems += self.written.put_back()

    def _put_back(self, kind: Restorable, value: Any, saved: Any, place: _Place) -> None:
        try:
            kind.restore(value, saved)
        except Exception as error:
            self._note(place, error)

    def _note(self, place: _Place, error: Exception) -> None:
        module, name = place
        where = self._tree.paths[id(module)][0] or "the model"
        text = error_text(error) or type(error).__name__
        self.problems.append(f"{where}.{name}: {text}" if name else f"{where}: {text}")


@contextmanager
def unchanged(tree: ModuleTree, more: Iterable[Any] = ()) -> Iterator[CallersState]:
    """On leaving, also by an exception, restores every module of the tree, with its class, what its
    attributes refer to, and `more`.

    If an AddercostError passes, its message also says what could not be restored.
    """
    state = CallersState(tree, more)
    try:
        yield state
    except AddercostError as error:
        state.restore()
        if state.problems:
            error.message = f"{error.message}; {not_put_back(state.problems)}"
        raise
    except BaseException:
        state.restore()
        raise
    state.restore()


def not_put_back(problems: list[str]) -> str:
    """The problems as one text."""
    shown = "; ".join(problems[:4]) + (f"; and {len(problems) - 4} more" if len(problems) > 4 else "")
    return f"changed by the forward and not put back: {shown}"
