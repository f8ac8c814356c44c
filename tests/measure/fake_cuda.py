"""Stand-ins for `torch.cuda` and the driver's library: a device whose time is counted, not measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any


class FakeCuda:
    """Work is added to `clock_s` by calls; events read it. A call that `waits` cannot be recorded."""

    def __init__(self) -> None:
        self.clock_s = 0.0
        self.flushes = self.replays = self.captures = self.emptied = 0
        self.allocated, self.peak, self.reserved, self.free = 1000, 0, 5000, 70_000
        self.capture_fails = False
        self.capturing = False
        self.sync_debug_mode = "default"
        self.recorded_s = 0.0

    def run(self, seconds: float, waits: bool = False) -> None:
        """What a call does: nothing on the host, `seconds` on the device."""
        if waits and self.sync_debug_mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")
        if self.capturing:
            self.recorded_s += seconds
        else:
            self.clock_s += seconds

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
        pass

    def empty_cache(self) -> None:
        self.emptied += 1

    def get_sync_debug_mode(self) -> str:
        return self.sync_debug_mode

    def set_sync_debug_mode(self, mode: str) -> None:
        self.sync_debug_mode = mode

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

    def Event(self, enable_timing: bool) -> Any:
        assert enable_timing
        cuda = self

        class Event:
            at_s = 0.0

            def record(self) -> None:
                self.at_s = cuda.clock_s

            def elapsed_time(self, other: Any) -> float:
                return float(other.at_s - self.at_s) * 1e3

        return Event()

    def CUDAGraph(self) -> Any:
        def replay() -> None:
            self.replays += 1
            self.clock_s += self.recorded_s

        return SimpleNamespace(replay=replay)

    def Stream(self) -> Any:
        return SimpleNamespace(wait_stream=lambda other: None)

    def current_stream(self) -> Any:
        return self.Stream()

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        yield

    @contextmanager
    def graph(self, graph: Any) -> Iterator[None]:
        self.captures += 1
        if self.capture_fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.capturing, self.recorded_s = True, 0.0
        try:
            yield
        finally:
            self.capturing = False


class FakeNvmlLibrary:
    """libnvidia-ml as ctypes shows it. Numbers in the library's units; `missing` functions do not exist."""

    def __init__(
        self, numbers: dict[str, int], missing: tuple[str, ...] = (), known: bytes = b"GPU-00-fake"
    ) -> None:
        self.numbers, self.missing, self.known = numbers, missing, known

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__["missing"]:
            raise AttributeError(name)
        if name == "nvmlInit_v2":
            return lambda: 0
        if name == "nvmlDeviceGetHandleByUUID":
            return lambda uuid, handle: 0 if uuid == self.known else 6
        if name == "nvmlSystemGetDriverVersion":

            def driver(text: Any, size: int) -> int:
                text.value = b"580.1"
                return 0

            return driver

        def number(handle: Any, *arguments: Any) -> int:
            if name not in self.numbers:
                return 3  # not supported
            arguments[-1]._obj.value = self.numbers[name]
            return 0

        return number
