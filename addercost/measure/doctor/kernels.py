"""Findings about our layers' kernels on the CPU, and on a GPU if there is one."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.measure.doctor.finding import FindingState, MachineFinding
from addercost.measure.doctor.packages import importable_torch


def kernels() -> Iterator[MachineFinding]:
    """Findings that say whether the kernels can be loaded."""
    part, torch = "kernels", importable_torch()
    if torch is None:
        yield MachineFinding(part, "layers", FindingState.MISSING, "torch is missing or broken", "", True)
        return
    capability = torch.backends.cpu.get_cpu_capability()
    text = f"{capability}, {torch.get_num_threads()} threads"
    yield MachineFinding(part, "torch on the CPU", FindingState.OK, text)
    from addercost.kernels import dispatch

    names = {"halide": "CPU"} | ({"triton": "GPU"} if torch.cuda.is_available() else {})
    for name, device in names.items():
        thing, module = f"{name} on the {device}", dispatch._load(name)
        if isinstance(module, str):
            found, mend = f"{module}; the slow reference runs instead", dispatch._advice(name)
            yield MachineFinding(part, thing, FindingState.MISSING, found, mend, True)
        else:
            yield MachineFinding(part, thing, FindingState.OK, "its kernels load", "", True)
