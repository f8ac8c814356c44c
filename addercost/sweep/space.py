"""SPACE → architectures: a Python file of one's own, the zoo, torchvision, or NAS-Bench-201.

A file of one's own defines `architectures`: a sequence, or a function that returns an iterator, of

    (name, factory, inputs)  or  (name, factory, inputs, facts)

factory: called without arguments, in a worker, it returns the module. inputs: a tensor, a tuple or a dict
as a model file's `example_inputs`, or a function from a batch size to one. facts: further columns by name,
such as `{"accuracy": 93.1}`: numbers, texts or None. An `Architecture` serves as well, and can promise more.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from addercost.errors import ArgumentError, ModelError, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from addercost.sources.kind import Catalogue

Fact = float | int | str | None
SPACE_FORMS = "space.py, zoo:*, torchvision:* (or a pattern such as torchvision:resnet*), or nasbench201"


@dataclass(frozen=True, slots=True)
class Architecture:
    """One member of a space. `make` builds it; `inputs(batch)` are its forward's positional and keyword
    arguments.

    stand_ins: a submodule may appear at several places, each standing for one of its own weights, and is
    called at them in the order in which they are registered.
    make_whole: builds it as it runs, with all of its own weights, where `make` does not.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[tuple[Any, ...], Mapping[str, Any]]]
    facts: Mapping[str, Fact] = field(default_factory=dict)
    stand_ins: bool = False
    make_whole: Callable[[], nn.Module] | None = None


@dataclass(frozen=True, slots=True)
class SpaceSource:
    """A space as it travels to a worker: how the user named it and, for a file, its text.

    A worker on another machine need not have the file.
    """

    spec: str
    text: str = ""
    folder: str = ""

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.spec.rpartition('/')[2]}\0{self.text}".encode()).hexdigest()


def space_source(spec: str) -> SpaceSource:
    """Raises ArgumentError for what is no space, ModelError for a file that cannot be read."""
    kind, _, pattern = spec.partition(":")
    if spec == "nasbench201" or (pattern and _catalogue(kind) is not None):
        return SpaceSource(spec)
    path = Path(spec)
    if path.suffix != ".py":
        raise ArgumentError(f"{spec!r} is no space", f"SPACE is one of {SPACE_FORMS}")
    try:
        return SpaceSource(spec, path.read_text(encoding="utf-8"), str(path.resolve().parent))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read {spec}: {error}", f"SPACE is one of {SPACE_FORMS}") from None


class Space:
    """An open space. Walking it in order is cheap; a sequence is also entered anywhere."""

    def __init__(self, source: SpaceSource) -> None:
        self.source = source
        self._members = _members(source)
        self._iterator: Iterator[Any] | None = None
        self._position = 0

    @property
    def size(self) -> int | None:
        return len(self._members) if isinstance(self._members, Sequence) else None

    def names(self) -> Iterator[str]:
        """Every name in order. Raises ModelError where a member is not what it should be."""
        for index, member in enumerate(self._open()):
            yield _architecture(member, index, self.source.spec).name

    def slice(self, start: int, stop: int) -> Iterator[Architecture]:
        """The members from `start` up to `stop`, fewer where the space ends before."""
        if isinstance(self._members, Sequence):
            for index in range(start, min(stop, len(self._members))):
                yield _architecture(self._members[index], index, self.source.spec)
            return
        # Chunks come in rising order, so that each worker walks a generator once and not once a chunk.
        if self._iterator is None or self._position > start:
            self._iterator, self._position = self._open(), 0
        for member in itertools.islice(self._iterator, start - self._position, stop - self._position):
            index = max(self._position, start)
            self._position = index + 1
            yield _architecture(member, index, self.source.spec)

    def _open(self) -> Iterator[Any]:
        made = self._members
        return iter(made() if callable(made) else made)


def _architecture(member: Any, index: int, where: str) -> Architecture:
    if isinstance(member, Architecture):
        return member
    if not isinstance(member, tuple) or len(member) not in (3, 4):
        raise ModelError(
            f"architecture {index} of {where} is a {type(member).__name__}",
            "yield (name, factory, inputs) or (name, factory, inputs, facts)",
        )
    name, make, inputs, *facts = member
    if not isinstance(name, str) or not callable(make):
        raise ModelError(
            f"architecture {index} of {where} is ({type(name).__name__}, {type(make).__name__}, …)",
            "yield a text and a function without arguments that makes the module",
        )
    found: dict[str, Fact] = dict(facts[0]) if facts else {}
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, int | float | str | None):
            raise ModelError(f"fact {key!r} of {name} is a {type(value).__name__}", "numbers, texts or None")
    return Architecture(name, make, _batched(inputs, name), found)


