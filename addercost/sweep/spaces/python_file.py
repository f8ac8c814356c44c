"""A user's space: a Python file that defines `architectures`.

`architectures` is a sequence, or a function that returns an iterator, of

    (name, factory, inputs)  or  (name, factory, inputs, facts)

factory: returns the module; a worker calls it without arguments. inputs: a tensor, a tuple or a dict, like a
model file's `example_inputs`, or a function of the batch size that returns one of these. facts: further
columns by name, such as `{"accuracy": 93.1}`, with numbers, texts or None. A member may also be an
`Architecture`, which has more fields.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from addercost.errors import ModelError
from addercost.sweep.spaces.source import SpaceSource


def file_members(source: SpaceSource) -> Any:
    """`architectures` of the file. Raises ModelError where the file raises or has none."""
    from addercost.sources.build import import_path, user_output

    module = ModuleType("_addercost_space")
    module.__file__ = source.spec
    # Dataclasses and pickle look modules up by name.
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
