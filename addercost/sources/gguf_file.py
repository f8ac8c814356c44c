"""`model.gguf`: the weights of a language model with its metadata, and no forward that could be traced."""

from __future__ import annotations

from pathlib import Path

from addercost.errors import ModelError
from addercost.sources.gguf_header import GgufHeader, read_gguf
from addercost.sources.kind import LoadedModel, SpecKind, require_file

SUFFIX = ".gguf"


def _header(spec: str) -> GgufHeader:
    path = Path(spec)
    require_file(path)
    return read_gguf(path)


def _refuse(spec: str) -> LoadedModel:
    header = _header(spec)
    raise ModelError(
        f"{spec} holds the weights of a model ({header.architecture or 'of an unnamed architecture'}, "
        f"{header.parameters:,} parameters) and no forward to count",
        "`addercost profile` shows what it holds; name its configuration to count it, such as hf:llama",
    )


GGUF_FILE = SpecKind(
    name="gguf",
    form="model.gguf",
    summary="weights of a language model: profile shows architecture, parameters and bytes by type",
    recognises=lambda spec: spec.endswith(SUFFIX),
    load_model=_refuse,
    load_weights=_header,
    suffixes=(SUFFIX,),
)