def _batched(inputs: Any, name: str) -> Callable[[int], tuple[tuple[Any, ...], Mapping[str, Any]]]:
    def at(batch: int) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        from torch import Tensor
        from torch.utils._pytree import tree_map

        from addercost.trace.inputs import as_inputs

        given = inputs(batch) if callable(inputs) and not isinstance(inputs, Tensor) else inputs
        made = as_inputs(given, name)
        if callable(inputs) and not isinstance(inputs, Tensor):
            return made.args, made.kwargs
        repeated = tree_map(lambda v: _repeated(v, batch), (made.args, dict(made.kwargs)))
        return repeated[0], repeated[1]

    return at


def _repeated(value: Any, batch: int) -> Any:
    """A tensor without data whose first dimension is `batch` times as long."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    shape = (value.shape[0] * batch, *value.shape[1:]) if value.dim() else ()
    return torch.empty(shape, dtype=value.dtype, device="meta")


def _members(source: SpaceSource) -> Any:
    kind, _, pattern = source.spec.partition(":")
    if source.spec == "nasbench201":
        return _NasBench201()
    catalogue = _catalogue(kind) if pattern else None
    return _from_file(source) if catalogue is None else _named(kind, catalogue, pattern)


def _catalogue(kind: str) -> Catalogue | None:
    """The models of a kind of SPEC, if it can list them."""
    from addercost.sources.registry import catalogued

    found = catalogued(kind)
    return found.catalogue if found is not None else None


class _NasBench201(Sequence[Architecture]):
    """All cells, named as they are published."""

    def __len__(self) -> int:
        from addercost.models.nasbench201_cells import CELLS

        return int(CELLS)

    def __getitem__(self, index: Any) -> Any:
        from addercost.models.nasbench201_cells import cell_at, cell_text

        if not 0 <= index < len(self):
            raise IndexError(index)
        operations = cell_at(index)
        make = functools.partial(_nasbench201, operations, stand_ins=True)
        whole = functools.partial(_nasbench201, operations, stand_ins=False)
        return Architecture(cell_text(operations), make, _cifar_images, stand_ins=True, make_whole=whole)


def _nasbench201(operations: Sequence[str], stand_ins: bool) -> nn.Module:
    # Imported when made: the names alone need no torch, which the sweep's own process would wait for.
    from addercost.models.nasbench201 import NasBench201

    return NasBench201(operations, stand_ins=stand_ins)


def _cifar_images(batch: int) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    import torch

    return (torch.empty(batch, 3, 32, 32, device="meta"),), {}


def _named(kind: str, catalogue: Catalogue, pattern: str) -> Sequence[Architecture]:
    """The models of a catalogue whose names fit a shell pattern."""
    known = catalogue.names()
    name, _, _ = pattern.partition(":")
    found = [item for item in known if fnmatch.fnmatchcase(item, name)]
    if not found:
        raise unknown_name(f"{kind} model", name, known)
    rest = pattern[len(name) :]
    return [_spec_architecture(f"{kind}:{item}{rest}", catalogue.input_shape, item) for item in found]


def _spec_architecture(spec: str, input_shape: Callable[[str], tuple[int, ...]], name: str) -> Architecture:
    def make() -> nn.Module:
        from addercost.sources.loading import load_model

        return load_model(spec).model

    def make_whole() -> nn.Module:
        from addercost.sources.loading import load_model

        loaded = load_model(spec)
        return loaded.rebuild() if loaded.rebuild is not None else loaded.model

    def inputs(batch: int) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        import torch

        images, *shape = input_shape(name)
        return (torch.empty((images * batch, *shape), device="meta"),), {}

    return Architecture(spec.partition(":")[2], make, inputs, make_whole=make_whole)


def _from_file(source: SpaceSource) -> Any:
    from addercost.sources.build import import_path, user_output

    module = ModuleType("_addercost_space")
    module.__file__ = source.spec
    # Dataclasses and pickling look their module up by name.
    sys.modules[module.__name__] = module
    try:
        with import_path(source.folder), user_output():
            exec(compile(source.text, source.spec, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise ModelError(f"{source.spec} raised {type(error).__name__}: {error}") from error
    members = getattr(module, "architectures", None)
    if members is None or not (callable(members) or isinstance(members, Iterable)):
        raise ModelError(
            f"{source.spec} has no `architectures`",
            "define it as a list or a generator function of (name, factory, inputs)",
        )
    if isinstance(members, Iterator):
        raise ModelError(
            f"`architectures` of {source.spec} is an iterator, which can be walked only once",
            "make it a list or a generator function",
        )
    return members
