"""How long it takes until the kernels of a network are there, compiled or found in the cache folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

import torch

from addercost.arithmetic import Arithmetic
from addercost.kernels.cpu.dense import convolution as dense
from addercost.models.zoo import ZOO


def first_and_second_process() -> tuple[list[float], list[float]]:
    """Seconds for each kernel in a process that compiles them, and in one that finds them."""
    with TemporaryDirectory() as cache:
        return _in_new_process(cache), _in_new_process(cache)


def _in_new_process(cache: str) -> list[float]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.kernel_start"]
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def _seconds() -> list[float]:
    """Seconds of processor time for each kernel that ResNet-50's adder layers need, batch 1, 224 × 224."""
    spent: list[float] = []
    compile_kernel = dense.compile_kernel

    def timed_compile(kernel: Any) -> Any:
        start = time.process_time()
        result = compile_kernel(kernel)
        spent.append(time.process_time() - start)
        return result

    resnet = ZOO["resnet50"]
    model = resnet.build(Arithmetic.ADDER).eval()
    dense.compile_kernel = timed_compile
    with torch.no_grad():
        model(torch.randn(resnet.input_shape))
    return spent


if __name__ == "__main__":
    print(json.dumps(_seconds()))
