"""The union of the tables that a name can stand for."""

from __future__ import annotations

from addercost.hardware.schema.accelerator import Accelerator
from addercost.hardware.schema.cpu import Cpu
from addercost.hardware.schema.device import Device
from addercost.hardware.schema.energy import EnergyTable
from addercost.hardware.schema.gpu import Gpu

Hardware = Cpu | Device | Gpu | EnergyTable | Accelerator
