from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scripted_device import ScriptedDevice

# The tests are imported one by one, without their folder; what they share is found here.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell starts what runs in the background with Ctrl-C ignored, which all its children inherit."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ScriptedDevice:
    """The device of every measurement, whose clock is a script."""
    from scripted_device import ScriptedDevice

    from addercost.measure import session

    made = ScriptedDevice()
    monkeypatch.setattr(session, "open_device", lambda settings: made)
    return made
