"""Networks of ultralytics at 256 × 256, which reads them from its own YAML files."""

from __future__ import annotations

import importlib

from benchmarks.real_models.case import Case, Make, image, named

_CLASSES = {
    "yolov5n": "DetectionModel",
    "yolov8n": "DetectionModel",
    "yolov8n-seg": "SegmentationModel",
    "yolov8n-pose": "PoseModel",
    "yolov8n-cls": "ClassificationModel",
    "yolov8n-obb": "OBBModel",
    "yolov9t": "DetectionModel",
    "yolov10n": "DetectionModel",
    "yolo11n": "DetectionModel",
    "yolo12n": "DetectionModel",
}


def _made(name: str) -> Case:
    tasks = importlib.import_module("ultralytics.nn.tasks")
    return Case(getattr(tasks, _CLASSES[name])(f"{name}.yaml", verbose=False), (image(256),))


def cases() -> dict[str, Make]:
    return named(_CLASSES, _made)
