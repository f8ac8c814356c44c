"""Reads the parts of `program.pt2`: the graph, and the header of each tensor without its data.

torch's own reader would call functions that pickles among the parts name, and load compiled libraries. So it
never gets the file. torch gets a graph that `exported_graph.py` has checked, and tensors without data. Sample
inputs are a pickle and are not read; the graph describes the inputs. A program that needs more than that
(weights or constants in pickles, objects, compiled code) is refused with the reason.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from addercost.errors import DataError
from addercost.input_files import LARGEST_TEXT_BYTES
from addercost.sources.exported_graph import UnsafeGraphError, checked_graph

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MODEL = "models/model.json"
_WEIGHTS = "data/weights/"
_CONSTANTS = "data/constants/"
_MOST_PARTS = 1_000_000


def read_program(file: Path, opened: BinaryIO, with_values: bool = False) -> torch.export.ExportedProgram:
    """The program in the opened file. Its tensors have no data, or are on the CPU. file: the name for errors.
    Raises DataError where the program needs more than reading. A damaged file raises torch's own errors.
    """
    from torch._export.serde.serialize import SerializedArtifact, deserialize

    with zipfile.ZipFile(opened) as archive:
        parts = _Parts(file, archive)
        try:
            graph = checked_graph(parts.json(_MODEL))
        except UnsafeGraphError as error:
            raise refused(file, str(error)) from None
        weights = parts.tensors(_WEIGHTS, "model_weights_config.json", with_values)
        constants = parts.tensors(_CONSTANTS, "model_constants_config.json", with_values)
    program = SerializedArtifact(json.dumps(graph).encode(), weights, constants, b"")  # type: ignore[arg-type]
    return deserialize(program)


def refused(file: Path, why: str) -> DataError:
    return DataError(
        f"{file} could run code when it is read: {why}",
        "export the model yourself, or, if you trust who made the file, give --trust",
    )


class _Parts:
    """The parts of an archive by their names. All parts are in one folder of the archive, whose name is
    arbitrary.
    """

    def __init__(self, file: Path, archive: zipfile.ZipFile) -> None:
        self._file, self._archive = file, archive
        parts = archive.infolist()
        archive.fp.seek(0, 2)  # type: ignore[union-attr]
        size = archive.fp.tell()  # type: ignore[union-attr]
        # torch stores parts without compression, so together they are no larger than the file.
        if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > size:
            raise DataError(f"{file} is not an exported program: its parts are larger than it")
        self._parts = {part.filename.partition("/")[2]: part for part in parts}

    def json(self, name: str) -> Any:
        part = self._parts.get(name)
        if part is None:
            if "serialized_exported_program.json" in self._archive.namelist():
                raise refused(self._file, "torch before 2.8 wrote it, as pickles")
            raise DataError(
                f"{self._file} is not an exported program: it has no {name}",
                "make it with torch.export.save(torch.export.export(model, inputs), file)",
            )
        if part.file_size > LARGEST_TEXT_BYTES:
            raise DataError(f"{self._file}: its part {name} has {part.file_size:,} bytes")
        try:
            return json.loads(self._archive.read(part))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self._file}: its part {name} is no JSON: {error}") from None

    def tensors(self, folder: str, configuration: str, with_values: bool) -> dict[str, Tensor]:
        """The tensors that a configuration names. Tensors in one part share memory, as they did before the
        export.
        """
        import torch

        entries = self.json(folder + configuration)["config"]
        storages: dict[str, Tensor] = {}
        tensors = {}
        for name, entry in entries.items():
            path = entry["path_name"]
            if entry["use_pickle"] or not path.startswith(("weight_", "tensor_")):
                raise refused(self._file, f"{name} is a pickle or an object of a library")
            header = entry["tensor_meta"]
            dtype = _dtype(header["dtype"])
            if path not in storages:
                storages[path] = self._storage(folder + path, dtype, with_values)
            sizes, strides = ([_number(one) for one in header[key]] for key in ("sizes", "strides"))
            tensor = torch.as_strided(storages[path], sizes, strides, _number(header["storage_offset"]))
            tensors[name] = (
                torch.nn.Parameter(tensor, requires_grad=bool(header["requires_grad"]))
                if entry["is_param"]
                else tensor
            )
        return tensors

    def _storage(self, name: str, dtype: torch.dtype, with_values: bool) -> Tensor:
        import torch

        part = self._parts.get(name)
        if part is None:
            raise DataError(f"{self._file} is not an exported program: it has no {name}")
        if with_values and part.file_size:
            return torch.frombuffer(bytearray(self._archive.read(part)), dtype=dtype)
        return torch.empty(
            part.file_size // dtype.itemsize, dtype=dtype, device="cpu" if with_values else "meta"
        )


def _dtype(number: int) -> torch.dtype:
    from torch._export.serde.schema import ScalarType
    from torch._export.serde.serialize import deserialize_scalar_type

    return deserialize_scalar_type(ScalarType(number))


def _number(value: Mapping[str, object]) -> int:
    number = value["as_int"]
    if not isinstance(number, int):
        raise TypeError(f"{str(number)[:80]!r} is no size")
    return number
