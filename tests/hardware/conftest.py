import pytest


@pytest.fixture(autouse=True)
def no_table_of_this_machine(monkeypatch, tmp_path_factory):
    """The tests see the tables of the package, not what its user has measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("ADDERCOST_HARDWARE", raising=False)
