"""One NVIDIA GPU's counters, from the driver's management library (NVML) through the package nvidia-ml-py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from addercost.errors import AddercostError

JOULES_PER_COUNT = 1e-3
WATTS_PER_COUNT = 1e-3
HZ_PER_COUNT = 1e6

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
"""The bits of nvmlDeviceGetCurrentClocksThrottleReasons (nvml.h), without the bit for an idle GPU."""


class CountersError(AddercostError):
    """The counters of a GPU cannot be read here."""


class Nvml:
    """The counters of one GPU. A counter is None where the driver or the GPU does not have it.

    uuid: the GPU's identifier from torch, which does not depend on CUDA_VISIBLE_DEVICES. library: the module
    `pynvml`. Raises CountersError where the package or the driver's library is missing, or does not know the
    GPU.
    """

    def __init__(self, uuid: str, library: Any = None) -> None:
        self._library = library if library is not None else _pynvml()
        name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
        try:
            self._library.nvmlInit()
            self._device = self._library.nvmlDeviceGetHandleByUUID(name)
        except self._library.NVMLError as error:
            raise CountersError(f"NVML reports: {error}") from None

    def clock_hz(self) -> float | None:
        read = self._library.nvmlDeviceGetClockInfo
        return self._scaled(HZ_PER_COUNT, read, self._library.NVML_CLOCK_SM)

    def most_clock_hz(self) -> float | None:
        read = self._library.nvmlDeviceGetMaxClockInfo
        return self._scaled(HZ_PER_COUNT, read, self._library.NVML_CLOCK_SM)

    def temperature_c(self) -> float | None:
        read = self._library.nvmlDeviceGetTemperature
        return self._scaled(1, read, self._library.NVML_TEMPERATURE_GPU)

    def power_w(self) -> float | None:
        return self._scaled(WATTS_PER_COUNT, self._library.nvmlDeviceGetPowerUsage)

    def power_limit_w(self) -> float | None:
        return self._scaled(WATTS_PER_COUNT, self._library.nvmlDeviceGetEnforcedPowerLimit)

    def energy_j(self) -> float | None:
        """Joules that the GPU has taken since the driver was loaded."""
        return self._scaled(JOULES_PER_COUNT, self._library.nvmlDeviceGetTotalEnergyConsumption)

    def throttle_reasons(self) -> tuple[str, ...]:
        """The reasons why the clock is below its maximum now."""
        bits = int(self._scaled(1, self._library.nvmlDeviceGetCurrentClocksThrottleReasons) or 0)
        return tuple(text for bit, text in THROTTLE_REASONS.items() if bits & bit)

    def driver(self) -> str | None:
        """The driver's version."""
        try:
            return str(self._library.nvmlSystemGetDriverVersion())
        except self._library.NVMLError:
            return None

    def _scaled(self, scale: float, read: Callable[..., int], *arguments: int) -> float | None:
        try:
            return read(self._device, *arguments) * scale
        except self._library.NVMLError:  # this GPU or driver does not have it
            return None


def _pynvml() -> Any:
    try:
        import pynvml
    except ImportError:
        raise CountersError("nvidia-ml-py is not installed", "pip install 'addercost[gpu]'") from None
    return pynvml
