"""Every rule against a loop over counting numbers, on shapes that Hypothesis draws."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.counts.registry import RULES
from addercost.counts.rules.elementwise import ELEMENTWISE
from addercost.counts.rules.movement import nothing
from tests.counts import cases
from tests.counts.oracle import CASES, check

for _module in pkgutil.iter_modules(cases.__path__):
    importlib.import_module(f"{cases.__name__}.{_module.name}")


@pytest.mark.parametrize("name", sorted(CASES))
def test_rule_counts_what_the_loop_does(name: str) -> None:
    compare(name, examples=6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted(CASES))
def test_rule_counts_what_the_loop_does_on_many_shapes(name: str) -> None:
    compare(name, examples=40)


def compare(name: str, examples: int) -> None:
    make, operators = CASES[name]
    traced: set[str] = set()

    @settings(max_examples=examples, database=None, derandomize=True)
    @given(st.data())
    def run(data: Any) -> None:
        torch.manual_seed(0)
        traced.update(check(make(data.draw)))

    run()
    assert set(operators) <= traced, "the case never reached the operator it stands for"


NOT_LOOPED = {
    "spectral methods iterate until they converge: flop estimates of the textbook": (
        "aten._linalg_eigh", "aten.linalg_eig", "aten._linalg_svd", "aten.linalg_pinv",
        "aten.linalg_matrix_exp", "aten.linalg_ldl_factor_ex", "aten.linalg_ldl_solve",
    ),
    "worst case of a sort or a selection, which depends on values": (
        "aten.sort", "aten.topk", "aten.kthvalue", "aten.median", "aten.mode", "aten.unique_consecutive",
        "aten.isin",
    ),
    "random numbers": (
        "aten.rand", "aten.uniform_", "aten.randn", "aten.normal_", "aten.log_normal_", "aten.bernoulli_",
        "aten.exponential_", "aten.geometric_", "aten.cauchy_", "aten.native_dropout", "aten.randperm",
        "aten.multinomial", "aten.rrelu_with_noise", "aten._standard_gamma", "aten._sample_dirichlet",
    ),
    "put together from rules that are looped": (
        "aten.linalg_lstsq", "aten.linalg_householder_product", "aten.ormqr", "aten.cholesky_inverse",
        "aten._embedding_bag", "aten._fft_r2c", "aten._fft_c2r", "aten._euclidean_dist",
        "aten.embedding_renorm_", "aten._flash_attention_forward",
        "torch_nn._linear_cross_entropy_batch_chunked",
    ),
    "no kernel on a CPU, or packed weights": (
        "aten._scaled_mm", "aten._grouped_mm", "aten._weight_int8pack_mm", "aten._weight_int4pack_mm",
        "aten._dyn_quant_matmul_4bit", "quantized.linear", "quantized.conv2d", "quantized.add",
        "aten.quantize_per_tensor", "aten.dequantize", "addercost.adder_conv2d_u8",
        "addercost.adder_conv2d_quantized", "addercost.binary_conv2d_packed",
        "addercost.adder_conv2d_fused", "addercost.adder_conv2d_coded", "addercost.binary_conv2d_signs",
        "addercost.binary_conv2d_fused",
    ),
    "layers of test_bitlinear.py, whose arithmetic test_arithmetics.py compares with a loop": (
        "addercost.ternary_linear", "addercost.ternary_linear_packed",
    ),
    "element-wise: test_elementwise.py": (
        "aten.gelu", "aten.gelu_backward", "aten.elu", "aten.round", "aten.mvlgamma", "aten.frexp",
        "aten.pow", "aten.clamp", "aten.lerp",
    ),
    "composites that a dispatch trace takes apart: test_second_tracer.py holds both equal": (
        "aten.instance_norm", "aten.einsum", "aten.lstm", "aten.gru", "aten.rnn_tanh", "aten.rnn_relu",
        "aten.bilinear", "aten.diff", "aten.selu", "aten.rrelu", "aten.prelu",
    ),
    "called without the operators' kernels: test_detection.py has their loops": (
        "torchvision.deform_conv2d", "torchvision.roi_align", "torchvision.nms",
        "torchvision._deform_conv2d_backward", "torchvision._roi_align_backward",
        "torchvision._ps_roi_align_backward", "torchvision._roi_pool_backward",
    ),
    "not counted, since values decide the work": (
        "torchvision.roi_pool", "torchvision.ps_roi_pool", "torchvision._ps_roi_pool_backward",
    ),
    "attention to a part of the keys: test_partial_attention.py": (
        "flex_lib.zeros_and_scatter", "addercost.partial_attention", "addercost.partial_attention_backward",
        "torch_attn._varlen_attn", "torch_attn._varlen_attn_out", "torch_attn._varlen_attn_backward",
    ),
    "put into a trace by what-ifs: test_stored_weights.py writes the sums out": (
        "addercost.dequantize_weight", "addercost.scale_sums", "addercost.scale_elements",
        "addercost.round_inputs", "addercost.scale_block_sums",
    ),
    "a scan of states, against its loop in transformers: test_whole_scans.py": (
        "addercost.selective_scan", "addercost.wkv_scan", "addercost.linear_recurrence",
    ),
    "sparse operands: test_sparse.py": (
        "aten.sparse_sampled_addmm", "aten._sparse_semi_structured_mm", "aten._sparse_softmax",
        "aten._sparse_log_softmax", "aten._sparse_softmax_backward_data",
        "aten._sparse_log_softmax_backward_data", "aten._sparse_sum", "aten._sparse_csr_sum",
        "aten._coalesce", "aten._sparse_sparse_matmul",
    ),
    "layers in plain torch: test_recognised_layers.py": ("addercost.adder_pairs",),
    "a count by its definition": (
        "aten.affine_grid_generator", "aten.bincount", "aten.histc", "aten._histogramdd_from_bin_tensors",
        "aten._histogramdd_bin_edges", "aten.nonzero", "aten.segment_reduce", "aten._ctc_loss",
        "aten.hash_tensor", "aten.avg_pool2d",
    ),
}  # fmt: skip
"""Rules without a loop of their own, and why. A name stands for its whole rule."""


def test_every_rule_has_a_loop_or_a_reason() -> None:
    looped = {RULES[name] for _, names in CASES.values() for name in names}
    excused = {RULES[name] for names in NOT_LOOPED.values() for name in names}
    elementwise = {RULES[f"aten.{name}"] for name in ELEMENTWISE}
    missing = [n for n, rule in RULES.items() if rule not in looped | excused | elementwise | {nothing}]
    assert not missing
