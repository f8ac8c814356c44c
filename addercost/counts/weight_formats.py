"""Formats in which weights are stored: their bits, and the operations that convert them or scale their sums.

A quantised weight is a small integer q. The weights of a block share a scale d, and in some formats a
smallest value m, so that w = d·q + m. There are two ways to compute with them. *dequantise*: once in each
forward, every weight is converted back to the format of the activations, and products are in that format.
*integer dot*: activations are rounded to int8 at run time, the products and sums of a block are integers, and
each output is multiplied by a scale (and a smallest value is added) for every block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from addercost.errors import unknown_name
from addercost.trace.record import TensorSpec

INTEGER_DOT = "int8"
"""The name of the second way, after its activations. Without a name, weights are converted back."""


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """One format.

    dtype: of the stored tensor; `trace.record` knows its bits. block: how many weights share a scale; 0 means
    all weights of an output. has_minimum: they also share a smallest value. shifted: q is stored as a number
    from 0 up, and a middle value is subtracted from it. nested: the scale and smallest value of a block are
    themselves small integers times one of a larger block. source: where the format is published.
    """

    name: str
    dtype: str
    source: str
    block: int = 0
    has_minimum: bool = False
    shifted: bool = False
    nested: bool = False

    @property
    def bits(self) -> float:
        return TensorSpec((), self.dtype).item_bits

    def blocks(self, inputs: int) -> int:
        """The number of blocks among the weights of an output with this many inputs."""
        return -(-inputs // self.block) if self.block else 1


_GGML = "llama.cpp, ggml-common.h, block_"

WEIGHT_FORMATS: Mapping[str, WeightFormat] = {
    item.name: item
    for item in (
        WeightFormat("fp8", "float8_e4m3fn", "Micikevicius et al., 2022 (E4M3), a scale an output"),
        WeightFormat("int8", "int8", "Dettmers et al., NeurIPS 2022, a scale an output"),
        WeightFormat("int4", "int4_g128", "Frantar et al., ICLR 2023 (GPTQ), groups of 128", 128, True),
        WeightFormat("q8_0", "q8_0", f"{_GGML}q8_0: 34 bytes for 32", 32),
        WeightFormat("q6_k", "q6_k", f"{_GGML}q6_K: 210 bytes for 256", 16, shifted=True, nested=True),
        WeightFormat("q5_k", "q5_k", f"{_GGML}q5_K: 176 bytes for 256", 32, True, nested=True),
        WeightFormat("q4_k", "q4_k", f"{_GGML}q4_K: 144 bytes for 256", 32, True, nested=True),
        WeightFormat("q4_0", "q4_0", f"{_GGML}q4_0: 18 bytes for 32", 32, shifted=True),
        WeightFormat("q2_k", "q2_k", f"{_GGML}q2_K: 84 bytes for 256", 16, True, nested=True),
        WeightFormat("q5_1", "q5_1", f"{_GGML}q5_1: 24 bytes for 32", 32, True),
        WeightFormat("q5_0", "q5_0", f"{_GGML}q5_0: 22 bytes for 32", 32, shifted=True),
        WeightFormat("q4_1", "q4_1", f"{_GGML}q4_1: 20 bytes for 32", 32, True),
        WeightFormat("q3_k", "q3_k", f"{_GGML}q3_K: 110 bytes for 256", 16, shifted=True, nested=True),
        WeightFormat("iq4_nl", "iq4_nl", f"{_GGML}iq4_nl: 18 bytes for 32, q by a table of 16", 32),
        WeightFormat("mxfp4", "mxfp4", f"{_GGML}mxfp4: 17 bytes for 32, q by a table of 16", 32),
        WeightFormat("tq2_0", "tq2_0", f"{_GGML}tq2_0: 66 bytes for 256", 256, shifted=True),
        WeightFormat("tq1_0", "tq1_0", f"{_GGML}tq1_0: 54 bytes for 256", 256, shifted=True),
        WeightFormat("iq4_xs", "iq4_xs", f"{_GGML}iq4_xs: 136 bytes for 256, q by a table", 32, nested=True),
        WeightFormat("iq3_s", "iq3_s", f"{_GGML}iq3_s: 110 bytes for 256, 4 q by a table", 32, nested=True),
        WeightFormat(
            "iq3_xxs", "iq3_xxs", f"{_GGML}iq3_xxs: 98 bytes for 256, 4 q by a table", 32, nested=True
        ),
        WeightFormat("iq2_s", "iq2_s", f"{_GGML}iq2_s: 82 bytes for 256, 8 q by a table", 16, nested=True),
        WeightFormat("iq2_xs", "iq2_xs", f"{_GGML}iq2_xs: 74 bytes for 256, 8 q by a table", 16, nested=True),
        WeightFormat(
            "iq2_xxs", "iq2_xxs", f"{_GGML}iq2_xxs: 66 bytes for 256, 8 q by a table", 32, nested=True
        ),
        WeightFormat(
            "iq1_m", "iq1_m", f"{_GGML}iq1_m: 56 bytes for 256, 8 q by a table", 16, shifted=True, nested=True
        ),
        WeightFormat(
            "iq1_s", "iq1_s", f"{_GGML}iq1_s: 50 bytes for 256, 8 q by a table", 32, shifted=True, nested=True
        ),
        WeightFormat("nvfp4", "nvfp4", f"{_GGML}nvfp4: 36 bytes for 64, q by a table of 16", 16),
        WeightFormat("q1_0", "q1_0", f"{_GGML}q1_0: 18 bytes for 128, q is 1 or -1", 128),
        WeightFormat("ternary", "ternary", "Ma et al., 2024 (BitNet b1.58), 2 bits, one scale"),
    )
}

BY_DTYPE = {item.dtype: item for item in WEIGHT_FORMATS.values()}


def _q4_k_m(path: str, number: int, layers: int) -> str:
    """More bits where llama.cpp's `Q4_K_M` uses them: for the output layer and, in half of a model's blocks,
    for the values of attention and the second product of the feed-forward layer.

    Source: llama.cpp, llama-quant.cpp, `use_more_bits`: the first and the last eighth of the blocks, and
    every third one between.
    """
    name = path.rpartition(".")[2]
    if name in ("lm_head", "output", "embed_out"):
        return "q6_k"
    more = number < layers // 8 or number >= 7 * layers // 8 or (number - layers // 8) % 3 == 2
    return "q6_k" if more and name in ("v_proj", "down_proj", "w2", "fc2", "dense_4h_to_h") else "q4_k"


MIXTURES: Mapping[str, Callable[[str, int, int], str]] = {"q4_k_m": _q4_k_m}
"""Formats that differ between layers, as functions of a layer's path, its block's number, and the number of
blocks.
"""


def checked_format(name: str) -> str:
    """The same name. Raises ArgumentError, with the nearest names, for an unknown one."""
    if name not in WEIGHT_FORMATS and name not in MIXTURES:
        raise unknown_name("weight format", name, [*WEIGHT_FORMATS, *MIXTURES])
    return name


def format_of(name: str, path: str, number: int, blocks: int) -> WeightFormat:
    """The format of one layer. path: of its module. number: of the model's block that it is in. blocks: how
    many blocks there are.
    """
    mixture = MIXTURES.get(name)
    return WEIGHT_FORMATS[name if mixture is None else mixture(path, number, blocks)]
