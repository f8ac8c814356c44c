"""torchvision's detectors, optical flow and quantised networks by name, with inputs that fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from addercost.api import trace_spec
from addercost.counts.model import count
from addercost.sources import torchvision_models
from addercost.sources.kind import TraceRequest
from addercost.sources.tracing import trace_batches

torchvision_models._models()


@pytest.mark.exhaustive
def test_the_detector_whose_count_no_box_changes() -> None:
    """ssdlite proposes its boxes from fixed anchors, so torchvision's published count is any image's."""
    trace = trace_spec("torchvision:ssdlite320_mobilenet_v3_large")
    counts = count(trace, "macs")
    assert round(counts.mac_sites / 1e9, 3) == torchvision_models.published_operations(
        "ssdlite320_mobilenet_v3_large"
    )
    assert counts.complete
    assert any("how many are found" in note for note in counts.notes)
    assert [spec.shape for spec in counts.inputs] == [(3, 320, 320)]
    assert trace == trace_spec("torchvision:ssdlite320_mobilenet_v3_large"), "the same boxes each time"


@pytest.mark.exhaustive
def test_a_training_step_of_a_detector_has_targets() -> None:
    """Two images: forward, and twice that for the gradients of the convolutions but for the first one, whose
    inputs, the images, have gradients as well; all sites are those of convolutions, at batch 2."""
    name = "torchvision:ssdlite320_mobilenet_v3_large"
    forward = count(trace_spec(name), "macs").mac_sites
    made = trace_batches(name, TraceRequest(backward=True), (2,)).traces[2]
    counts = count(made, "macs")
    assert counts.complete and counts.mac_sites == 3 * 2 * forward
    assert len([spec for spec in made.inputs if spec.shape == (8, 4)]) == 2


@pytest.mark.exhaustive
def test_a_detector_that_proposes_boxes_runs_whole() -> None:
    made = trace_spec("torchvision:fasterrcnn_mobilenet_v3_large_320_fpn")
    for part in ("backbone.body.0", "rpn.head", "roi_heads.box_head.fc6"):
        assert any(path.startswith(part) for path in made.modules)
    assert count(made).complete


@pytest.mark.exhaustive
def test_optical_flow_takes_two_frames() -> None:
    """Frames of the size of torchvision's example; two pairs have twice the sites of one."""
    trace = trace_spec("torchvision:raft_small")
    assert [spec.shape for spec in trace.inputs] == [(1, 3, 520, 960)] * 2
    one, two = (count(trace_spec("torchvision:raft_small", batch=n), "macs").mac_sites for n in (1, 2))
    assert two == 2 * one


def test_a_quantised_network_computes_in_integers_and_has_its_parameters() -> None:
    """The sites of the float network, its parameters with the batch norms folded: a bias a filter in place of
    two parameters a channel."""
    quantised, plain = (
        count(trace_spec(f"torchvision:{n}"), "macs") for n in ("quantized_resnet18", "resnet18")
    )
    assert quantised.mac_sites == plain.mac_sites
    assert set(quantised.total.by_format()) == {"int8", "int32"}
    filters = sum(layer.parameters // 2 for layer in plain.layers if layer.type == "BatchNorm2d")
    assert quantised.parameters == plain.parameters - filters


def test_suppression_keeps_what_brute_force_keeps() -> None:
    from addercost.sources.torchvision_operators import _suppressed

    torch.manual_seed(0)
    corners = torch.rand(60, 2)
    boxes = torch.cat([corners, corners + 0.1 + torch.rand(60, 2) / 3], dim=1)
    scores = torch.rand(60)

    def area(box: list[float]) -> float:
        return (box[2] - box[0]) * (box[3] - box[1])

    def covers(a: list[float], b: list[float]) -> float:
        sides = [min(a[2 + i], b[2 + i]) - max(a[i], b[i]) for i in (0, 1)]
        common = max(sides[0], 0) * max(sides[1], 0)
        return common / (area(a) + area(b) - common)

    kept: list[int] = []
    for i in sorted(range(60), key=lambda i: -float(scores[i])):
        if all(covers(boxes[i].tolist(), boxes[j].tolist()) <= 0.3 for j in kept):
            kept.append(i)
    assert _suppressed(boxes, scores, 0.3).tolist() == kept
    assert 5 < len(kept) < 60


@pytest.mark.parametrize("ratio", [-1, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_pooling_and_its_gradient_are_torchvisions(aligned: bool, ratio: int) -> None:
    """Against torchvision's own form in Python, which takes too much memory for masks. It samples beyond the
    image, so the boxes are inside, as those of detectors are."""
    from addercost.sources.torchvision_operators import _pooled, _pooled_backward

    pool: Any = sys.modules["torchvision.ops.roi_align"]._roi_align.__wrapped__  # type: ignore[attr-defined]
    torch.manual_seed(1)
    images = torch.rand(2, 3, 9, 11, requires_grad=True)
    rois = torch.tensor([[0.0, 1, 1, 15, 9], [1, 0, 2, 4, 17], [1, 5.5, 5.5, 6.0, 6.0], [0, 0, 0, 21, 17]])
    settings = (0.5, 3, 2, ratio, aligned)
    expected: Tensor = pool(images, rois, *settings)
    torch.testing.assert_close(_pooled(images.detach(), rois, *settings), expected.detach())
    grad = torch.rand(expected.shape)
    expected.backward(grad)
    made = _pooled_backward(grad, rois, 0.5, 3, 2, 2, 3, 9, 11, ratio, aligned)
    torch.testing.assert_close(made, images.grad)


ROI_ALIGN = (
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor"
)
NMS = "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
OWN_OPERATORS = {
    "without torchvision": ("FRAGMENT", (ROI_ALIGN,), "import torch"),
    "so that torchvision can be imported": ("DEF", (NMS, f"q{NMS}", ROI_ALIGN), "import torchvision"),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("kind", "schemas", "line"),
    [
        pytest.param(*case, id=name, marks=pytest.mark.exhaustive if case[0] == "DEF" else ())
        for name, case in OWN_OPERATORS.items()
    ],
)
def test_a_file_may_define_torchvisions_operators_itself(
    kind: str, schemas: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    """It finds none of ours in its way."""
    defined = "".join(f'library.define("{schema}")\n' for schema in schemas)
    (tmp_path / "model.py").write_text(
        "import torch\n"
        f'library = torch.library.Library("torchvision", "{kind}")\n'
        f"{defined}{line}\n"
        "model, example_inputs = torch.nn.Linear(3, 2), torch.zeros(1, 3)\n"
    )
    command = [sys.executable, "-m", "addercost", "profile", str(tmp_path / "model.py"), "--cpu", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
