"""Binary files cut off, changed and replaced: shards, checkpoints, graphs, archives."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.attack.attempt import Attempt
from tests.attack.bad_calls import left_behind, names_in, prepare
from tests.attack.call import called, fault_of
from tests.attack.documents import CUTS, FLIPS
from tests.attack.material import SWEEP, TRAIN

BATCH = 5


@dataclass(frozen=True, slots=True)
class Binary:
    """find: the file in the folder. commands: which read it, one of them by lot."""

    name: str
    find: Callable[[Path], Path]
    commands: Sequence[Sequence[str]]


BINARIES = (
    Binary(
        "shard",
        lambda folder: min((folder / "swept").glob("*.parquet")),
        (
            ("query", "swept", "SELECT * FROM sweep"),
            ("sweep", "top", "swept", "--by", "mac_sites"),
            (*SWEEP, "-o", "swept"),
        ),
    ),
    Binary(
        "checkpoint",
        lambda folder: folder / "trained" / "checkpoint.pt",
        ((*TRAIN, "-o", "trained", "--resume"), ("plot", "filters", "trained", "-o", "f.svg", "--force")),
    ),
    Binary("archive", lambda folder: folder / "net.pt2", (("profile", "net.pt2"),)),
    Binary("onnx", lambda folder: folder / "net.onnx", (("profile", "net.onnx"),)),
    Binary("tflite", lambda folder: folder / "net.tflite", (("profile", "net.tflite"),)),
    Binary("gguf", lambda folder: folder / "net.gguf", (("profile", "net.gguf"),)),
)


def make_binaries(folder: Path) -> None:
    """Those that no command of ours makes."""
    import onnx
    import torch
    from onnx import TensorProto, helper
    from torch import nn

    from tests.trace.tflite.graphs import Graph, Op, Tensor

    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    torch.export.save(torch.export.export(model, (torch.zeros(1, 1, 8, 8),)), folder / "net.pt2")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 4]) for name in ("x", "z")]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 4], [0.5] * 16)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(folder / "net.onnx"))
    tensors = (
        Tensor("in", (1, 5, 6, 3)),
        Tensor("weights", (4, 3, 3, 3), weights=108),
        Tensor("bias", (4,), "INT32", weights=16),
        Tensor("out", (1, 3, 4, 4)),
    )
    options = ("Conv2DOptions", {"StrideH": 1, "StrideW": 1})
    (folder / "net.tflite").write_bytes(Graph(tensors, (Op("CONV_2D", (0, 1, 2), (3,), options),)).data())
    (folder / "net.gguf").write_bytes(gguf())


def gguf() -> bytes:
    """A header with an architecture, a number and one tensor of eight numbers in fp32."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("llama.block_count") + struct.pack("<II", 4, 2)
    head += text("output_norm.weight") + struct.pack("<IQIQ", 1, 8, 0, 0)
    return head + bytes(-len(head) % 32) + bytes(32)


def attempts(inputs: Path, rng: random.Random, share: float) -> Sequence[Attempt]:
    found = []
    for binary in BINARIES:
        data = binary.find(inputs).read_bytes()
        changes = [("replaced by a text", b"not what it says"), ("empty", b"")]
        changes += [_cut(data, len(data) * i // CUTS) for i in rng.sample(range(CUTS), round(CUTS * share))]
        changes += [_flipped(data, rng) for _ in range(round(FLIPS * share))]
        for first in range(0, len(changes), BATCH):
            batch = changes[first : first + BATCH]
            found.append(
                Attempt(
                    f"{binary.name} {first}", _reads(inputs, binary, batch, rng.random()), len(batch), 200
                )
            )
    rng.shuffle(found)
    return found


def _cut(data: bytes, end: int) -> tuple[str, bytes]:
    return f"cut off at {end}", data[:end]


def _flipped(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """One to four bytes of it are others."""
    buffer, places = io.BytesIO(data), [rng.randrange(len(data)) for _ in range(rng.randint(1, 4))]
    for place in places:
        buffer.seek(place)
        buffer.write(bytes([rng.randrange(256)]))
    return f"bytes {places} changed", buffer.getvalue()


def _reads(
    inputs: Path, binary: Binary, changes: Sequence[tuple[str, bytes]], seed: float
) -> Callable[[Path], list[str]]:
    def reads(folder: Path) -> list[str]:
        rng, faults = random.Random(seed), []
        prepare(inputs, folder)
        for what, data in changes:
            file = binary.find(folder)
            file.write_bytes(data)
            before = names_in(folder)
            arguments = rng.choice(binary.commands)
            ended = called(arguments)
            fault = fault_of(ended, arguments)
            if not fault and "ended the program" in ended.stderr:
                fault = f"the file ends the program: {ended.stderr[-300:]!r}"
            # What a sweep or a training has kept is more than the damaged file.
            if not fault and arguments[0] not in ("sweep", "train"):
                fault = left_behind(before, folder, ended.code)
            if fault:
                faults.append(f"{what}: {' '.join(arguments)}: {fault}")
        return faults

    return reads
