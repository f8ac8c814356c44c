"""`addercost llm`: what a text costs, and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from addercost.cli import run
from addercost.language_models import _longest_within
from addercost.sources.text_decoder import TextDecoder

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 128,
    "dtype": "bfloat16",
}
H, INNER, VOCABULARY = 32, 48, 64
WEIGHTS = 2 * (3 * H * H + 3 * H * INNER)
"""Of the linear layers in two blocks: k and v have half as many as q and o each."""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    return f"hf:{tmp_path}"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["llm", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


SHORT = (
    "--prompt",
    "8",
    "--context",
    "16",
    "--new",
    "4",
    "--cpu",
    "amd-zen4@4GHz+20GB/s",
    "--cost-model",
    "roofline",
)


def rows(capsys: pytest.CaptureFixture[str], spec: str, *more: str) -> list[dict[str, Any]]:
    code, out, _ = said(capsys, spec, *SHORT, "--format", "json", *more)
    assert code == 0
    report = json.loads(out)
    found: list[dict[str, Any]] = [
        {**phase, "seconds": phase["costs"][0]["seconds"]} for phase in report["phases"]
    ]
    return found + report["texts"]


def test_a_text_is_its_prompt_and_its_tokens(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Four tokens after a prompt of 8: the prompt gives the first; those after 8, 9 and 10 are the others."""
    phases = rows(capsys, spec)
    assert [row.get("phase") for row in phases] == ["prefill", "decode", None]
    total = phases[0]["seconds"]
    for context in (8, 9, 10):
        total += rows(capsys, spec, "--context", str(context), "--new", "0")[1]["seconds"]
    assert phases[2]["seconds"] == pytest.approx(total, rel=1e-9)


