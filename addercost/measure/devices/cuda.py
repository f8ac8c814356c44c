"""A GPU as a timing device: device events, a flushed second-level cache (L2), recorded launches, and the
driver's counters.

It works on the devices that torch calls "cuda": NVIDIA's GPUs, and AMD's with a ROCm build of torch. AMD's
GPUs report no clock, no energy and no reasons for throttling here.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache, partial
from itertools import pairwise
from typing import Any

import torch

from addercost.measure.devices.cuda_availability import usable_device
from addercost.measure.devices.cuda_graph import recorded
from addercost.measure.devices.cuda_kernels import kernel_times
from addercost.measure.devices.device import Call, Condition, DeviceFacts, Energy, KernelTime
from addercost.measure.devices.nvml import CountersError, Nvml

WARM_UP_S = 0.03
FLUSHED_CACHES = 2
LEAST_FLUSH_BYTES = 64 << 20
UNKNOWN_CACHE_BYTES = 64 << 20
LONGEST_LAUNCH_S = 1e-3
"""A call whose launch takes the host longer is timed with its launches, as whole models are."""
HEAD_START_CYCLES = 100_000
"""How long the device idles before a sample: 50 µs at 2 GHz. The host launches the first call meanwhile, so
that this launch is no part of the time.
"""
PROFILED_CALLS = 3
ENERGY_CHUNK_S = 0.01


class CudaDevice:
    """Times calls on the current CUDA device.

    A call that the host launches in less than LONGEST_LAUNCH_S is recorded as a CUDA graph and replayed. So
    both sides of a comparison are times of the device alone. Where recording fails, the call itself is timed.
    torch's settings, TF32 among them, are not changed. Raises ArgumentError where there is no GPU, or none
    that this torch can use.
    """

    def __init__(self, cuda: Any = torch.cuda, nvml: Nvml | None = None, counts_energy: bool = True) -> None:
        self._counts_energy = counts_energy
        self._cuda = cuda
        self._device = usable_device(cuda)
        properties = cuda.get_device_properties(self._device)
        self._nvml, why_none = (nvml, "") if nvml is not None else _counters(properties)
        self._cache_bytes = int(getattr(properties, "L2_cache_size", 0)) or UNKNOWN_CACHE_BYTES
        self._flushed: torch.Tensor | None = None
        self._facts = DeviceFacts(
            "cuda",
            cuda.get_device_name(self._device),
            self._cache_bytes,
            _environment(properties, self._nvml, why_none),
        )

    @property
    def facts(self) -> DeviceFacts:
        return self._facts

    @property
    def speed(self) -> None:
        return None

    def close(self) -> None:
        self._flushed = None
        self._cuda.empty_cache()

    def now(self) -> float:
        return time.monotonic()

    def prepare(self, call: Call) -> Call:
        self._cuda.synchronize()
        call()
        self._cuda.synchronize()
        end = time.perf_counter() + WARM_UP_S
        launch_s = float("inf")
        while True:
            start = time.perf_counter()
            call()
            launch_s = min(launch_s, time.perf_counter() - start)
            self._cuda.synchronize()
            if time.perf_counter() > end:
                break
        if is_whole_model(call) or launch_s > LONGEST_LAUNCH_S:
            return call
        return recorded(self._cuda, call) or call

    def sample(self, call: Call, calls: int, cold: bool) -> float:
        pairs = []
        for _ in range(calls if cold else 1):
            if cold:
                self._flush()
            self._cuda._sleep(HEAD_START_CYCLES)
            start, end = (self._cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(1 if cold else calls):
                call()
            end.record()
            pairs.append((start, end))
        self._cuda.synchronize()
        return sum(float(start.elapsed_time(end)) for start, end in pairs) * 1e-3 / calls

    def _flush(self) -> None:
        """Empties the L2: writes twice as many bytes as it has."""
        if self._flushed is None:
            size = max(FLUSHED_CACHES * self._cache_bytes, LEAST_FLUSH_BYTES)
            self._flushed = torch.empty(size // 4, dtype=torch.int32, device=self._device)
        self._flushed.zero_()

    def condition(self) -> Condition:
        if self._nvml is None:
            return Condition()
        return Condition(
            clock_hz=self._nvml.clock_hz(),
            temperature_c=self._nvml.temperature_c(),
            power_w=self._nvml.power_w(),
            throttle_reasons=self._nvml.throttle_reasons(),
        )

    def limit(self, name: str) -> float | None:
        return _limit(name)

    def free_bytes(self) -> int | None:
        """The bytes that the driver reports as free, and those that torch's allocator keeps without using
        them.
        """
        free: int = self._cuda.mem_get_info(self._device)[0]
        unused: int = self._cuda.memory_reserved(self._device) - self._cuda.memory_allocated(self._device)
        return free + max(0, unused)

    def peak_bytes(self, call: Call) -> int | None:
        self._cuda.synchronize()
        self._cuda.reset_peak_memory_stats(self._device)
        before: int = self._cuda.memory_allocated(self._device)
        result = call()
        self._cuda.synchronize()
        peak: int = self._cuda.max_memory_allocated(self._device)
        del result
        return peak - before

    def kernels(self, call: Call) -> tuple[KernelTime, ...]:
        from torch.profiler import ProfilerActivity, profile

        try:
            with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiled:
                for _ in range(PROFILED_CALLS):
                    call()
                self._cuda.synchronize()
        except Exception:  # no profiler, or no permission: the row keeps its timing
            return ()
        return kernel_times(profiled.events() or (), PROFILED_CALLS)

    def energy(self, call: Call, seconds: float) -> Energy | None:
        """The energy of the whole GPU for one call, with its idle power. The counter is read after every few
        calls. Its resolution is the largest step between two readings.
        """
        if not self._counts_energy or self._nvml is None or self._nvml.energy_j() is None:
            return None
        self._cuda.synchronize()
        each = max(1, round(ENERGY_CHUNK_S / max(self.sample(call, 1, cold=False), 1e-7)))
        readings, calls = [self._read_energy()], 0
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for _ in range(each):
                call()
            self._cuda.synchronize()
            calls += each
            readings.append(self._read_energy())
        steps = [b - a for a, b in pairwise(readings) if b > a]
        if not steps or not calls:
            return None
        return Energy((readings[-1] - readings[0]) / calls, max(steps) / calls)

    def _read_energy(self) -> float:
        assert self._nvml is not None
        return self._nvml.energy_j() or 0.0


def is_whole_model(call: Call) -> bool:
    """Whether the call runs or trains a module that contains other modules. Its launches are then timed as
    part of it.
    """
    parts = (call.func, *call.args) if isinstance(call, partial) else (call,)
    return any(isinstance(p, torch.nn.Module) and next(p.children(), None) is not None for p in parts)


@cache
def _limit(name: str) -> float | None:
    # Measured once in a run: a GPU's clock changes little under this load, and each row records its clock.
    try:
        from addercost.kernels.gpu.limits import limit_per_second

        return limit_per_second(name)
    except Exception:  # of Triton, its compilers or the driver; a limit is not needed
        return None


def _counters(properties: Any) -> tuple[Nvml | None, str]:
    """The GPU's counters, or the reason why there are none."""
    if torch.version.hip is not None:
        return None, "the GPU is not NVIDIA's"
    try:
        return Nvml(str(properties.uuid)), ""
    except CountersError as error:
        return None, str(error)


def _environment(properties: Any, nvml: Nvml | None, why_none: str) -> dict[str, str]:
    lines = {
        "compute capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": str(properties.multi_processor_count),
        "memory": f"{properties.total_memory / 2**30:.0f} GiB",
        "L2": f"{int(getattr(properties, 'L2_cache_size', 0)) >> 20} MiB",
        "runtime": f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}",
        "clock": "device events",
        "graphs": f"calls launched in under {LONGEST_LAUNCH_S * 1e6:.0f} µs are recorded and replayed",
        "TF32": f"cuDNN {torch.backends.cudnn.allow_tf32}, matmul {torch.backends.cuda.matmul.allow_tf32}",
    }
    with suppress(Exception):  # a build without cuDNN
        lines["cuDNN"] = str(torch.backends.cudnn.version())
    if nvml is None:
        return lines | {"counters": f"none: {why_none}"}
    lines["driver"] = nvml.driver() or "unknown"
    for name, value, unit, scale in (
        ("highest clock", nvml.most_clock_hz(), "MHz", 1e-6),
        ("power limit", nvml.power_limit_w(), "W", 1.0),
    ):
        if value is not None:
            lines[name] = f"{value * scale:.0f} {unit}"
    return lines
