"""Operators that compute nothing: they move, select, copy or create data.

Each is listed here, so that an operator counts 0 by decision and never by oversight. Views are recognised by
their schema and need no entry.
"""

from __future__ import annotations

from addercost.counts.registry import rule
from addercost.counts.work import NO_WORK, OperatorWork
from addercost.trace.record import OpCall

MOVEMENT = (
    # copies and casts
    "_to_copy", "clone", "copy", "copy_", "contiguous", "lift_fresh_copy", "_unsafe_view", "_reshape_copy",
    "detach_", "resize_", "set_", "_assert_async", "_assert_tensor_metadata",
    # joining, cutting, rearranging
    "cat", "stack", "roll", "flip", "rot90", "repeat", "repeat_interleave", "tril", "triu", "tril_",
    "triu_", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "replication_pad1d", "replication_pad2d", "replication_pad3d", "pixel_shuffle", "pixel_unshuffle",
    "channel_shuffle", "native_channel_shuffle", "im2col", "_chunk_cat", "split_with_sizes_copy",
    "unfold_copy", "block_diag", "diag_embed", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk",
    # selection by an index or a mask
    "index", "index_select", "_unsafe_index", "gather",
    "masked_fill", "masked_fill_", "masked_select", "masked_scatter", "where",
    "embedding", "take", "index_copy", "index_copy_", "index_fill", "index_fill_", "slice_scatter",
    "put_copy", "lu_unpack", "max_unpool2d", "max_unpool3d", "resize_as_", "complex", "view_as_complex_copy",
    "view_as_real_copy", "alias_copy", "as_strided_copy", "diagonal_copy", "expand_copy", "narrow_copy",
    "permute_copy", "squeeze_copy", "t_copy", "transpose_copy", "unbind_copy", "unsqueeze_copy", "view_copy",
    "select_copy", "slice_copy", "split_copy", "detach_copy", "_unsafe_masked_index", "conj", "real",
    "imag", "Int", "size", "numel", "pad", "ScalarImplicit", "IntImplicit",
    "FloatImplicit", "Float", "Bool", "dim", "len", "type_as", "to", "flatten", "reshape", "__getitem__",
    "atleast_1d", "atleast_2d", "atleast_3d",
    "_linalg_check_errors", "select_scatter", "diagonal_scatter", "as_strided_scatter",
    "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d",
    "_upsample_nearest_exact3d", "t_", "transpose_", "squeeze_", "unsqueeze_", "as_strided_", "swapaxes_",
    "swapdims_",
    # constants
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "zeros",
    "zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full", "fill",
    "fill_", "zero", "zero_", "scalar_tensor", "eye", "arange", "linspace", "logspace", "tril_indices",
    "triu_indices", "lift_fresh", "_local_scalar_dense", "item", "is_same_size", "sym_size", "sym_numel",
    "sym_stride", "sym_storage_offset", "is_coalesced", "sparse_mask", "_nnz",
    "_efficientzerotensor", "_has_same_storage_numel",
    # batches of sequences without their padding; checks of the arguments of distributions
    "_pack_padded_sequence", "_pad_packed_sequence", "_is_all_true", "_is_any_true", "is_nonzero",
    # sparse and nested layouts
    "_to_dense", "_to_sparse", "_to_sparse_csr", "_to_sparse_csc", "_to_sparse_bsr", "_to_sparse_bsc",
    "_sparse_coo_tensor_with_dims_and_tensors", "_sparse_coo_tensor_unsafe", "_sparse_csr_tensor_unsafe",
    "_sparse_compressed_tensor_unsafe", "sparse_compressed_tensor", "_coalesced_", "_sparse_sum_backward",
    "sparse_dim", "dense_dim", "to_padded_tensor", "_nested_from_padded",
    "_nested_tensor_from_tensor_list", "_nested_tensor_from_mask", "_nested_tensor_size", "record_stream",
)  # fmt: skip

MARKS_AND_TRANSPORT = (
    "prim.device",
    *(f"profiler.{name}" for name in (
        "_record_function_enter", "_record_function_enter_new", "_record_function_exit",
    )),
    *(f"_c10d_functional.{name}" for name in (
        "all_gather_into_tensor", "all_gather_into_tensor_coalesced", "all_gather_into_tensor_out",
        "all_to_all_single", "broadcast", "broadcast_", "wait_tensor",
    )),
    *(f"c10d.{name}" for name in (
        "allgather_", "_allgather_base_", "allgather_coalesced_", "allgather_into_tensor_coalesced_",
        "alltoall_", "alltoall_base_", "barrier", "broadcast_", "gather_", "recv_", "scatter_", "send",
    )),
    *(f"fsdp.{name}" for name in ("all_gather_copy_in", "split_with_sizes_copy", "chunk_cat", "copy_")),
    "inductor.resize_storage_bytes_",
)  # fmt: skip
"""Marks for the profiler, and operators that send tensors between processes without computing."""


@rule(*(f"aten.{name}" for name in MOVEMENT), *MARKS_AND_TRANSPORT)
def nothing(call: OpCall) -> OperatorWork:
    return NO_WORK
