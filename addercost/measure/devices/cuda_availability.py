"""Whether this torch can compute on a GPU of this machine, and if not, why."""

from __future__ import annotations

from typing import Any

import torch

from addercost.errors import ArgumentError


def usable_device(cuda: Any = torch.cuda) -> torch.device:
    """The current device, after an addition on it has succeeded. Raises ArgumentError with the driver's own
    message.
    """
    hint = "addercost doctor says what this machine lacks"
    if not cuda.is_available():
        raise ArgumentError(f"no GPU to time on: {why_no_gpu(cuda)}", hint)
    device = torch.device("cuda", cuda.current_device())
    try:
        first_operation(cuda, device)
    except RuntimeError as error:
        major, minor = cuda.get_device_capability(device)
        words = str(error).strip().partition("\n")[0]
        raise ArgumentError(
            f"torch {torch.__version__} cannot use the {cuda.get_device_name(device)} "
            f"(compute capability {major}.{minor}): {words}",
            hint,
        ) from None
    return device


def first_operation(cuda: Any, device: torch.device) -> None:
    """Runs an addition on `device`. It fails where the driver is too old or torch was built for other
    GPUs.
    """
    torch.ones(8, device=device).add_(1)
    cuda.synchronize()


def why_no_gpu(cuda: Any = torch.cuda) -> str:
    """The reason why no GPU can be used, in the words of torch or of the driver."""
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} is built without GPU support"
    try:
        cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().partition("\n")[0]
    return "torch finds no device"
