"""What NVIDIA's management library says of a GPU: clocks, temperature, power, energy, why it is held down.

Called through ctypes, since the library comes with the driver and its Python packages do not.
"""

from __future__ import annotations

import ctypes
from typing import Any

_SM_CLOCK, _GPU_TEMPERATURE = 1, 0
_TEXT_BYTES = 96
JOULES_PER_COUNT = 1e-3

IDLE = 0x1
THROTTLE_REASONS = {
    0x2: "application clocks are set",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks are set",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h), but for the one that says the GPU is idle."""


class Nvml:
    """One GPU's counters; each is None where the driver or the GPU does not tell.

    uuid: as torch gives it, so that CUDA_VISIBLE_DEVICES does not matter. Raises OSError where the library is
    missing or does not know the GPU.
    """

    def __init__(self, uuid: str, library: Any = None) -> None:
        self._library = library if library is not None else ctypes.CDLL("libnvidia-ml.so.1")
        self._device = ctypes.c_void_p()
        name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
        for status in (
            self._library.nvmlInit_v2(),
            self._library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(self._device)),
        ):
            if status:
                raise OSError(f"NVML reports error {status}")

    def clock_hz(self) -> float | None:
        found = self._number("nvmlDeviceGetClockInfo", ctypes.c_uint(), _SM_CLOCK)
        return None if found is None else found * 1e6

    def most_clock_hz(self) -> float | None:
        found = self._number("nvmlDeviceGetMaxClockInfo", ctypes.c_uint(), _SM_CLOCK)
        return None if found is None else found * 1e6

    def temperature_c(self) -> float | None:
        return self._number("nvmlDeviceGetTemperature", ctypes.c_uint(), _GPU_TEMPERATURE)

    def power_w(self) -> float | None:
        found = self._number("nvmlDeviceGetPowerUsage", ctypes.c_uint())
        return None if found is None else found * 1e-3

    def power_limit_w(self) -> float | None:
        found = self._number("nvmlDeviceGetEnforcedPowerLimit", ctypes.c_uint())
        return None if found is None else found * 1e-3

    def energy_j(self) -> float | None:
        """Since the driver was loaded."""
        found = self._number("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong())
        return None if found is None else found * JOULES_PER_COUNT

    def throttle_reasons(self) -> tuple[str, ...]:
        found = self._number("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong())
        bits = int(found or 0)
        return tuple(text for bit, text in THROTTLE_REASONS.items() if bits & bit)

    def driver(self) -> str | None:
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        try:
            status = self._library.nvmlSystemGetDriverVersion(text, _TEXT_BYTES)
        except AttributeError:
            return None
        return None if status else text.value.decode("utf-8", "replace")

    def _number(self, function: str, into: Any, *arguments: int) -> float | None:
        try:
            status = getattr(self._library, function)(self._device, *arguments, ctypes.byref(into))
        except AttributeError:  # an older driver's library lacks it
            return None
        return None if status else float(into.value)
