"""What a warning looks like on the command line."""

from __future__ import annotations

import warnings

import addercost
from addercost.cli import short_warnings
from addercost.kernels import dispatch


def test_ours_are_one_line_and_others_say_where_they_are_from() -> None:
    usual = warnings.formatwarning
    with short_warnings():
        ours = warnings.formatwarning("slow\x1b", RuntimeWarning, dispatch.__file__, 98)
        other = warnings.formatwarning("old", FutureWarning, "/lib/other/module.py", 3, "f()")
    assert ours == "addercost: slow\\x1b\n"
    assert other == "/lib/other/module.py:3: FutureWarning: old\n  f()\n"
    assert warnings.formatwarning is usual


def test_a_name_that_only_begins_alike_is_not_ours() -> None:
    with short_warnings():
        found = warnings.formatwarning("x", UserWarning, f"{addercost.__path__[0]}_other/a.py", 1, "f()")
    assert "UserWarning" in found
