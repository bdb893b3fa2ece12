"""A task whose measurements are numbers from a table, to test what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.errors import PipelineError
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.stages import Seconds
from jpeg_preproc.evaluation.task import LabelMap, Measurement, Task

BASE = RestorerChoice("base", "base", "ab")

#: What was done to the images, and whether they were restored: ``('jpeg:10', True)``.
What = tuple[str, bool] | None
VALUES: dict[What, float] = {
    None: 30.0,
    ("jpeg:10", False): 20.0,
    ("jpeg:10", True): 27.0,
    ("jpeg:90", False): 30.0,
    ("jpeg:90", True): 29.0,
    ("webp:30", False): 25.0,
    ("webp:30", True): 26.0,
    ("cropped_jpeg:10,offset=4", False): 24.0,
    ("cropped_jpeg:10,offset=4", True): 28.0,
}


class FakeTask:
    """Two images of a detector."""

    def __init__(self, fails: Collection[What] = (), **fingerprint: Any) -> None:
        self.dataset, self.model, self.images = "coco", "yolo/x", 2
        self.fingerprint: dict[str, Any] = {"checkpoint": "cd", **fingerprint}
        self.packages: tuple[str, ...] = ("numpy",)
        self.stages: Seconds = {}
        self.fails = fails
        self.measured: list[What] = []

    @property
    def skipped(self) -> Sequence[dict[str, str]]:
        return ()

    @property
    def image_paths(self) -> Sequence[Path]:
        return [Path("one.jpg"), Path("two.jpg")]

    @property
    def class_names(self) -> Mapping[int, str]:
        return {0: "ant"}

    def label_maps(
        self, condition: Condition, settings: RestoreSettings, indices: Sequence[int]
    ) -> list[LabelMap]:
        raise PipelineError("it is a detector")

    def measure(
        self,
        condition: Condition,
        settings: RestoreSettings,
        name: str,
        on_image: Callable[[], None] | None = None,
    ) -> Measurement:
        what: What = None
        if condition.corruption is not None:
            what = (condition.corruption.spelling, condition.restorer is not None)
        if what in self.fails:
            raise PipelineError("cannot stand there")
        self.measured.append(what)
        for _ in range(self.images):
            if on_image:
                on_image()
        drawn = [VALUES[what] + shift for shift in (-1.0, 0.0, 1.0)]
        return Measurement(
            "mAP",
            VALUES[what],
            self.images,
            0.5,
            {"x": 1.0},
            drawn,
            bytes_per_pixel=None if what is None else 0.25,
        )

    def stages_alone(self, condition: Condition, settings: RestoreSettings) -> Seconds:
        return {}


# For mypy: a task that lacks what the protocol asks for would test nothing.
_TASK: Task = FakeTask()
