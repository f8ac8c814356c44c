"""A language model by its GGUF file: its shapes, its weights' formats, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from addercost.cli import run
from tests.sources.test_gguf import TEXT, entry, file, tensor

H, INNER, LAYERS, VOCABULARY = 256, 512, 2, 64
"""Rows are whole blocks of 256 weights. Two of four heads of 64 have keys and values."""

Q4_K, Q6_K, F16 = 12, 14, 1
BYTES = {Q4_K: 144 / 256, Q6_K: 210 / 256, F16: 2}


def llama(
    tmp_path: Path,
    settings: dict[str, int] | None = None,
    value: int = Q6_K,
    name: str = "llama",
    table: int = F16,
) -> Path:
    """attn_v is of type `value`, the table of tokens of type `table`, the output layer in 16 bits, everything
    else is Q4_K.
    """
    numbers = {
        "block_count": LAYERS,
        "embedding_length": H,
        "feed_forward_length": INNER,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "context_length": 512,
        **(settings or {}),
    }
    entries = [entry("general.architecture", TEXT, name)]
    entries += [entry(f"{name}.{key}", 4, number) for key, number in numbers.items()]
    shapes = {
        "attn_q": (H, H), "attn_k": (H, H // 2), "attn_v": (H, H // 2), "attn_output": (H, H),
        "ffn_gate": (H, INNER), "ffn_up": (H, INNER), "ffn_down": (INNER, H),
    }  # fmt: skip
    tensors, offset = [tensor("token_embd.weight", (H, VOCABULARY), table, 0)], 2 * H * VOCABULARY
    tensors.append(tensor("output.weight", (H, VOCABULARY), F16, offset))
    offset += 2 * H * VOCABULARY
    for block in range(LAYERS):
        for layer, sizes in shapes.items():
            kind = value if layer == "attn_v" else Q4_K
            tensors.append(tensor(f"blk.{block}.{layer}.weight", sizes, kind, offset))
            offset += int(sizes[0] * sizes[1] * BYTES.get(kind, 1))
    path = tmp_path / "tiny.gguf"
    path.write_bytes(file(entries, tensors, offset + 64))
    return path


ARGUMENTS = (
    "--prompt",
    "4",
    "--context",
    "16",
    "--new",
    "0",
    "--cpu",
    "raspberry-pi-5",
    "--cost-model",
    "roofline",
)


def report(capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> dict[str, Any]:
    assert run(["llm", str(path), *ARGUMENTS, "--format", "json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_weights_count_in_the_formats_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two blocks of 5.5 H² weights in Q4_K (q, o, half of an H² for k, three of 2·H²) but for attn_v's, two
    tables of 64 rows and five norms of H in 16 bits. A token writes 2 · 2 · 2 · 64 numbers of 2 bytes.
    """
    found = report(capsys, llama(tmp_path))
    q4 = LAYERS * (2 * H * H + H * H // 2 + 3 * H * INNER)
    values = LAYERS * H * H // 2
    floats = 2 * VOCABULARY * H + (2 * LAYERS + 1) * H
    assert found["parameters"] == q4 + values + floats
    assert found["weight_bytes"] == q4 * 144 // 256 + values * 210 // 256 + 2 * floats
    token = found["phases"][1]
    assert token["cache_bytes"] == 17 * 2 * 2 * 2 * 64 * 2
    sites = q4 + values + VOCABULARY * H + LAYERS * 2 * 4 * 17 * 64
    assert token["mac_sites"] == sites


def test_a_stored_table_is_read_row_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A token reads one row of H weights in Q4_K, 144 bytes for 256, and brings it back: a product and a sum
    each, and for each of 8 blocks a product with its scale and one with its minimum.
    """
    wide = report(capsys, llama(tmp_path))
    narrow = report(capsys, llama(tmp_path, table=Q4_K))
    assert wide["weight_bytes"] - narrow["weight_bytes"] == VOCABULARY * H * 2 - VOCABULARY * 144
    before, after = wide["phases"][1], narrow["phases"][1]
    assert before["moved_bytes"] - after["moved_bytes"] == 2 * H - 144
    more = {kind: n - before["operations"]["fp16"][kind] for kind, n in after["operations"]["fp16"].items()}
    assert {kind: n for kind, n in more.items() if n} == {"mul": H + 2 * 8, "add": H}


def test_activations_may_be_integers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = llama(tmp_path)
    linear = LAYERS * (3 * H * H + 3 * H * INNER)
    operations = report(capsys, path, "--activations", "int8")["phases"][1]["operations"]
    assert operations["int8"]["mul"] == linear
    assert "int8" not in report(capsys, path)["phases"][1]["operations"]


def test_other_weights_may_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = report(capsys, llama(tmp_path), "--weights", "q2_k")["weight_bytes"]
    assert narrow < report(capsys, llama(tmp_path))["weight_bytes"]


@pytest.mark.parametrize(
    ("made", "code", "said"),
    [
        ({"name": "rwkv6"}, 3, "architecture rwkv6"),
        ({"name": "gemma2", "settings": {"expert_count": 8}}, 3, "architecture gemma2"),
        ({"settings": {"expert_count": 8}}, 6, "llama.expert_used_count"),
        ({"settings": {"embedding_length": 0}}, 6, "llama.embedding_length"),
        ({"settings": {"embedding_length": 1 << 30}}, 6, "llama.embedding_length"),
        ({"value": 15}, 3, "q8_k"),
    ],
    ids=["architecture", "experts of another", "experts without how many", "zero", "huge", "type"],
)
def test_one_line_says_what_is_not_made(
    tmp_path: Path, made: dict[str, Any], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["llm", str(llama(tmp_path, **made)), *ARGUMENTS]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert said in captured.err


def test_a_file_that_is_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = llama(tmp_path)
    path.write_bytes(path.read_bytes()[:-500])
    assert run(["llm", str(path), *ARGUMENTS]) == 6
    assert "cut off" in capsys.readouterr().err


def test_bits_are_those_of_the_blocks() -> None:
    """The bits that costs go by, and the bytes that a header is checked by, are of the same layouts."""
    from addercost.counts.weight_formats import WEIGHT_FORMATS
    from addercost.sources.gguf_header import BLOCKS

    layouts = {name: (elements, n_bytes) for name, elements, n_bytes in BLOCKS.values()}
    shared = WEIGHT_FORMATS.keys() & layouts.keys()
    assert {"q4_k", "q6_k", "q8_0"} <= shared
    for name in shared:
        elements, n_bytes = layouts[name]
        assert WEIGHT_FORMATS[name].bits * elements == 8 * n_bytes
