"""One valid input of each kind, made by the tool itself, in a folder that attempts copy."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.attack.call import Ended, called

NET = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 10)
        )

example_inputs = torch.zeros(1, 1, 8, 8)
"""
SPACE = """
import torch
from torch import nn

architectures = [(f"linear-{n}", lambda n=n: nn.Linear(n, 3), torch.empty(2, n)) for n in range(1, 7)]
"""
TIMINGS = "model,ms\nzoo:lenet5-bn,1.5\nzoo:lenet5-bn:adder,2.5\nzoo:resnet20-cifar,20\n"
CONFIG = {
    "model_type": "llama",
    "vocab_size": 32,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "architectures": ["LlamaForCausalLM"],
}
WIDTHS = 'bits = { "0" = 4 }\n'
BENCH = (
    "bench",
    "--conv",
    "1,2,6,6,2,3,1,1",
    "--time-limit",
    "0.02",
    "--arithmetic",
    "mac",
    "--quiet",
    "--accept-noise",
)
SWEEP = ("sweep", "space.py", "--workers", "1", "--chunk", "2", "--quiet", "--cpu", "via-nano-2000")
TRAIN = (
    "train",
    "net.py:Net",
    "--data",
    "digits",
    "--epochs",
    "2",
    "--batch",
    "512",
    "--checkpoint-every",
    "2",
    "--quiet",
)
VALIDATE = ("validate", "--measured", "timings.csv", "--column", "ms", "--cpu", "intel-skylake-x", "--quiet")
MADE: Sequence[tuple[str, ...]] = (
    ("profile", "net.py:Net", "--save-trace", "trace.json", "--quiet"),
    (
        "profile",
        "net.py:Net",
        "--cpu",
        "via-nano-2000",
        "--energy",
        "45nm",
        "--format",
        "json",
        "-o",
        "profile.json",
    ),
    ("report", "net.py:Net", "--as", "mac,adder", "-o", "report.html", "--quiet"),
    ("report", "net.py:Net", "-o", "report.json", "--quiet"),
    (*BENCH, "-o", "bench.json"),
    (*SWEEP, "-o", "swept"),
    (*TRAIN, "-o", "trained"),
    (*VALIDATE, "-o", "scores"),
)


def environment_of_the_attack(home: Path) -> None:
    """Nothing of this machine's user is read or written, and small layers compile no kernel."""
    for name in list(os.environ):
        if name.startswith(("ADDERCOST_", "XDG_")):
            del os.environ[name]
    os.environ.update(
        HOME=str(home),
        ADDERCOST_KERNEL="reference",
        OMP_NUM_THREADS="1",
        COLUMNS="100",
        PYTHONPATH=os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
    )


def make(folder: Path) -> None:
    """Fills the folder. Raises AssertionError where a call of ours fails."""
    import addercost

    (folder / "net.py").write_text(NET)
    (folder / "space.py").write_text(SPACE)
    (folder / "timings.csv").write_text(TIMINGS)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "widths.toml").write_text(WIDTHS)
    tables = Path(addercost.__file__).parent / "hardware"
    for kind in ("cpus/via-nano-2000", "accelerators/tpu-like", "gpus/rtx-3090", "energy/45nm"):
        shutil.copy(tables / f"{kind}.toml", folder)
    os.chdir(folder)
    for arguments in MADE:
        ended: Ended = called(arguments)
        assert ended.code == 0, (arguments, ended)
