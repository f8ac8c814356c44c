"""Empty, zero-dimensional, complex and eight-bit tensors; control flow on values; models of any size."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from addercost.counts.model import ModelCounts, count
from addercost.errors import TraceError
from addercost.trace import tracer as tracer_module
from addercost.trace.inputs import as_inputs
from addercost.trace.tracer import trace
from tests.counts.oracle import Function, traced


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def counts_of(function: Callable[..., Any], *args: Any) -> ModelCounts:
    counts = count(traced(function, *args))
    assert counts.complete, counts.uncounted
    return counts


NETWORK = nn.Sequential(
    nn.Conv2d(3, 4, 3, padding=1),
    nn.BatchNorm2d(4),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(4, 2),
    nn.Softmax(1),
)


def test_an_empty_batch_costs_nothing() -> None:
    counts = count(trace(NETWORK, meta(0, 3, 8, 8)))
    assert counts.complete
    assert (counts.mac_sites, counts.total.total) == (0, 0)
    assert {layer.path for layer in counts.layers} >= {"0", "6"}


EMPTY: list[tuple[str, Callable[..., Any], tuple[Tensor, ...]]] = [
    ("mm, no inner", torch.mm, (meta(2, 0), meta(0, 3))),
    ("bmm, no batch", torch.bmm, (meta(0, 2, 3), meta(0, 3, 2))),
    ("sum", torch.sum, (meta(0, 3),)),
    ("mean", lambda x: x.mean(1), (meta(3, 0),)),
    ("var", lambda x: x.var(1), (meta(3, 0),)),
    ("softmax", lambda x: x.softmax(1), (meta(3, 0),)),
    ("log_softmax", lambda x: x.log_softmax(1), (meta(3, 0),)),
    ("cumsum", lambda x: x.cumsum(0), (meta(0),)),
    ("layer norm", lambda x: F.layer_norm(x, (4,)), (meta(0, 4),)),
    ("group norm", lambda x: F.group_norm(x, 2), (meta(0, 4, 3),)),
    ("cdist", torch.cdist, (meta(0, 4), meta(3, 4))),
    ("sort", lambda x: x.sort()[0], (meta(0),)),
    ("fft", torch.fft.fft, (meta(0, 4),)),
    ("solve", torch.linalg.solve, (meta(0, 2, 2), meta(0, 2, 1))),
    ("interpolate", lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), (meta(0, 1, 2, 2),)),
    ("embedding", lambda i, w: F.embedding(i, w), (meta(0, dtype=torch.int64), meta(4, 2))),
    ("concatenation", lambda x: torch.cat([x, x]), (meta(0, 2),)),
]


@pytest.mark.parametrize(("function", "args"), [row[1:] for row in EMPTY], ids=[row[0] for row in EMPTY])
def test_empty_tensors_cost_nothing(function: Callable[..., Any], args: tuple[Tensor, ...]) -> None:
    assert counts_of(function, *args).total.total == 0


SCALARS: list[tuple[Callable[..., Any], dict[str, int]]] = [
    (lambda x: x + 1, {"add": 1}),
    (lambda x: x.sum(), {}),
    (lambda x: x.mean(), {"divide": 1}),
    (lambda x: x.softmax(0), {"add": 1, "divide": 1, "transcendental": 1}),
    (lambda x: x.cumsum(0), {}),
    (lambda x: x.max(), {}),
    (lambda x: x.sort()[0], {}),
    (lambda x: x.log_softmax(0), {"add": 3, "transcendental": 2}),
]


@pytest.mark.parametrize(("function", "expected"), SCALARS)
def test_zero_dimensional_tensors_are_single_numbers(
    function: Callable[..., Any], expected: dict[str, int]
) -> None:
    found = counts_of(function, meta()).total.by_class()
    assert {name: n for name, n in found.items() if n} == expected


def test_a_complex_convolution_is_three_real_ones() -> None:
    """torch takes Gauss's way: (a+bi)(c+di) from a·c, b·d and (a+b)(c+d)."""
    x, w = meta(1, 2, 5, 5, dtype=torch.complex64), meta(3, 2, 3, 3, dtype=torch.complex64)
    assert counts_of(F.conv2d, x, w).mac_sites == 3 * 3 * 9 * 18


