"""Which modules are equal: those of the same class, configuration and parameter shapes, whose children are
equal too.

The configuration is everything in a module's `__dict__`. A module whose state cannot be read equals no other.
"""

from __future__ import annotations

from collections.abc import Hashable, Set
from weakref import WeakKeyDictionary

from torch import nn

from addercost.trace.frozen_values import UnreadableError
from addercost.trace.modules import ModuleTree
from addercost.trace.reuse.state import own_state


class Fingerprints:
    """A number for each module of a tree. Modules that are equal in every respect have the same number.

    numbers: assigns the numbers, for one model or for many. stand_ins: see `trace_blocks`; without them, a
    module that is at several places, or has a tensor that is, has no number. own_forwards: ids of the modules
    whose instance has a `forward` of its own; these have no number either. This must be created while every
    tensor is data-free.
    """

    def __init__(
        self, tree: ModuleTree, numbers: Numbers, stand_ins: bool, own_forwards: Set[int] = frozenset()
    ) -> None:
        self._tree = tree
        self._numbers = numbers
        self._stand_ins = stand_ins
        self._own_forwards = own_forwards
        self._tied = frozenset() if stand_ins else _tied_tensors(tree)
        self.of: dict[int, int | None] = {}
        """The number by the module's id. None for a module that equals no other."""
        self._number(tree.root)

    def elements(self, module: nn.Module, around: frozenset[int] = frozenset()) -> int:
        """Elements of a stand-in's parameters, counted once for each of their places. around: ids of the
        modules that contain it.
        """
        number = self.of.get(id(module))
        known = self._numbers.elements.get(number) if number is not None else None
        if known is None:
            # A module that contains itself is counted once.
            around |= {id(module)}
            known = sum([tensor.numel() for tensor in module._parameters.values() if tensor is not None])
            for child in module._modules.values():
                if child is not None and id(child) not in around:
                    known += self.elements(child, around)
            if number is not None:
                self._numbers.elements[number] = known
        return known

    def forget(self) -> None:
        """From now on no module equals another."""
        self.of.clear()

    def _number(self, module: nn.Module) -> int | None:
        key = id(module)
        if key in self.of:
            return self.of[key]
        if key in self._tree.closed:
            number = self.of[key] = self._numbers.of_stand_ins[module]
            return number
        # For a module that contains itself, the recursion ends here.
        self.of[key] = None
        children = [
            (name, None if child is None else self._number(child) or 0)
            for name, child in module._modules.items()
        ]
        if not self._stand_ins:
            number = self._read(module, tuple(children))
        else:
            known = self._numbers.of_stand_ins
            number = known.get(module, 0)
            if number == 0:
                number = known[module] = self._read(module, tuple(children))
        self.of[key] = number
        return number

    def _read(self, module: nn.Module, children: tuple[tuple[str, int | None], ...]) -> int | None:
        own = [*module._parameters.values(), *module._buffers.values()]
        if (
            any(number == 0 for _, number in children)
            or any(id(tensor) in self._tied for tensor in own)
            or (not self._stand_ins and len(self._tree.paths[id(module)]) > 1)
            or id(module) in self._own_forwards
        ):
            return None
        try:
            return self._numbers.of((own_state(module), children))
        except (UnreadableError, TypeError):
            return None


class Numbers:
    """Small numbers in place of deep states. No number is assigned twice, not even after `clear`."""

    def __init__(self) -> None:
        self.of_stand_ins: WeakKeyDictionary[nn.Module, int | None] = WeakKeyDictionary()
        self.elements: dict[int, int] = {}
        """Elements of the parameters of stand-ins, by their numbers."""
        self._known: dict[Hashable, int] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._known)

    def of(self, state: Hashable) -> int:
        number = self._known.get(state)
        if number is None:
            self._last += 1
            number = self._known[state] = self._last
        return number

    def is_known_stand_in(self, module: nn.Module) -> bool:
        return self.of_stand_ins.get(module) is not None

    def clear(self) -> None:
        self._known.clear()
        self.elements.clear()
        self.of_stand_ins.clear()


def _tied_tensors(tree: ModuleTree) -> frozenset[int]:
    """Ids of tensors that are at several places. Their recorded name depends on the whole model."""
    seen: set[int] = set()
    tied: set[int] = set()
    for _, _, _, tensor, _ in tree.tensors():
        (tied if id(tensor) in seen else seen).add(id(tensor))
    return frozenset(tied)
