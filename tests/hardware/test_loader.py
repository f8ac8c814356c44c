"""Finding tables by name, a user's folder, and what the loader refuses."""

import os

import pytest

from addercost.errors import ArgumentError, DataError
from addercost.hardware import list_hardware, load_cpu, load_file, load_hardware, loader

MINIMAL = """\
schema = 1
kind = "cpu"
title = "A processor"
vendor = "Someone"
isa = "x86-64"

[sources.own]
title = "Measured at home"
licence = "CC0-1.0"

[[instructions]]
source = "own"
quality = "measured"
table = '''
op        form    vector_bits  lanes  latency_cycles  reciprocal_throughput_cycles  instruction
fp32_mul  scalar  32           1      4               1                             mulss xmm0, xmm1
fp32_add  scalar  32           1      2               0.5                           addss xmm0, xmm1
'''
"""


def test_a_minimal_file_loads(tmp_path):
    (tmp_path / "mine.toml").write_text(MINIMAL)
    cpu = load_cpu("mine", hardware_path=tmp_path)
    assert cpu.name == "mine"
    assert [(row.op, row.latency_cycles) for row in cpu.instructions] == [("fp32_mul", 4), ("fp32_add", 2)]
    assert cpu.clock_hz is None


def replaced(old: str, new: str) -> str:
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


