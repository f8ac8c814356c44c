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
from addercost.hardware.schema.accelerator import Accelerator
from addercost.hardware.schema.cpu import Cpu
from addercost.hardware.schema.device import Device
from addercost.hardware.schema.energy import EnergyTable
from addercost.hardware.schema.figures import Citation
from addercost.hardware.schema.gpu import Gpu
from addercost.hardware.schema.instruction import Instruction
from addercost.hardware.schema.kinds import Hardware
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