def test_a_token_moves_all_weights_whatever_the_batch(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The bytes of two batches differ by what a text has: the weights are in neither difference."""
    found = rows(capsys, spec, "--batch", "1,2,3", "--new", "0")
    one, two, three = (row for row in found if row["phase"] == "decode")
    assert two["moved_bytes"] - one["moved_bytes"] == three["moved_bytes"] - two["moved_bytes"]
    assert 2 * one["moved_bytes"] - two["moved_bytes"] >= 2 * (WEIGHTS + H * VOCABULARY)
    assert two["mac_sites"] == 2 * one["mac_sites"]


def test_weights_and_cache_in_fewer_bits(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """bf16 to q8_0 takes (16 - 8.5) / 8 bytes off every weight of a linear layer. Keys and values of int8
    have a scale of two bytes for each of 2 · 2 · 2 vectors of 8 a token.
    """
    before = rows(capsys, spec, "--new", "0")[1]
    after = rows(capsys, spec, "--new", "0", "--weights", "q8_0")[1]
    assert before["moved_bytes"] - after["moved_bytes"] == (WEIGHTS + H * VOCABULARY) * 7.5 / 8
    narrow = rows(capsys, spec, "--new", "0", "--cache", "int8")[1]
    assert before["cache_bytes"] == 17 * 8 * 8 * 2
    assert narrow["cache_bytes"] == 17 * 8 * (8 + 2)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--context", "128"), 2, "positions for 128 tokens"),
        (("--activations", "int8"), 2, "--weights"),
        (("--weights", "q4"), 2, "q4_0"),
        (("--weights", "int4", "--as", "lut"), 2, "layers in lut store their weights"),
        (("--batch", "1,,2"), 2, "--batch"),
        (("--source", "8"), 2, "no encoder"),
        (("--weights", "fp16", "--dtype", "fp32"), 2, "contradict"),
        (("--timeout", "0.001"), 4, "takes longer than 0.001 s"),
        (("--cpu", "cortex-a53", "--cost-model", "throughput"), 2, "--clock"),
    ],
    ids=[
        "positions",
        "activations alone",
        "unknown format",
        "weights of an arithmetic",
        "batch",
        "source",
        "two formats",
        "timeout",
        "no clock",
    ],
)
def test_one_line_says_what_is_wrong(
    spec: str, arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = said(capsys, spec, *(SHORT[:6] if "--cpu" in arguments else SHORT), *arguments)
    assert (found, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1


def test_what_does_not_fit_says_what_would(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """39,232 bytes of weights (2 · 19,616), and 128 of cache a token (2 layers · 2 · 2 heads · 8 · 2 bytes):
    50,000 bytes hold 84 tokens.
    """
    _, out, _ = said(capsys, spec, *SHORT, "--context", "99", "--ram", "50k", "--format", "json")
    (line,) = (note for note in json.loads(out)["notes"] if "--ram" in note)
    assert "texts of 84 tokens would fit" in line
    _, out, _ = said(capsys, spec, *SHORT, "--ram", "50k", "--format", "json")
    assert not any("--ram" in note for note in json.loads(out)["notes"])


@pytest.mark.parametrize(
    ("values", "new", "ram", "n_traces"),
    [
        # A prompt, a context and a token after it; a text adds a token after the prompt, and a length between
        # its ends, whose cache is a trace too.
        pytest.param(LLAMA, 0, "1G", 3, id="two phases"),
        pytest.param(LLAMA, 40, "1G", 6, id="text"),
        # Of the cache, the line between no token and all gives the length; the next one is too long.
        pytest.param(LLAMA, 0, "48k", 5, id="memory", marks=pytest.mark.exhaustive),
        pytest.param(LLAMA, 0, "1k", 3, id="weights alone are too large"),
        # 31 tokens are kept at most, and 21 fit: 70, 48, 24 (half of 48), 21 and 22 tokens.
        pytest.param({**LLAMA, "model_type": "mistral", "sliding_window": 32}, 0, "42k", 8, id="window"),
    ],
)
def test_few_lengths_are_traced(
    values: dict[str, Any],
    new: int,
    ram: str,
    n_traces: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(values))
    traced: list[None] = []
    trace = TextDecoder._traced

    def noted(self: TextDecoder, *args: Any) -> Any:
        traced.append(None)
        return trace(self, *args)

    monkeypatch.setattr(TextDecoder, "_traced", noted)
    given = ("--prompt", "8", "--context", "100", "--new", str(new), "--cpu", "raspberry-pi-5", "--ram", ram)
    assert run(["llm", str(tmp_path), *given]) == 0
    assert len(traced) == n_traces


@pytest.mark.parametrize(
    ("kept", "room", "fits"),
    [
        pytest.param(lambda n: 7 * n, 7 * 431, 431, id="each token alike"),
        pytest.param(lambda n: 7 * n, 7 * 431 - 1, 430, id="a byte less"),
        pytest.param(lambda n: 1000 + 7 * n, 1006, 0, id="not one token"),
        pytest.param(lambda n: 1000 + 7 * n, 999, 0, id="no weights"),
        pytest.param(lambda n: 99 * min(n, 32) + n, 99 * 32 + 700, 700, id="window ended"),
        pytest.param(lambda n: 99 * min(n, 32) + n, 100 * 17, 17, id="within the window"),
        pytest.param(lambda n: n * n, 555 * 555, 555, id="ever more"),
    ],
)
def test_the_longest_text_that_fits(kept: Callable[[int], int], room: int, fits: int) -> None:
    """Against a search of every length, which is done in a few steps, even where no line is followed."""
    asked: set[int] = set()

    def needed(tokens: int) -> int:
        asked.add(tokens)
        return kept(tokens)

    assert _longest_within(needed, 1000, room) == fits
    assert fits == max((n for n in range(1, 1000) if kept(n) <= room), default=0)
    assert len(asked) <= 24


def test_the_first_line_is_the_answer(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, spec, *SHORT)
    assert "a token after 16 others takes" in " ".join(out.split())[:200]


def test_the_memory_of_a_gpu_is_known(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Two million texts with 128 bytes of cache a token: 24 GB without 39,232 bytes of weights hold 93
    tokens of each.
    """
    many = ("--prompt", "8", "--new", "0", "--batch", "2000000", "--context", "99", "--cpu", "none")
    _, out, _ = said(capsys, spec, *many, "--gpu", "rtx-3090", "--format", "json")
    (line,) = (note for note in json.loads(out)["notes"] if "rtx-3090" in note)
    assert "24 GB of rtx-3090; texts of 93 tokens would fit" in line


def test_the_usual_context_is_one_that_the_model_takes(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """128 positions are 127 tokens and the one that is written. The folder alone names the model, too."""
    short = ("--prompt", "8", "--new", "0", "--cpu", "none", "--format", "json")
    _, out, _ = said(capsys, spec.removeprefix("hf:"), *short)
    assert json.loads(out)["context"] == 127


def test_floats_are_formats_of_the_whole_model(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    short = ("--prompt", "8", "--new", "0", "--cpu", "none", "--format", "json")
    narrow, wide = (
        json.loads(said(capsys, spec, *short, "--weights", form)[1])["weight_bytes"]
        for form in ("bf16", "fp32")
    )
    assert wide == 2 * narrow


def test_its_json_is_read_back(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "saved.json"
    code, table, _ = said(capsys, spec, *SHORT)
    assert said(capsys, spec, *SHORT, "--format", "json", "-o", str(saved))[0] == code == 0
    assert said(capsys, str(saved))[1] == table
    assert said(capsys, str(saved), "--format", "json")[1] == saved.read_text()
    damaged = json.loads(saved.read_text())
    damaged["phases"][0]["batch"] = "one"
    saved.write_text(json.dumps(damaged))
    code, out, err = said(capsys, str(saved))
    assert (code, out) == (6, "")
    assert "phases[0].batch" in err


def test_a_column_for_each_class_and_format(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They add up to the operations. Of a token the most that is in use at once is the feed-forward's: in
    bf16 at least its 48 gated numbers and as many that they are multiplied with.
    """
    (_, decode, _) = rows(capsys, spec)
    _, out, _ = said(capsys, spec, *SHORT, "--format", "csv")
    row = list(csv.DictReader(line for line in out.splitlines() if not line.startswith("#")))[1]
    for number_format, by_class in decode["operations"].items():
        for op_class, n in by_class.items():
            assert int(row[f"{op_class}_{number_format}"]) == n
    assert int(row["operations"]) == sum(sum(kinds.values()) for kinds in decode["operations"].values())
    assert int(row["activation_bytes"]) >= 2 * 2 * INNER


def test_the_cache_is_no_activation(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A token more in the cache is 128 bytes of each text, and what the next one passes on is the same."""
    many = ("--new", "0", "--batch", "100000")
    short, long = (
        rows(capsys, spec, "--context", context, *many)[1]["activation_bytes"] for context in ("16", "17")
    )
    assert long == short


@pytest.mark.parametrize(
    ("board", "size"),
    [
        pytest.param("raspberry-pi-zero-2-w", "537 MB", marks=pytest.mark.exhaustive),
        ("rp2350", "532 kB"),
        pytest.param("pixel-8", "8.59 GB", marks=pytest.mark.exhaustive),
    ],
    ids=str,
)
def test_the_memory_of_a_board_is_known(
    spec: str, board: str, size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """512 MiB, 520 KiB of SRAM and 8 GiB: a million texts with 128 bytes of cache a token are more."""
    many = ("--prompt", "8", "--new", "0", "--batch", "1000000", "--context", "99", "--cpu", board)
    _, out, _ = said(capsys, spec, *many, "--cost-model", "throughput", "--format", "json")
    (line,) = (note for note in json.loads(out)["notes"] if board in note)
    assert f"more than the {size} of {board}" in line


ON_AN_ARRAY = ("--prompt", "8", "--accelerator", "eyeriss-like", "--format", "json")


def on_an_array(capsys: pytest.CaptureFixture[str], spec: str, *more: str) -> dict[str, Any]:
    code, out, _ = said(capsys, spec, *ON_AN_ARRAY, *more)
    assert code == 0
    report: dict[str, Any] = json.loads(out)
    return report


def test_a_text_on_an_accelerator(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Four tokens after a prompt of 8: the prompt gives the first; those after 8 and 10 were traced, and the
    one after 9 is halfway between them.
    """
    report = on_an_array(capsys, spec, "--context", "10", "--new", "4")
    assert [cost["model"] for phase in report["phases"] for cost in phase["costs"]] == ["array", "array"]
    prompt, after_10 = (phase["costs"][0]["seconds"] for phase in report["phases"])
    after_8 = on_an_array(capsys, spec, "--context", "8", "--new", "0")["phases"][1]["costs"][0]["seconds"]
    expected = prompt + after_8 + (after_8 + after_10) / 2 + after_10
    assert report["texts"][0]["seconds"] == pytest.approx(expected, rel=1e-9)
    assert "its array" in said(capsys, spec, *ON_AN_ARRAY[:-2], "--context", "8", "--new", "0")[1]


def test_a_prompt_on_an_accelerator_is_that_of_a_profile(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A forward over 8 tokens has the same products, whoever asks."""
    phase, _ = on_an_array(capsys, spec, "--context", "8", "--new", "0")["phases"]
    saved = tmp_path / "profile.json"
    tokens = ("--input", "1x8:int64", "--format", "json", "-o", str(saved))
    assert run(["profile", spec, "--accelerator", "eyeriss-like", *tokens]) == 0
    (profiled,) = json.loads(saved.read_text())["accelerators"]
    assert phase["costs"][0]["seconds"] <= profiled["seconds"], "a prompt computes one token's scores"
    assert phase["energies"][0]["joules"] > 0


def test_a_missing_figure_is_one_line(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """VIA's table has no exp: its two forwards at two batch sizes lack the same."""
    lacking = ("--cpu", "via-nano-2000@1GHz", "--cost-model", "throughput", "--batch", "1,2")
    _, out, _ = said(capsys, spec, "--prompt", "8", "--context", "16", "--new", "0", *lacking)
    lines = " ".join(out.split()).split("a lower bound: ")[1:]
    assert len(lines) == len({line.partition(": ")[0] for line in lines})
    assert "in a prompt" in lines[0] and "in a token at batch 1" in lines[0] and "decode" not in out


def test_an_energy_that_is_a_lower_bound_says_what_it_lacks(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has no energies of bf16. A token takes a product at each of its sites, and more."""
    found = rows(capsys, spec, "--new", "0", "--energy", "45nm")[1]
    (energy,) = found["energies"]
    (mul,) = (text for text in energy["missing"] if "mul (bf16)" in text)
    charged = found["operations"]["bf16"]["mul"]
    assert not energy["complete"] and charged >= found["mac_sites"]
    assert mul == f"45nm has no figure for the energy of mul (bf16): {charged:,} not charged"
    _, out, _ = said(capsys, spec, *SHORT, "--new", "0", "--energy", "45nm")
    assert "a lower bound: 45nm has no figure for the energy of mul (bf16)" in " ".join(out.split())
