"""Everything that commands import, imported once: what is forked from this process then runs at once."""

from __future__ import annotations

import importlib
import os
import pkgutil

LIBRARIES = (
    "duckdb", "jinja2", "matplotlib.backends.backend_agg", "matplotlib.pyplot", "numpy", "onnx", "openpyxl",
    "pyarrow.parquet", "sklearn.datasets", "tflite", "torch", "torch.export",
)  # fmt: skip


def warm_up() -> None:
    # Threads that a library starts do not survive a fork.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS"):
        os.environ[name] = "1"
    for name in LIBRARIES:
        importlib.import_module(name)
    import addercost

    for module in pkgutil.walk_packages(addercost.__path__, "addercost."):
        if not module.name.startswith(("addercost.kernels.gpu", "addercost.__main__")):
            importlib.import_module(module.name)
