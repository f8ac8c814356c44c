"""Hardware tables: CPUs, devices, GPUs and process nodes as files, their schema, the loader. No torch."""

from addercost.hardware.loader import (
    HardwareFile,
    list_hardware,
    load_accelerator,
    load_cpu,
    load_device,
    load_energy,
    load_file,
    load_gpu,
    load_hardware,
)
from addercost.hardware.schema import (
    Accelerator,
    Citation,
    Cpu,
    Device,
    EnergyTable,
    Gpu,
    Hardware,
    Instruction,
)
from addercost.hardware.vocabulary import Form, Quality

__all__ = [
    "Accelerator",
    "Citation",
    "Cpu",
    "Device",
    "EnergyTable",
    "Form",
    "Gpu",
    "Hardware",
    "HardwareFile",
    "Instruction",
    "Quality",
    "list_hardware",
    "load_accelerator",
    "load_cpu",
    "load_device",
    "load_energy",
    "load_file",
    "load_gpu",
    "load_hardware",
]
