"""The type of a kind of SPEC: a frozen record of functions that recognise, load, trace and complete it. It
needs no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addercost.errors import ModelError
from addercost.input_files import check_readable

if TYPE_CHECKING:
    from torch import nn

    from addercost.results.profile import Profile
    from addercost.sources.gguf_header import GgufHeader
    from addercost.trace.input_shapes import InputShape
    from addercost.trace.inputs import ModelInputs
    from addercost.trace.record import Trace


TRUST = "ADDERCOST_TRUST"
"""The environment variable that `--trust` sets to 1: torch's own reader then takes any exported program."""


class NoSuchModelError(ModelError):
    """There is no model with that SPEC. A kind raises this error, and its caller adds a hint with the
    possible forms of a SPEC.
    """


def require_file(path: Path, largest: int = sys.maxsize) -> None:
    """Raises NoSuchModelError where there is no file, and DataError for a pipe or a device, and for a file of
    more than `largest` bytes.
    """
    if not path.exists() or path.is_dir():
        raise NoSuchModelError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}")
    check_readable(path, largest=largest)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to trace.

    inputs: the inputs that came with the model, if any. rebuild: makes the model again with real weights;
    None where that is not possible. with_values: returns a structure of the model's tensors with the values
    that the model's code gave them. with_classes: makes the model with real weights and a given number of
    classes; None where the number is fixed. inputs_for: makes the inputs of a given batch, for a training
    step or not, where a batch is more than a larger first dimension. notes: notes for the trace on these
    inputs. is_part: whether a part of the model is unused with these inputs and used with real inputs, which
    makes counts lower bounds. around: makes a context in which its forward must run. folder: the folder of
    its code, from which its forward may import more.
    """

    name: str
    model: nn.Module
    inputs: ModelInputs | None = None
    rebuild: Callable[[], nn.Module] | None = None
    with_values: Callable[[Any], Any] | None = None
    with_classes: Callable[[int], nn.Module] | None = None
    inputs_for: Callable[[int, bool], ModelInputs] | None = None
    notes: tuple[str, ...] = ()
    is_part: bool = False
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """How a SPEC is to be traced. inputs: arguments of a forward or their shapes, which replace the model's
    own. backward: trace a training step instead of a forward. tracer: one of `sources.tracing.TRACERS`.
    fuse_attention: record attention as one call, and not as the calls that torch makes of it. memory: record
    when memory is allocated and freed, if the tracer can. batch: the first dimensions of the inputs are
    multiplied by it. equal_layers: run only a few of the layers of a stack that are alike.
    """

    inputs: ModelInputs | tuple[InputShape, ...] | None = None
    backward: bool = False
    tracer: str = "dispatch"
    fuse_attention: bool = True
    memory: bool = False
    batch: int = 1
    equal_layers: bool = False

    def model_inputs(self) -> ModelInputs | None:
        """The inputs as arguments of a forward, without data. Imports torch where there are inputs."""
        if not isinstance(self.inputs, tuple):
            return self.inputs
        from addercost.trace.inputs import without_data

        return without_data(self.inputs)

    def input_shapes(self) -> tuple[InputShape, ...]:
        """The inputs as shapes. Raises ArgumentError for an argument that is no tensor."""
        if self.inputs is None or isinstance(self.inputs, tuple):
            return self.inputs or ()
        from addercost.trace.inputs import shapes_of

        return shapes_of(self.inputs)


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """What a saved profile must be, and how it is costed again. convention, arithmetic: those it must have
    been counted by, if given. cpus: the processors to estimate on instead of its own. cost_models: by default
    the best that each processor has figures for. hardware_path: a folder of further tables.
    """

    convention: str | None = None
    arithmetic: str | None = None
    cpus: tuple[str, ...] | None = None
    cost_models: tuple[str, ...] = ()
    hardware_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models of one kind by name, for kinds that can list them.

    names: the names of all models. input_shape: the shape of a model's input with a batch of one.
    published_gmacs: the multiply-adds in G that a model's authors publish, None where they publish none.
    """

    names: Callable[[], Sequence[str]]
    input_shape: Callable[[str], tuple[int, ...]]
    published_gmacs: Callable[[str], float | None] = lambda name: None


def _no_completions(incomplete: str) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class SpecKind:
    """A kind of SPEC. Making such a record imports nothing heavy; its functions import when they are called.

    name: unique; "zoo". form: how such a SPEC is written, by example; "zoo:lenet5-bn[:adder]".
    summary: the line that help texts show beside the form.
    recognises: whether a SPEC is of this kind, by its text and, where that does not decide, by the file it
    names. The first kind that recognises a SPEC takes it.

    A kind has at least one of three functions:
    load_model: the model, its weights without memory.
    load_trace: the trace, where a SPEC names one in place of a model.
    load_profile: the profile, where a SPEC names what is already counted.

    load_weights: describes a file of weights that has no forward, for commands that show the description.

    complete: the SPECs of this kind that begin with a text, for the shell's completion. suffixes: the
    suffixes of this kind's files, which the shell offers as well. catalogue: the models of this kind, where
    they can be listed. A kind with a catalogue can be swept as `name:PATTERN`.
    """

    name: str
    form: str
    summary: str
    recognises: Callable[[str], bool]
    load_model: Callable[[str], LoadedModel] | None = None
    load_trace: Callable[[str, TraceRequest], Trace] | None = None
    load_profile: Callable[[str, ProfileRequest], Profile] | None = None
    load_weights: Callable[[str], GgufHeader] | None = None
    complete: Callable[[str], Iterable[str]] = _no_completions
    suffixes: tuple[str, ...] = ()
    catalogue: Catalogue | None = None

    def __post_init__(self) -> None:
        if not (self.load_model or self.load_trace or self.load_profile):
            raise ValueError(f"the kind of SPEC {self.name!r} loads nothing")
