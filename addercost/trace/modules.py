"""Finds which module made a call and under which path, and replaces a model's tensors by others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from types import GeneratorType
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from addercost.trace.reuse.blocks import joined, stripped
from addercost.trace.threads import used_elsewhere

_PLAIN_PARAMETERS = frozenset({type(None), Tensor, nn.Parameter})

HOOKS = frozenset({"_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"})
"""Attributes in which nn.Module keeps the functions that are called when the module is."""

_PATHS_PER_MODULE = 4096
"""The most paths kept for one module. Nested sharing can give a module exponentially many."""


class ModuleTree:
    """Every module reachable from `root`, with all the paths under which it is registered.

    closed: decides whether a module's children are left out; the attribute `closed` has the ids of these
    modules. stand_ins: a module at several places represents a different module at each of them; these are
    called in the order of registration.
    """

    def __init__(
        self,
        root: nn.Module,
        closed: Callable[[nn.Module], bool] | None = None,
        stand_ins: bool = False,
    ) -> None:
        self.root = root
        self.stand_ins = stand_ins
        self.modules: list[nn.Module] = []
        self.paths: dict[int, list[str]] = {}
        self.closed: set[int] = set()
        self._is_closed = closed
        self._first_place: dict[str, str] = {}
        """For each further place of a stand-in its first place. The same modules are below both."""
        self._walk(root, "", set())

    def _walk(self, module: nn.Module, path: str, ancestors: set[int]) -> None:
        key = id(module)
        known = self.paths.get(key)
        if known is None:
            self.modules.append(module)
            self.paths[key] = [path]
        elif len(known) < _PATHS_PER_MODULE:
            known.append(path)
        else:
            return
        if (
            self._is_closed is not None
            and module._modules
            and (key in self.closed or self._is_closed(module))
        ):
            self.closed.add(key)
            return
        if known is not None and self.stand_ins:
            if module._modules:
                self._first_place[path] = known[0]
            return
        # A module can contain its own parent. Following it again would never end.
        if key in ancestors:
            return
        ancestors.add(key)
        for name, child in module._modules.items():
            if child is not None:
                self._walk(child, f"{path}.{name}" if path else name, ancestors)
        ancestors.discard(key)

    def places_for(self, module: nn.Module, caller: str) -> list[str]:
        """The paths of a module for its calls by the module at path `caller`.

        For a shared module this is one of its paths, near the caller. For a stand-in it is one path for each
        call, in order.
        """
        paths = self.paths[id(module)]
        if self.stand_ins and (len(paths) > 1 or self._below_first_places(caller) != caller):
            return self._stand_in_places(paths, caller)
        if len(paths) > 1:
            for scope in _scopes(caller):
                under = [path for path in paths if path == scope or path.startswith(scope + ".")]
                if under:
                    return [min(under, key=len)]
        return paths[:1]

    def _stand_in_places(self, paths: list[str], caller: str) -> list[str]:
        for scope in (*_scopes(caller), ""):
            first = self._below_first_places(scope)
            under = [path for path in paths if not first or path == first or path.startswith(first + ".")]
            if under:
                least = min(path.count(".") for path in under)
                return [joined(scope, stripped(path, first)) for path in under if path.count(".") == least]
        return paths[:1]

    def _below_first_places(self, path: str) -> str:
        """`path`, in which the place of each stand-in is replaced by its first place, because modules are
        registered below that.
        """
        found = ""
        for name in path.split(".") if path else ():
            found = joined(found, name)
            found = self._first_place.get(found, found)
        return found

    def tensors(self) -> Iterator[tuple[dict[str, Any], str, str, Tensor, str]]:
        """(holder, key, qualified name, tensor, role) for every parameter and buffer of every module."""
        for module in self.modules:
            prefix = self.paths[id(module)][0]
            for holder, role in ((module._parameters, "parameter"), (module._buffers, "buffer")):
                for key, tensor in holder.items():
                    if tensor is not None:
                        yield holder, key, f"{prefix}.{key}" if prefix else key, tensor, role


def _scopes(path: str) -> Iterator[str]:
    """The path, and the paths of the modules around it except the root's."""
    while path:
        yield path
        path = path.rpartition(".")[0]


