"""Finding tables by name: the built-in ones, a user's folder, the table of this machine."""

import os

import pytest

from addercost.errors import ArgumentError, DataError
from addercost.hardware import list_hardware, load_cpu, load_energy, load_file, load_hardware, loader
from tests.hardware.table_texts import ENERGY, MINIMAL


def test_a_looping_folder(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ArgumentError, match="cannot use the hardware folder"):
        load_cpu("via-nano-2000", hardware_path=loop)


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


def test_a_flat_table_of_another_kind_does_not_hide_the_built_in_one(tmp_path):
    """A flat file says its kind only inside: an energy table named like a CPU overrides no CPU."""
    (tmp_path / "via-nano-2000.toml").write_text(ENERGY)
    assert load_cpu("via-nano-2000", hardware_path=tmp_path).title == "VIA Nano 2000 series"
    assert load_energy("via-nano-2000", hardware_path=tmp_path).title == "A process"
    listed = {(f.kind, f.origin) for f in list_hardware(tmp_path) if f.name == "via-nano-2000"}
    assert listed == {("cpu", "built-in"), ("energy", "user")}


def test_a_nested_file_comes_before_a_flat_one(tmp_path):
    (tmp_path / "cpus").mkdir()
    (tmp_path / "mine.toml").write_text(MINIMAL)
    (tmp_path / "cpus" / "mine.toml").write_text(MINIMAL.replace("A processor", "Another"))
    assert load_cpu("mine", hardware_path=tmp_path).title == "Another"


def test_a_table_of_another_kind_is_refused_by_its_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(ENERGY)
    with pytest.raises(ArgumentError, match="describes a energy, not a cpu"):
        load_cpu(str(path))


def test_the_table_of_this_machine_is_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ArgumentError, match="has not been measured yet"):
        load_cpu("host")
    file = tmp_path / "addercost" / "host.toml"
    file.parent.mkdir()
    file.write_text(MINIMAL)
    assert load_cpu("host").title == "A processor"
    assert [(f.kind, f.origin, f.path) for f in list_hardware() if f.name == "host"] == [
        ("cpu", "calibrated", file)
    ]


def test_the_cache_folder_is_in_the_home_folder_where_nothing_else_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert loader.host_file() == tmp_path / ".cache" / "addercost" / "host.toml"


def test_hidden_files_and_others_are_no_tables(tmp_path):
    (tmp_path / ".hidden.toml").write_text("no table")
    (tmp_path / "notes.txt").write_text("no table")
    assert {f.origin for f in list_hardware(tmp_path)} == {"built-in"}


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
    assert kinds == sorted(kinds, key=list(loader.FOLDERS).index)


def test_load_hardware_finds_any_kind():
    assert load_hardware("via-nano-2000").kind == "cpu"
    with pytest.raises(ArgumentError, match="unknown hardware"):
        load_hardware("via-nano-200")


def test_load_file_names_the_table_after_the_file(tmp_path):
    path = tmp_path / "a-name.toml"
    path.write_text(MINIMAL)
    assert load_file(path).name == "a-name"


def test_a_table_is_parsed_once_and_a_changed_file_anew(tmp_path):
    """Each chunk of a sweep asks for its processors again."""
    assert load_cpu("via-nano-2000") is load_cpu("via-nano-2000")
    path = tmp_path / "own.toml"
    path.write_text(MINIMAL)
    before = load_file(path)
    path.write_text(MINIMAL.replace("A processor", "Another"))
    os.utime(path, (0, 0))
    assert (before.title, load_file(path).title) == ("A processor", "Another")
    path.with_name("second.toml").write_text(MINIMAL)
    assert load_file(path.with_name("second.toml")).name == "second"
