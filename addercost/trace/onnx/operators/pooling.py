"""Pooling, resizing and sampling."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.trace.onnx.node import OnnxNode
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import ArgValue, OpCall


@translates("MaxPool", "AveragePool")
def pool(node: OnnxNode) -> Iterator[OpCall]:
    kernel = node.integers("kernel_shape") or ()
    axes = len(kernel)
    arguments: dict[str, ArgValue] = {
        "self": node.tensor(0),
        "kernel_size": kernel,
        "stride": node.integers("strides") or (1,) * axes,
        "padding": (node.integers("pads") or (0,) * (2 * axes))[:axes],
    }
    if axes > 3:
        yield node.uncounted()
        return
    if node.op == "AveragePool":
        yield node.call(f"aten.avg_pool{axes}d.default", arguments)
        return
    indices = "_with_indices" if len(node.outputs) > 1 else ""
    yield node.call(f"aten.max_pool{axes}d{indices}.default", arguments)


@translates("GlobalAveragePool")
def global_average(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten.mean.dim", {"self": node.tensor(0), "keepdim": True})


@translates("GlobalMaxPool")
def global_maximum(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten.amax.default", {"self": node.tensor(0), "keepdim": True})


@translates("Resize", "Upsample")
def resize(node: OnnxNode) -> Iterator[OpCall]:
    """Resizes along the axes whose size changes, counted from the last."""
    x, out = node.tensor(0), node.output
    mode = str(node.attributes.get("mode", "nearest"))
    axes = max(len(x.shape) - 2, 1)
    arguments: dict[str, ArgValue] = {
        "self": x,
        "output_size": out.shape[-axes:],
        "align_corners": node.attributes.get("coordinate_transformation_mode") == "align_corners",
    }
    smooth = node.attributes.get("antialias") and axes == 2
    names = {
        ("linear", 1): "upsample_linear1d",
        ("linear", 2): "_upsample_bilinear2d_aa" if smooth else "upsample_bilinear2d",
        ("linear", 3): "upsample_trilinear3d",
        ("bilinear", 2): "upsample_bilinear2d",
        ("cubic", 2): "_upsample_bicubic2d_aa" if smooth else "upsample_bicubic2d",
        ("nearest", 1): "upsample_nearest1d",
        ("nearest", 2): "upsample_nearest2d",
        ("nearest", 3): "upsample_nearest3d",
    }
    name = names.get((mode, axes))
    yield node.call(f"aten.{name}.default", arguments) if name else node.uncounted()


@translates("GridSample")
def grid_sample(node: OnnxNode) -> Iterator[OpCall]:
    mode = {"nearest": 1, "cubic": 2, "bicubic": 2}.get(str(node.attributes.get("mode")), 0)
    padding = {"border": 1, "reflection": 2}.get(str(node.attributes.get("padding_mode")), 0)
    yield node.call(
        "aten.grid_sampler_2d.default" if len(node.tensor(0).shape) == 4 else "aten.grid_sampler_3d.default",
        {
            "input": node.tensor(0),
            "grid": node.tensor(1),
            "interpolation_mode": mode,
            "padding_mode": padding,
            "align_corners": bool(node.attributes.get("align_corners", 0)),
        },
    )


@translates("RoiAlign")
def roi_align(node: OnnxNode) -> Iterator[OpCall]:
    out = node.output
    yield node.call(
        "torchvision.roi_align.default",
        {
            "input": node.tensor(0),
            "rois": node.tensor(1),
            "spatial_scale": float(node.attributes.get("spatial_scale", 1.0)),
            "pooled_height": out.shape[-2],
            "pooled_width": out.shape[-1],
            "sampling_ratio": int(node.attributes.get("sampling_ratio", 0)),
            "aligned": str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))
            == "half_pixel",
        },
    )


@translates("MaxRoiPool")
def roi_pool(node: OnnxNode) -> Iterator[OpCall]:
    height, width = node.integers("pooled_shape") or (1, 1)
    yield node.call(
        "torchvision.roi_pool.default",
        {
            "input": node.tensor(0),
            "rois": node.tensor(1),
            "spatial_scale": float(node.attributes.get("spatial_scale", 1.0)),
            "pooled_height": height,
            "pooled_width": width,
        },
    )


@translates("AffineGrid")
def affine_grid(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten.affine_grid_generator.default", {"theta": node.tensor(0)})
