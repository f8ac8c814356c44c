"""Stand-ins for `torch.cuda` and `pynvml`: a device whose time is counted, not measured.

It refuses what CUDA refuses: reading an event that has not been passed, waiting inside a recording, replaying
what was not recorded; and a recording that failed leaves what torch leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

SYNC_MODES = {"default": 0, "warn": 1, "error": 2}
CYCLES_PER_S = 2e9


class FakeStream:
    """Work on it ends at `at_s`."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def wait_stream(self, other: FakeStream) -> None:
        self.at_s = max(self.at_s, other.at_s)


class FakeCuda:
    """The host's clock and the device's: launching moves the first, work the second, which never starts
    before it was launched. `capture_fails` as where a call does what a recording forbids.
    """

    def __init__(self) -> None:
        self.host_s = 0.0
        self.flushes = self.replays = self.captures = self.emptied = 0
        self.allocated, self.peak, self.reserved, self.free = 1000, 0, 5000, 70_000
        self.capture_fails = False
        self.capturing: FakeStream | None = None
        self.broken = False
        self.sync_debug_mode = 0
        self.recorded_s = 0.0
        self.default_stream = self.now_on = FakeStream()
        self.capture_stream = FakeStream()

    @property
    def time(self) -> Any:
        """The module `time` of this host."""
        return SimpleNamespace(perf_counter=lambda: self.host_s, monotonic=lambda: self.host_s)

    def run(self, seconds: float, launch_s: float = 5e-6, waits: bool = False) -> None:
        """What a call does: `launch_s` on the host, then `seconds` on the device; `waits` for it."""
        self.host_s += launch_s
        if waits and self.sync_debug_mode == SYNC_MODES["error"]:
            raise RuntimeError("called a synchronizing CUDA operation")
        if self.capturing is not None:
            if waits or self.capture_fails:
                self._refuse()
            self.recorded_s += seconds
            return
        self.now_on.at_s = max(self.now_on.at_s, self.host_s) + seconds
        if waits:
            self.synchronize()

    def _refuse(self) -> None:
        self.broken = True
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    def _sleep(self, cycles: int) -> None:
        self.run(cycles / CYCLES_PER_S)

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def get_device_name(self, device: Any) -> str:
        return "Fake H200"

    def get_device_capability(self, device: Any) -> tuple[int, int]:
        return 9, 0

    def get_device_properties(self, device: Any) -> Any:
        return SimpleNamespace(
            L2_cache_size=60 << 20,
            major=9,
            minor=0,
            multi_processor_count=132,
            total_memory=141 << 30,
            uuid="00-fake",
        )

    def synchronize(self) -> None:
        if self.capturing is not None:
            self._refuse()
        streams = (self.default_stream, self.capture_stream, self.now_on)
        self.host_s = max(self.host_s, *(stream.at_s for stream in streams))

    def empty_cache(self) -> None:
        if self.capturing is not None:
            self._refuse()
        self.emptied += 1

    def get_sync_debug_mode(self) -> int:
        return self.sync_debug_mode

    def set_sync_debug_mode(self, mode: int | str) -> None:
        self.sync_debug_mode = SYNC_MODES[mode] if isinstance(mode, str) else mode

    def mem_get_info(self, device: Any) -> tuple[int, int]:
        return self.free, 1 << 40

    def memory_allocated(self, device: Any) -> int:
        return self.allocated

    def memory_reserved(self, device: Any) -> int:
        return self.reserved

    def max_memory_allocated(self, device: Any) -> int:
        return max(self.peak, self.allocated)

    def reset_peak_memory_stats(self, device: Any) -> None:
        self.peak = self.allocated

    def Event(self, enable_timing: bool = False) -> Any:
        cuda = self

        class Event:
            at_s: float | None = None

            def record(self) -> None:
                if cuda.capturing is not None:
                    cuda._refuse()
                cuda.now_on.at_s = self.at_s = max(cuda.now_on.at_s, cuda.host_s)

            def elapsed_time(self, other: Any) -> float:
                """Milliseconds."""
                if not enable_timing or self.at_s is None or other.at_s is None:
                    raise ValueError("Both events must be recorded before calculating elapsed time.")
                if max(self.at_s, other.at_s) > cuda.host_s:
                    raise RuntimeError("CUDA error: device not ready")
                return float(other.at_s - self.at_s) * 1e3

        return Event()

    def CUDAGraph(self) -> Any:
        graph = SimpleNamespace(recorded_s=None)

        def replay() -> None:
            if graph.recorded_s is None:
                raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
            self.replays += 1
            self.run(graph.recorded_s)

        graph.replay = replay
        return graph

    def Stream(self) -> FakeStream:
        return FakeStream()

    def current_stream(self) -> FakeStream:
        return self.now_on

    @contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        before, self.now_on = self.now_on, stream
        try:
            yield
        finally:
            self.now_on = before

    @contextmanager
    def graph(self, graph: Any) -> Iterator[None]:
        """As torch's: where the recording broke, ending it raises before its stream is left."""
        self.captures += 1
        self.synchronize()
        self.empty_cache()
        before, self.now_on = self.now_on, self.capture_stream
        self.capturing, self.broken, self.recorded_s = self.capture_stream, False, 0.0
        try:
            yield
        finally:
            self.capturing = None
            if self.broken:
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
            self.now_on, graph.recorded_s = before, self.recorded_s


class FakeNvmlError(Exception):
    """What `pynvml` raises for every code that the driver's library returns but success."""


class FakeNvml:
    """The module `pynvml` on a machine with one GPU. Numbers are in the library's units; a function that is
    not in `numbers` is one that this GPU does not support. broken: as where no driver is loaded."""

    NVMLError = FakeNvmlError
    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, numbers: dict[str, int], known: str = "GPU-00-fake", broken: bool = False) -> None:
        self.numbers, self.known, self.broken = numbers, known, broken

    def nvmlInit(self) -> None:
        if self.broken:
            raise FakeNvmlError("Driver Not Loaded")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != self.known:
            raise FakeNvmlError("Not Found")
        return uuid

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvmlDeviceGet"):
            raise AttributeError(name)

        def read(handle: str, *arguments: int) -> int:
            assert handle == self.known
            if name not in self.numbers:
                raise FakeNvmlError("Not Supported")
            return self.numbers[name]

        return read