class CallStack:
    """The paths of the modules whose forward is running. `path` is the innermost."""

    def __init__(self, tree: ModuleTree) -> None:
        self.tree = tree
        self.path = ""
        self.types: dict[str, str] = {}
        self.failed: tuple[str, str] | None = None
        """The path of the innermost module that raised, and the shapes of its arguments."""
        self.intercept: Callable[[nn.Module, Callable[..., Any], Any, Any], Any] | None = None
        """Called instead of each forward, with that forward as an argument. Block reuse need not run it."""
        self.wrapping = _wrapping(tree.modules)
        """Ids of the modules with parameters of a class that replaces them by others during the forward, as
        FSDP2's does.
        """
        self.on_wrapping: Callable[[nn.Module, str], None] | None = None
        """Called with such a module and its path before its forward runs."""
        self.own_forwards: set[int] = set()
        """Ids of the modules whose instance has a `forward` of its own."""
        self.recorded: Callable[[], int] | None = None
        """Returns how many calls are recorded so far. None if `begun` is not needed."""
        self.begun: list[tuple[str, int]] = []
        """The path of each module whose forward ran, with how many calls were recorded when it began."""
        self.resolved: dict[tuple[int, str], str] = {}
        """The path of a module, by its id and its caller's path, where these determine it."""
        self._turns: dict[tuple[int, str], tuple[list[str], list[str]]] = {}
        """For a stand-in with several places: all places, and those that are not yet called, in reverse
        order.
        """

    def rewind(self) -> None:
        """Prepares for another forward: stand-ins are called at their first place again."""
        for _, left in self._turns.values():
            left.clear()

    def found(self, module: nn.Module, caller: str) -> str:
        """The path of a module for the call that the module at path `caller` is making now."""
        key = (id(module), caller)
        turns = self._turns.get(key)
        if turns is None:
            places = self.tree.places_for(module, caller)
            for place in places:
                self.types.setdefault(place, type_name(module))
            if len(places) == 1:
                self.resolved[key] = places[0]
                return places[0]
            turns = self._turns[key] = places[::-1], []
        every, left = turns
        if not left:
            left += every
        return left.pop()


def type_name(module: nn.Module) -> str:
    """The module's class name. In an exported program it is the class name of the original module."""
    exported = module.__dict__.get("_addercost_type")
    return str(exported) if exported else type(module).__name__


def _wrapping(modules: list[nn.Module]) -> set[int]:
    found: set[int] = set()
    for module in modules:
        for parameter in module._parameters.values():
            if parameter.__class__ not in _PLAIN_PARAMETERS and is_traceable_wrapper_subclass(parameter):
                found.add(id(module))
    return found


def _resuming(generator: Generator[Any, Any, Any], stack: CallStack, path: str) -> Generator[Any, Any, Any]:
    """The same generator. Whoever resumes it, it runs under its module's path."""
    value = None
    while True:
        caller, stack.path = stack.path, path
        try:
            made = generator.send(value)
        except StopIteration as end:
            return end.value
        finally:
            stack.path = caller
        value = yield made


@contextmanager
def tracked(tree: ModuleTree) -> Iterator[CallStack]:
    """While active, the stack has the path of every module whose forward runs, whether called through
    `__call__` or directly.

    `forward` is wrapped on the instance, because hooks do not notice a direct `.forward()`.
    """
    stack = CallStack(tree)
    for module in tree.modules:
        attributes = module.__dict__
        if "forward" in attributes:
            stack.own_forwards.add(id(module))
        attributes["forward"] = _tracking(module, module.forward, stack)
    yield stack


def _tracking(module: nn.Module, forward: Callable[..., Any], stack: CallStack) -> Callable[..., Any]:
    key, resolved, thread = id(module), stack.resolved, get_ident()
    is_wrapping = key in stack.wrapping

    def call(*args: Any, **kwargs: Any) -> Any:
        if get_ident() != thread:
            raise used_elsewhere(type_name(module))
        caller = stack.path
        path = resolved.get((key, caller))
        if path is None:
            path = stack.found(module, caller)
        stack.path = path
        if stack.recorded is not None:
            stack.begun.append((path, stack.recorded()))
        if is_wrapping and stack.on_wrapping is not None:
            stack.on_wrapping(module, path)
        try:
            intercept = stack.intercept
            if intercept is not None:
                out = intercept(module, forward, args, kwargs)
            else:
                out = forward(*args, **kwargs)
            return _resuming(out, stack, path) if out.__class__ is GeneratorType else out
        except BaseException:
            if stack.failed is None:
                shapes = ["x".join(map(str, value.shape)) for value in args if isinstance(value, Tensor)]
                stack.failed = (stack.path, ", ".join(shapes))
            raise
        finally:
            stack.path = caller

    # `inspect` needs only this to find the signature. functools.wraps copies more and takes several times as
    # long.
    call.__wrapped__ = forward  # type: ignore[attr-defined]
    return call


def replace_tensors(
    tree: ModuleTree, substitute: Callable[[Tensor], Tensor]
) -> Mapping[int, tuple[str, str, Tensor]]:
    """Puts `substitute(tensor)` in place of every parameter and buffer. Tied ones share one substitute.

    Returns (qualified name, role, substitute) by the id of the substitute. Use within
    `caller_state.unchanged`.
    """
    made: dict[int, Tensor] = {}
    names: dict[int, tuple[str, str, Tensor]] = {}
    # The originals stay alive until the end, so that no substitute gets the id of a freed original.
    originals = list(tree.tensors())
    for holder, key, name, tensor, role in originals:
        new = made.get(id(tensor))
        if new is None:
            new = made[id(tensor)] = substitute(tensor)
            names[id(new)] = (name, role, new)
        holder[key] = new
    return names


def replace_data_free_attributes(tree: ModuleTree, substitute: Callable[[Tensor], Tensor]) -> None:
    """Puts `substitute(tensor)` in place of the data-free tensors that are plain attributes of modules. Use
    within `caller_state.unchanged`.
    """
    for module in tree.modules:
        for name, value in module.__dict__.items():
            if isinstance(value, Tensor) and value.is_meta:
                module.__dict__[name] = substitute(value)
