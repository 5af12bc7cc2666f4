"""Clock, power and energy of an NVIDIA GPU: the few functions of NVML that we read, by ctypes."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

LIBRARY = "libnvidia-ml.so.1"

SM_CLOCK, MEMORY_CLOCK = 1, 2
"""NVML_CLOCK_SM and NVML_CLOCK_MEM, nvml.h"""


class NvmlError(RuntimeError):
    """NVML is not there, or a call of it failed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading.

    Args:
        sm_hz: Clock of the SMs [Hz].
        power_w: Power of the board as NVML reports it, on Hopper a mean over the last second [W].
        reasons: Bits of nvmlClocksEventReasons: why the clock is not higher; 0x4 the power limit,
            0x20 the temperature.
        temperature_c: Temperature of the GPU [°C].
    """

    sm_hz: float
    power_w: float
    reasons: int
    temperature_c: float


class Gpu:
    """Readings of one GPU; open it with `open_gpu`."""

    def __init__(self, library: Any, handle: Any) -> None:  # noqa: ANN401  ctypes' own
        """Keep the library and the handle of the device."""
        self._library = library
        self._handle = handle

    def _read(self, name: str, kind: type[Any], *before: int) -> int:
        value = kind()
        _call(self._library, name, self._handle, *before, ctypes.byref(value))
        return int(value.value)

    def sample(self) -> Sample:
        """Clock, power, the reasons for the clock, and temperature, now."""
        clock = self._read("nvmlDeviceGetClockInfo", ctypes.c_uint, SM_CLOCK)
        power = self._read("nvmlDeviceGetPowerUsage", ctypes.c_uint)
        reasons = self._read("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong)
        return Sample(clock * 1e6, power * 1e-3, reasons, self.temperature_c())

    def temperature_c(self) -> float:
        """Temperature of the GPU, now [°C]."""
        return float(self._read("nvmlDeviceGetTemperature", ctypes.c_uint, 0))

    def energy_j(self) -> float:
        """Energy since the driver was loaded [J]."""
        return 1e-3 * self._read("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong)

    def settings(self) -> dict[str, float | str]:
        """What does not change during a run: driver, limits, and the clocks right now."""
        version = ctypes.create_string_buffer(96)
        _call(self._library, "nvmlSystemGetDriverVersion", version, 96)
        unsigned = ctypes.c_uint
        read = self._read
        return {
            "driver": version.value.decode(),
            "power_limit_w": 1e-3 * read("nvmlDeviceGetEnforcedPowerLimit", unsigned),
            "max_sm_mhz": read("nvmlDeviceGetMaxClockInfo", unsigned, SM_CLOCK),
            "max_memory_mhz": read("nvmlDeviceGetMaxClockInfo", unsigned, MEMORY_CLOCK),
            "sm_mhz": read("nvmlDeviceGetClockInfo", unsigned, SM_CLOCK),
            "memory_mhz": read("nvmlDeviceGetClockInfo", unsigned, MEMORY_CLOCK),
            "temperature_c": self.temperature_c(),
        }


def open_gpu(uuid: str, library: str = LIBRARY) -> Gpu:
    """The GPU with an identifier `GPU-…`, as torch and nvidia-smi know it.

    Raises:
        NvmlError: NVML cannot be loaded, or does not know the GPU.
    """
    try:
        nvml = ctypes.CDLL(library)
    except OSError as error:
        raise NvmlError(
            f"NVML: wanted {library}, which comes with NVIDIA's driver, found none ({error}); "
            "without it neither clock nor power nor energy can be recorded"
        ) from error
    _call(nvml, "nvmlInit_v2")
    handle = ctypes.c_void_p()
    _call(nvml, "nvmlDeviceGetHandleByUUID", uuid.encode(), ctypes.byref(handle))
    return Gpu(nvml, handle)


def _call(library: Any, name: str, *arguments: Any) -> None:  # noqa: ANN401  ctypes' own
    status = getattr(library, name)(*arguments)
    if status:
        library.nvmlErrorString.restype = ctypes.c_char_p
        raise NvmlError(f"{name}: {library.nvmlErrorString(status).decode()}")
