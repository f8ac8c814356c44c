"""Which module made a call, under which path, and a model that is afterwards exactly what it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

_PATHS_PER_MODULE = 4096
"""Nested sharing can give one module exponentially many paths; past this many the first ones serve."""


class ModuleTree:
    """Every module reachable from `root`, with all the paths under which it is registered.

    closed: modules whose children are left out; those that were are in `closed`.
    """

    def __init__(self, root: nn.Module, closed: Callable[[nn.Module], bool] | None = None) -> None:
        self.root = root
        self.modules: list[nn.Module] = []
        self.paths: dict[int, list[str]] = {}
        self.closed: set[int] = set()
        self._is_closed = closed
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
        # A module can hold its own parent; following that edge would never end.
        if key in ancestors:
            return
        ancestors.add(key)
        for name, child in module._modules.items():
            if child is not None:
                self._walk(child, f"{path}.{name}" if path else name, ancestors)
        ancestors.discard(key)

    def path_for(self, module: nn.Module, caller: str) -> str:
        """The module's path as seen from the module at path `caller`: shared modules belong to who calls."""
        paths = self.paths[id(module)]
        if len(paths) == 1 or not caller:
            return paths[0]
        scope = caller
        while scope:
            under = [path for path in paths if path == scope or path.startswith(scope + ".")]
            if under:
                return min(under, key=len)
            scope = scope.rpartition(".")[0]
        return paths[0]

    def tensors(self) -> Iterator[tuple[dict[str, Any], str, str, Tensor, str]]:
        """(holder, key, qualified name, tensor, role) for every parameter and buffer of every module."""
        for module in self.modules:
            prefix = self.paths[id(module)][0]
            for holder, role in ((module._parameters, "parameter"), (module._buffers, "buffer")):
                for key, tensor in holder.items():
                    if tensor is not None:
                        yield holder, key, f"{prefix}.{key}" if prefix else key, tensor, role


class CallStack:
    """The paths of the modules whose forward is running. The innermost is `path`."""

    def __init__(self, tree: ModuleTree) -> None:
        self.tree = tree
        self.path = ""
        self.types: dict[str, str] = {}
        self.failed: tuple[str, str] | None = None
        """The innermost module that raised, and what it was given."""
        self.intercept: Callable[[nn.Module, Callable[..., Any], Any, Any], Any] | None = None
        """Called in the place of each forward, with the forward: block reuse answers without running it."""
        self._resolved: dict[tuple[int, str], str] = {}

    def enter(self, module: nn.Module) -> str:
        """Makes `module` the innermost one; returns the path to give back to `leave`."""
        caller = self.path
        key = (id(module), caller)
        path = self._resolved.get(key)
        if path is None:
            path = self._resolved[key] = self.tree.path_for(module, caller)
            self.types.setdefault(path, type_name(module))
        self.path = path
        return caller


def type_name(module: nn.Module) -> str:
    # Modules unflattened from an exported program carry the class they were exported from.
    exported = module.__dict__.get("_addercost_type")
    return str(exported) if exported else type(module).__name__


@contextmanager
def tracked(tree: ModuleTree) -> Iterator[CallStack]:
    """While active, every module's forward, called through `__call__` or directly, shows on the stack.

    Wrapping `forward` on the instance rather than registering hooks is what makes `.forward()` visible.
    """
    stack = CallStack(tree)
    for module in tree.modules:
        module.__dict__["forward"] = _tracking(module, module.forward, stack)
    yield stack


def _tracking(module: nn.Module, forward: Callable[..., Any], stack: CallStack) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        caller = stack.enter(module)
        try:
            if stack.intercept is not None:
                return stack.intercept(module, forward, args, kwargs)
            return forward(*args, **kwargs)
        except BaseException:
            if stack.failed is None:
                shapes = ["x".join(map(str, value.shape)) for value in args if isinstance(value, Tensor)]
                stack.failed = (stack.path, ", ".join(shapes))
            raise
        finally:
            stack.path = caller

    # All that inspect needs for the signature; functools.wraps copies more, at several times the cost.
    call.__wrapped__ = forward  # type: ignore[attr-defined]
    return call


@contextmanager
def unchanged(tree: ModuleTree) -> Iterator[None]:
    """Puts back every module's attributes, tensors, mode and class on leaving, after an exception too.

    Plain lists, dicts and sets that a module holds are restored in place; deeper objects are not copied.
    """
    states = [(module, _Snapshot(module)) for module in tree.modules]
    try:
        yield
    finally:
        for module, state in states:
            state.restore(module)


class _Snapshot:
    def __init__(self, module: nn.Module) -> None:
        self.type = type(module)
        self.attributes = dict(module.__dict__)
        self.contents: list[tuple[Any, Any]] = [
            (value, value.copy())
            for value in self.attributes.values()
            if isinstance(value, list | dict | set)
        ]

    def restore(self, module: nn.Module) -> None:
        if type(module) is not self.type:
            module.__class__ = self.type
        module.__dict__.clear()
        module.__dict__.update(self.attributes)
        for container, content in self.contents:
            if isinstance(container, list):
                container[:] = content
            else:
                container.clear()
                container.update(content)


def replace_tensors(
    tree: ModuleTree, substitute: Callable[[Tensor], Tensor]
) -> Mapping[int, tuple[str, str, Tensor]]:
    """Puts `substitute(tensor)` in the place of every parameter and buffer, tied ones once.

    Returns (qualified name, role, substitute) by the id of the substitute. Use within `unchanged`.
    """
    made: dict[int, Tensor] = {}
    names: dict[int, tuple[str, str, Tensor]] = {}
    # A substitute must not reuse the id of a freed original, so originals are held until the end.
    originals = list(tree.tensors())
    for holder, key, name, tensor, role in originals:
        new = made.get(id(tensor))
        if new is None:
            new = made[id(tensor)] = substitute(tensor)
            names[id(new)] = (name, role, new)
        holder[key] = new
    return names