def test_a_complex_linear_layer() -> None:
    layer = nn.Linear(3, 4, dtype=torch.complex64)
    counts = count(trace(layer, meta(2, 3, dtype=torch.complex64)))
    # Eight outputs of two sums each: six real products, five additions and one of the bias.
    assert counts.total.by_class() == {"mul": 8 * 12, "add": 8 * 12}
    assert counts.parameters == 16


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_eight_bit_floating_point(dtype: torch.dtype) -> None:
    counts = counts_of(lambda x: x.to(torch.bfloat16) * 2, meta(4, dtype=dtype))
    assert counts.total.by_format() == {"bf16": {"mul": 4}}
    (layer,) = counts.layers
    assert layer.bytes_read == 4 * 1 + 4 * 2


class Chooses(nn.Module):
    """Takes one of two ways by the value of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Linear(4, 4), nn.Linear(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.near(x) if x.sum() >= 0 else self.far(x)
        return out


@pytest.mark.parametrize(("sign", "sites"), [(1.0, 16), (-1.0, 32)])
def test_control_flow_on_values_takes_a_real_run(sign: float, sites: int) -> None:
    made = trace(Chooses(), sign * torch.ones(1, 4))
    assert made.tracer == "real"
    assert any("real values" in note for note in made.notes)
    assert count(made).mac_sites == sites


def test_a_real_run_that_would_not_fit_says_so_before_it_allocates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer_module, "_available_memory_bytes", lambda: 64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TraceError, match=r"needs values to run.*free"):
        trace(Chooses(), torch.ones(1, 4))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_output_of_unknown_size_takes_a_real_run() -> None:
    made = trace(Function(lambda x: x[x > 0] * 2), torch.tensor([1.0, -1.0, 2.0]))
    assert made.tracer == "real"
    assert count(made).total.by_class()["mul"] == 2


LANGUAGE_MODEL = """
    import torch
    from torch import nn
    from addercost.counts.model import count
    from addercost.measure.devices.process_memory import peak_resident_bytes
    from addercost.sources.build import DataFree
    from addercost.trace.tracer import trace
    import torch.nn.functional as F

    class Block(nn.Module):
        def __init__(self, width, heads, kv_heads, inner):
            super().__init__()
            self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
            self.q = nn.Linear(width, width, bias=False)
            self.k = nn.Linear(width, kv_heads * self.size, bias=False)
            self.v = nn.Linear(width, kv_heads * self.size, bias=False)
            self.o = nn.Linear(width, width, bias=False)
            self.gate = nn.Linear(width, inner, bias=False)
            self.up = nn.Linear(width, inner, bias=False)
            self.down = nn.Linear(inner, width, bias=False)
            self.norms = nn.ModuleList([nn.RMSNorm(width), nn.RMSNorm(width)])

        def forward(self, x):
            n, t, _ = x.shape
            h = self.norms[0](x)
            q, k, v = (
                p(h).view(n, t, m, self.size).transpose(1, 2)
                for p, m in ((self.q, self.heads), (self.k, self.kv_heads), (self.v, self.kv_heads))
            )
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            x = x + self.o(a.transpose(1, 2).reshape(n, t, -1))
            h = self.norms[1](x)
            return x + self.down(F.silu(self.gate(h)) * self.up(h))

    class Model(nn.Module):
        def __init__(self, words, width, layers, *rest):
            super().__init__()
            self.embed = nn.Embedding(words, width)
            self.blocks = nn.Sequential(*(Block(width, *rest) for _ in range(layers)))
            self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, words, bias=False)

        def forward(self, ids):
            return self.head(self.norm(self.blocks(self.embed(ids))))

    SHAPE, T = {shape}, 128
    with DataFree():
        model = Model(*SHAPE)
    words, width, layers, heads, kv_heads, inner = SHAPE
    made = trace(model, torch.empty(1, T, dtype=torch.int64, device="meta"))
    counts = count(made, "macs")
    per_block = width * (2 * width + 2 * kv_heads * width // heads + 3 * inner)
    expected = layers * (T * per_block + 2 * T * T * width) + T * width * words
    assert counts.complete and counts.mac_sites == expected, (counts.mac_sites, expected)
    print(peak_resident_bytes() / 2**30)
"""
LLAMA_2B = (32000, 8192, 2, 64, 64, 22016)
"""Two blocks, each twice as wide as those of Llama 7B: 8.6 GB of weights."""
LLAMA_405B = (128256, 16384, 126, 128, 8, 53248)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("shape", "limit_gib"),
    [
        pytest.param(LLAMA_2B, 1.5, id="2B"),
        pytest.param(LLAMA_405B, 2.0, id="405B"),
    ],
)
def test_a_language_model_is_traced_in_memory_that_does_not_grow_with_it(
    shape: tuple[int, ...], limit_gib: float
) -> None:
    script = textwrap.dedent(LANGUAGE_MODEL).replace("{shape}", repr(shape))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < limit_gib


def test_attention_of_nested_tensors() -> None:
    """Sequences of 3 and 5, two heads of 4 numbers: scores and their sums take 2·4·(9 + 25) products each."""

    def attention(*sequences: Tensor) -> Tensor:
        x = torch.nested.nested_tensor(list(sequences), layout=torch.jagged)
        heads = x.unflatten(-1, (2, 4)).transpose(1, 2)
        made: Tensor = F.scaled_dot_product_attention(heads, heads, heads).values()
        return made

    def of_offsets(values: Tensor) -> Tensor:
        x = torch.nested.nested_tensor_from_jagged(values, torch.tensor([0, 3, 8]))
        return attention(*x.unbind())

    for counts in (
        counts_of(attention, torch.zeros(3, 8), torch.zeros(5, 8)),
        counts_of(of_offsets, torch.zeros(8, 8)),
    ):
        assert counts.mac_sites == 2 * 2 * 4 * (9 + 25)


def test_a_packed_sequence_as_an_input() -> None:
    """8 steps of 16 outputs of 8 + 16 values."""
    packed = pack_sequence([torch.zeros(5, 8), torch.zeros(3, 8)])
    counts = count(trace(nn.RNN(8, 16), packed))
    assert counts.complete and counts.mac_sites == 8 * 16 * (8 + 16)
    assert as_inputs(packed, "model.py").args == (packed,)


def test_a_forward_that_computes_gradients() -> None:
    """Forces are the gradient of an energy: x·w of 4·8·16 products, and its gradient of x. The caller's
    tensors have no gradients afterwards.
    """
    layer, x = nn.Linear(8, 16), torch.zeros(4, 8)

    def forces(x: Tensor) -> Tensor:
        x.requires_grad_()
        (found,) = torch.autograd.grad(layer(x).sum(), x)
        return found

    counts = count(trace(Held(layer, forces), x))
    assert counts.complete and counts.mac_sites == 2 * 4 * 8 * 16
    assert layer.weight.grad is None and not x.requires_grad


class Held(nn.Module):
    """A function that calls a module."""

    def __init__(self, layer: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_tangents_of_tensors_that_are_zero() -> None:
    """torch multiplies by the zeros that stand for a weight's tangent, too."""
    layer = nn.Linear(8, 16)
    held = Held(layer, lambda x: torch.func.jvp(layer, (x,), (x,))[1])
    assert count(trace(held, torch.zeros(4, 8))).complete