ROW = "fp32_mul  scalar  32           1      4               1  "


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            replaced('vendor = "S', 'colour = "red"\nvendor = "S'), "colour = 'red'", id="unknown-key"
        ),
        pytest.param(replaced('vendor = "Someone"\n', ""), "vendor is missing", id="missing-key"),
        pytest.param(
            replaced('vendor = "Someone"', "vendor = 3"), "vendor = 3: expected text", id="number-as-text"
        ),
        pytest.param(replaced("schema = 1", "schema = 7"), "schema = 7: expected 1", id="other-schema"),
        pytest.param(replaced("schema = 1", "schema = true"), "schema = True: expected 1", id="schema-true"),
        pytest.param(replaced('kind = "cpu"', 'kind = "tpu"'), "one of cpu, gpu, energy", id="unknown-kind"),
        pytest.param(
            replaced('source = "own"', 'source = "his"'), "instructions[0].source = 'his'", id="no-source"
        ),
        pytest.param(
            replaced('licence = "CC0-1.0"\n', ""), "sources.own.licence is missing", id="no-licence"
        ),
        pytest.param(replaced('"measured"', '"guessed"'), "quality = 'guessed'", id="unknown-quality"),
        pytest.param(replaced(ROW, ROW.replace(" 4 ", " 0 ")), "latency_cycles = '0':", id="zero-cycles"),
        pytest.param(
            replaced(ROW, ROW.replace(" 4 ", " -4 ")), "latency_cycles = '-4':", id="negative-cycles"
        ),
        pytest.param(replaced(ROW, ROW.replace(" 4 ", " nan ")), "a finite number", id="nan-cycles"),
        pytest.param(replaced(ROW, ROW.replace(" 4 ", " 1e999 ")), "a finite number", id="infinite-cycles"),
        pytest.param(
            replaced(ROW, ROW.replace(" 4 ", " four ")), "'four': expected a number", id="text-as-number"
        ),
        pytest.param(
            replaced(ROW, ROW.replace(" 4 ", " 1_0 ")), "'1_0': expected a number", id="underscored-number"
        ),
        pytest.param(
            replaced(ROW, ROW.replace(" 1  ", " 17 ")), "are the two swapped", id="throughput-too-slow"
        ),
        pytest.param(
            replaced(ROW, ROW.replace("fp32_mul", "fp32_mull")), "op = 'fp32_mull'", id="unknown-op"
        ),
        pytest.param(replaced(ROW, ROW.replace("scalar", "wide")), "form = 'wide'", id="unknown-form"),
        pytest.param(replaced("fp32_add  scalar", "fp32_mul  scalar"), "repeats fp32_mul", id="repeated-row"),
        pytest.param(replaced("lanes  lat", "lane  lat"), "the column 'lanes'", id="missing-column"),
        pytest.param(replaced("addss xmm0, xmm1", ""), "7 columns", id="short-row"),
        pytest.param(MINIMAL + "[part]\nname = 'x'\n", "part.source is missing", id="part-without-source"),
        pytest.param(
            MINIMAL + "[part]\nname='x'\nsource='own'\nquality='measured'\nbase_clock_hz=inf\n",
            "part.base_clock_hz = inf: expected a finite number",
            id="infinite-clock",
        ),
        pytest.param(
            MINIMAL + "[part]\nname='x'\nsource='own'\nquality='measured'\nbase_clock_hz='4 GHz'\n",
            "part.base_clock_hz = '4 GHz': expected a number",
            id="clock-as-text",
        ),
        pytest.param(
            MINIMAL + "[part]\nname='x'\nsource='own'\nquality='measured'\ncores=true\n",
            "part.cores = True: expected a whole number",
            id="cores-true",
        ),
        pytest.param("kind = [", "not TOML", id="not-toml"),
        pytest.param("a = " + "[" * 100_000, "nested too deeply", id="deep-nesting"),
        pytest.param("", "schema is missing", id="empty"),
    ],
)
def test_a_malformed_file_is_refused_by_name_key_and_value(tmp_path, content, expected):
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        load_cpu("bad", hardware_path=tmp_path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


def test_not_utf8(tmp_path):
    (tmp_path / "bad.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(DataError, match="not UTF-8"):
        load_cpu("bad", hardware_path=tmp_path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    with (tmp_path / "huge.toml").open("wb") as file:
        file.truncate(100 << 20)
    monkeypatch.setattr(loader.Path, "read_bytes", lambda self: pytest.fail("was read"))
    with pytest.raises(DataError, match="104,857,600 bytes"):
        load_cpu("huge", hardware_path=tmp_path)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(DataError, match="not a regular file"):
        load_cpu("pipe", hardware_path=tmp_path)


def test_a_symlink_loop(tmp_path):
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    with pytest.raises(DataError, match="cannot be read"):
        load_cpu("loop", hardware_path=tmp_path)


def test_a_looping_folder(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ArgumentError, match="cannot use the hardware folder"):
        load_cpu("via-nano-2000", hardware_path=loop)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list any folder")
def test_an_unreadable_folder(tmp_path):
    tmp_path.chmod(0)
    try:
        with pytest.raises((ArgumentError, DataError)):
            list_hardware(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(loader.os, "scandir", refuse)
    with pytest.raises(DataError, match="cannot be listed: Permission denied"):
        list_hardware(tmp_path)


@pytest.mark.parametrize("folder", ["missing", "a-file"])
def test_a_folder_that_is_none(tmp_path, folder):
    (tmp_path / "a-file").write_text("")
    with pytest.raises(ArgumentError):
        load_cpu("via-nano-2000", hardware_path=tmp_path / folder)


@pytest.mark.parametrize("layout", ["", "cpus"], ids=["flat", "nested"])
def test_a_users_file_overrides_the_built_in_one(tmp_path, monkeypatch, layout):
    folder = tmp_path / layout
    folder.mkdir(exist_ok=True)
    (folder / "via-nano-2000.toml").write_text(MINIMAL)
    monkeypatch.setenv("ADDERCOST_HARDWARE", str(tmp_path))
    assert load_cpu("via-nano-2000").title == "A processor"
    assert load_cpu("amd-zen4").title == "AMD Zen 4"
    (listed,) = (file for file in list_hardware() if file.name == "via-nano-2000")
    assert listed.origin == "user"


def test_the_argument_wins_over_the_environment(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(MINIMAL)
    monkeypatch.setenv("ADDERCOST_HARDWARE", str(tmp_path / "missing"))
    assert load_cpu("mine", hardware_path=tmp_path).title == "A processor"


def test_a_path_is_a_name_too(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    assert load_cpu(str(path)).name == "mine"


@pytest.mark.parametrize("name", ["via-nano-200", "VIA-NANO-2000", "../cpus/via-nano-2000", "", "."])
def test_an_unknown_name_offers_the_nearest(name):
    with pytest.raises(ArgumentError, match="unknown CPU") as caught:
        load_cpu(name)
    assert caught.value.hint


def test_near_names_are_offered():
    with pytest.raises(ArgumentError, match="via-nano-2000"):
        load_cpu("via-nano-200")


def test_loading_one_reads_one_file(monkeypatch):
    read = []
    original = loader._read
    monkeypatch.setattr(loader, "_read", lambda path: read.append(path.name) or original(path))
    load_cpu("via-nano-2000")
    assert read == ["via-nano-2000.toml"]


def test_listing_reads_no_built_in_file(monkeypatch):
    monkeypatch.setattr(loader, "_read", lambda path: pytest.fail("was read"))
    kinds = [file.kind for file in list_hardware()]
    assert kinds == sorted(kinds, key=["cpu", "gpu", "energy"].index)


def test_load_hardware_finds_any_kind():
    assert load_hardware("via-nano-2000").kind == "cpu"
    with pytest.raises(ArgumentError, match="unknown hardware"):
        load_hardware("via-nano-200")


def test_load_file_names_the_table_after_the_file(tmp_path):
    path = tmp_path / "a-name.toml"
    path.write_text(MINIMAL)
    assert load_file(path).name == "a-name"
