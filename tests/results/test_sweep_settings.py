"""The axes of a sweep, and that its key follows from all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from addercost.errors import ArgumentError, DataError
from addercost.reading import read_as
from addercost.results.sweep_settings import SweepSettings, sweep_key

SETTINGS = SweepSettings(
    cpus=("via-nano-2000", "amd-zen4"),
    energies=("45nm",),
    arithmetics=("mac", "adder"),
    conventions=("full", "macs"),
    batches=(1, 8, 64),
    cost_model="latency-sum",
)


def test_rows_are_the_product_of_the_axes() -> None:
    """2 processors × 1 energy table × 3 batches × 2 conventions × 2 arithmetics; without hardware 1 × 12."""
    assert SETTINGS.rows_per_architecture == 24
    assert SettingsWithout.rows_per_architecture == 12
    assert SETTINGS.combinations[:3] == ((1, "full", "mac"), (1, "full", "adder"), (1, "macs", "mac"))


SettingsWithout = replace(SETTINGS, cpus=(), energies=())


def test_valid_settings_are_returned() -> None:
    assert SETTINGS.checked() == SETTINGS


@pytest.mark.parametrize(
    ("cpus", "model"),
    [
        pytest.param(("intel-skylake-x",), "roofline", id="a clock and a bandwidth"),
        pytest.param(("intel-skylake-x", "via-nano-2000"), "throughput", id="one has no bandwidth"),
        pytest.param(("rtx-3090",), "eager", id="a GPU"),
        pytest.param(("rtx-3090", "intel-skylake-x"), "roofline", id="a GPU and a CPU"),
        pytest.param((), "throughput", id="none"),
    ],
)
def test_all_processors_of_a_sweep_have_one_cost_model(cpus: tuple[str, ...], model: str) -> None:
    assert SweepSettings(cpus).checked().cost_model == model


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"cpus": ("via",)}, "unknown CPU 'via'", id="cpu"),
        pytest.param({"energies": ("44nm",)}, "unknown energy table '44nm'", id="energy"),
        pytest.param({"memories": ("drum",)}, "unknown memory of 45nm 'drum'", id="memory"),
        pytest.param({"energies": (), "memories": ("dram",)}, "changes an estimate of energy", id="free"),
        pytest.param({"arithmetics": ("add",)}, "unknown arithmetic 'add'", id="arithmetic"),
        pytest.param({"conventions": ("mac",)}, "unknown convention 'mac'", id="convention"),
        pytest.param({"cost_model": "latency"}, "unknown cost model 'latency'", id="cost-model"),
        pytest.param({"arithmetics": ()}, "at least one of its arithmetics", id="no-arithmetic"),
        pytest.param({"conventions": ()}, "at least one of its conventions", id="no-convention"),
        pytest.param({"batches": ()}, "at least one of its batches", id="no-batch"),
        pytest.param({"batches": (1, 0)}, "a batch of 0 is none", id="batch-of-none"),
        pytest.param({"chunk": -1}, "a chunk has at least one architecture", id="negative-chunk"),
    ],
)
def test_invalid_settings(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        replace(SETTINGS, **changes).checked()
    assert words in str(caught.value)


def test_a_batch_has_as_many_samples_as_torch_can_address() -> None:
    """2⁴⁰ pictures of 3 × 1,024 × 1,024 have 3·2⁶⁰ elements, which 63 bits can number and 61 cannot."""
    assert replace(SETTINGS, batches=(2**40,)).checked().batches == (2**40,)
    with pytest.raises(ArgumentError, match="a batch of 1,099,511,627,777"):
        replace(SETTINGS, batches=(1, 2**40 + 1)).checked()


@pytest.mark.parametrize(
    ("architectures", "chunk"),
    [(0, 1), (1, 1), (30, 1), (31, 2), (300, 10), (15_000, 500), (15_001, 500), (1_000_000, 500)],
)
def test_a_chunk_is_a_thirtieth_of_the_space_and_at_most_500(architectures: int, chunk: int) -> None:
    assert SETTINGS.with_chunk_for(architectures).chunk == chunk
    assert replace(SETTINGS, chunk=7).with_chunk_for(architectures).chunk == 7


def test_the_key_follows_from_everything_that_decides_the_rows() -> None:
    key = sweep_key(SETTINGS, "space", 8)
    assert sweep_key(SETTINGS, "space", 8) == key and len(key) == 64
    others = [
        sweep_key(SETTINGS, "other", 8),
        sweep_key(SETTINGS, "space", 9),
        sweep_key(replace(SETTINGS, cpus=("amd-zen4",)), "space", 8),
        sweep_key(replace(SETTINGS, energies=()), "space", 8),
        sweep_key(replace(SETTINGS, chunk=3), "space", 8),
        sweep_key(replace(SETTINGS, cost_model="throughput"), "space", 8),
    ]
    assert len({key, *others}) == 7


def test_the_key_follows_from_the_bytes_of_the_tables(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment in a table changes nothing but its bytes."""
    from addercost.hardware.loader import BUILT_IN

    monkeypatch.setenv("ADDERCOST_HARDWARE", str(tmp_path))
    for kind, name in (("cpus", "amd-zen4"), ("energy", "45nm")):
        settings = SweepSettings(cpus=("amd-zen4",), energies=("45nm",))
        before = sweep_key(settings, "space", 8)
        text = (BUILT_IN / kind / f"{name}.toml").read_text("utf-8")
        (tmp_path / f"{name}.toml").write_text(f"# mine\n{text}", "utf-8")
        assert sweep_key(settings, "space", 8) != before


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"batches": 1e400}, "batches = inf: expected a list", id="no-list"),
        pytest.param({"batches": [0]}, "batches[0] = 0: expected a whole number of at least 1", id="zero"),
        pytest.param({"chunk": "../../etc/passwd"}, "expected a whole number of at least 0", id="text"),
        pytest.param({"chunk": 1.5}, "chunk = 1.5: expected a whole number", id="fraction"),
    ],
)
def test_damaged_settings(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        read_as(SweepSettings, fields, "sweep.json")
    assert str(caught.value).startswith("sweep.json: ") and words in str(caught.value)
