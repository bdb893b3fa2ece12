"""The rows of results: what was measured, in which table, line and column it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from jpeg_preproc.corruptions import Corruption, Jpeg, parse_corruption
from jpeg_preproc.evaluation.conditions import REFERENCES, Condition
from jpeg_preproc.evaluation.judges import FINER, judged
from jpeg_preproc.evaluation.store import ImageScores
from jpeg_preproc.evaluation.task import Figure, Measurement, Task, bytes_per_pixel
from jpeg_preproc.stats.bootstrap import Interval, interval, recovery_interval
from jpeg_preproc.stats.paired import paired_difference

#: Name of the axis that single JPEG compressions lie on.
QF_AXIS = "JPEG quality factor"
_USUAL_SUBSAMPLING = "4:2:0"


class _OfCorruption:
    """What the rows of all results have in common: the corruption that they are of."""

    corruption: str | None

    @cached_property
    def _corruption(self) -> Corruption | None:
        return None if self.corruption is None else parse_corruption(self.corruption)

    @property
    def column(self) -> str | None:
        """Head of the row's column; ``None`` for the originals, which hold in every one."""
        corruption = self._corruption
        if not isinstance(corruption, Jpeg):
            return None if corruption is None else corruption.spelling
        usual = corruption.subsampling == _USUAL_SUBSAMPLING
        return f"QF {corruption.qf}" if usual else f"QF {corruption.qf}, {corruption.subsampling}"

    @property
    def place(self) -> tuple[str, float] | None:
        """Name of the axis and the place on it, for a plot."""
        if self._corruption is None:
            return None
        return _axis(self._corruption), self._corruption.strength

    def columns(self) -> dict[str, Any]:
        """Return the values by the names they have in JSON and CSV."""
        return asdict(self)  # type: ignore[call-overload]


@dataclass(frozen=True)
class DownstreamRow(_OfCorruption):
    """The accuracy of a model under one condition.

    Attributes:
        dataset: Short name of the test data.
        model: Short name of the model.
        metric: ``'mAP'``, ``'mIoU'``, or a finer judge of
            :mod:`~jpeg_preproc.evaluation.judges`.
        qf: Quality factor of a single JPEG; ``None`` of the originals and all else.
        restorer: ``'original'``, ``'jpeg'`` or ``'corrupted'`` for the references, or the
            restorer.
        value: The metric's value in percentage points.
        recovery: Share of the loss given back, see :func:`recovery`.
        images: How many were evaluated.
        seconds: How long that took.
        value_low: Lower bound of the value's 95 % interval.
        value_high: Upper bound of the value's 95 % interval.
        recovery_low: Lower bound of the recovery's 95 % interval.
        recovery_high: Upper bound of the recovery's 95 % interval.
        difference: Value minus that of the same images without restoring, in percentage points.
        difference_low: Lower bound of its 95 % interval, from the same draws of both.
        difference_high: Upper bound of its 95 % interval.
        difference_positive: Share of these draws in which restoring helps, see
            :class:`~jpeg_preproc.stats.paired.Difference`.
        corruption: Its spelling; ``None`` of the originals.
        strength: What the row has on the axis of its corruption.
        bytes_per_pixel: Bytes of the files made, for each pixel of the originals.
    """

    dataset: str
    model: str
    metric: str
    qf: int | None
    restorer: str
    value: float
    recovery: float | None
    images: int
    seconds: float
    value_low: float | None = None
    value_high: float | None = None
    recovery_low: float | None = None
    recovery_high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    difference_positive: float | None = None
    corruption: str | None = None
    strength: float | None = None
    bytes_per_pixel: float | None = None

    @property
    def is_finer(self) -> bool:
        """Whether it is of a judge that stands beside the model's own metric."""
        return self.metric in FINER

    @property
    def table(self) -> tuple[str, ...]:
        """Parts of the heading of the row's table."""
        return self.dataset, self.model, self.metric

    @property
    def heading(self) -> str:
        """What the cells of the row's table hold."""
        return "value (recovered share of the loss; 95 % interval)"

    @property
    def line(self) -> str:
        """The line it stands in."""
        return self.restorer

    @property
    def cell(self) -> str:
        """The value, with the recovery and its interval where there is one."""
        if self.recovery is None:
            return f"{self.value:.1f}"
        around = ""
        if self.recovery_low is not None and self.recovery_high is not None:
            around = f"; {100 * self.recovery_low:.0f} to {100 * self.recovery_high:.0f}"
        return f"{self.value:.1f} ({_percent(self.recovery)}{around})"


@dataclass(frozen=True)
class RestorationRow(_OfCorruption):
    """How near the images of a set are to their originals under one condition.

    Attributes:
        dataset: Name of the folder of images.
        qf: Quality factor of a single JPEG; ``None`` of all else.
        restorer: ``'jpeg'`` or ``'corrupted'`` for the reference, or the restorer.
        protocol: Name of the protocol of measuring.
        psnr: Mean PSNR over the images, dB.
        ssim: Mean SSIM.
        psnr_b: Mean PSNR-B, dB.
        images: How many were measured.
        corruption: Its spelling.
        strength: What the row has on the axis of its corruption.
        bytes_per_pixel: Bytes of the files made, for each pixel of the originals.
        least_gain: PSNR of the image that gained least over that image corrupted, dB; ``None`` of
            references.
        told_qf: Median of the quality factors that the restorer was told, or found.
        told_qf_low: What a tenth of these lie below.
        told_qf_high: What a tenth of these lie above.
    """

    dataset: str
    qf: int | None
    restorer: str
    protocol: str
    psnr: float
    ssim: float
    psnr_b: float
    images: int
    corruption: str | None = None
    strength: float | None = None
    bytes_per_pixel: float | None = None
    least_gain: float | None = None
    told_qf: float | None = None
    told_qf_low: float | None = None
    told_qf_high: float | None = None

    @property
    def table(self) -> tuple[str, ...]:
        """Parts of the heading of the row's table."""
        return self.dataset, self.protocol

    @property
    def heading(self) -> str:
        """What the cells of the row's table hold."""
        return "PSNR dB / SSIM / PSNR-B dB"

    @property
    def line(self) -> str:
        """The line it stands in."""
        return self.restorer

    @property
    def cell(self) -> str:
        """The three measures."""
        return f"{self.psnr:.2f} / {self.ssim:.3f} / {self.psnr_b:.2f}"


def _axis(corruption: Corruption) -> str:
    """Return what corruptions share that differ in their strength alone."""
    fixed = [
        f"{field.name} {value}"
        for field in fields(corruption)  # type: ignore[arg-type]
        if (value := getattr(corruption, field.name)) not in (field.default, corruption.strength)
    ]
    is_jpeg = isinstance(corruption, Jpeg)
    name = QF_AXIS if is_jpeg else f"{corruption.kind}: {corruption.axis}"
    return ", ".join([name, *fixed])


def recovery(original: float, corrupted: float, restored: float) -> float | None:
    """Return the share of the loss that restoration gives back: 1 is all of it.

    Not clipped: negative where restoration harms, above 1 where it beats the original. ``None``
    where the corruption costs nothing, or on these images happens to help: there is nothing to
    give back, and the quotient would praise harm.

    >>> recovery(28.0, 20.0, 26.0)
    0.75
    """
    loss = original - corrupted
    return (restored - corrupted) / loss if loss > 0 else None


def downstream_rows(
    task: Task, results: Sequence[tuple[Condition, Measurement]]
) -> list[DownstreamRow]:
    """Return the rows in the order of the table: originals, references, then each restorer.

    Args:
        task: What was measured.
        results: What came of each condition, in the order of :func:`~.conditions.plan`.

    Returns:
        Those of the model's own metric, then those of each finer judge, see
        :mod:`~jpeg_preproc.evaluation.judges`.
    """
    return [
        row
        for figures in judged(results)
        for row in _in_order_of_the_table(_rows_of_a_judge(task, results, figures))
    ]


def _rows_of_a_judge(
    task: Task, results: Sequence[tuple[Condition, Measurement]], figures: Sequence[Figure]
) -> list[DownstreamRow]:
    """Return a row for each result, with what one judge says of it."""
    of_references = {
        done.corruption: figure
        for (done, _), figure in zip(results, figures, strict=True)
        if done.restorer is None
    }
    original = of_references.get(None)
    rows = []
    for (condition, result), figure in zip(results, figures, strict=True):
        corruption = condition.corruption
        corrupted = of_references.get(corruption)
        share = around_share = None
        around_value = interval(figure.replicates, figure.value) if figure.replicates else None
        columns: dict[str, Any] = {}
        if condition.restorer is not None and corrupted is not None:
            columns = _difference(figure, corrupted)
            if original is not None:
                share = recovery(original.value, corrupted.value, figure.value)
                drawn = (original.replicates, corrupted.replicates, figure.replicates)
                if share is not None and drawn[0] and drawn[1] and drawn[2]:
                    around_share = recovery_interval(drawn[0], drawn[1], drawn[2], share)
        rows.append(
            DownstreamRow(
                dataset=task.dataset,
                model=task.model,
                metric=figure.metric,
                qf=None if corruption is None else corruption.qf,
                restorer=condition.label,
                value=figure.value,
                recovery=share,
                images=result.images,
                seconds=result.seconds,
                **_bounds("value", around_value),
                **_bounds("recovery", around_share),
                **columns,
                corruption=None if corruption is None else corruption.spelling,
                strength=None if corruption is None else corruption.strength,
                bytes_per_pixel=result.bytes_per_pixel,
            )
        )
    return rows


def _difference(restored: Figure, corrupted: Figure) -> dict[str, Any]:
    """Return the columns of what restoring changes."""
    found = paired_difference(
        restored.value, corrupted.value, restored.replicates, corrupted.replicates
    )
    return {
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
        "difference_positive": found.positive,
    }


def restoration_row(
    dataset: str,
    protocol: str,
    condition: Condition,
    scores: Sequence[ImageScores],
    corrupted: Sequence[ImageScores],
) -> RestorationRow:
    """Return the row of a condition: the mean of each measure over the images of a data set.

    Args:
        dataset: Name of the data set.
        protocol: Name of the protocol of measuring.
        condition: What happened to the images.
        scores: What was measured on each image, at least one.
        corrupted: What was measured on the same images without restoring.
    """
    # An exact sum, so that the order of the images cannot change the last digit.
    psnr, ssim, psnr_b = (
        math.fsum(values) / len(scores)
        for values in zip(*((one.psnr, one.ssim, one.psnr_b) for one in scores), strict=True)
    )
    least_gain = None
    if condition.restorer is not None:
        least_gain = min(
            # Both are infinite of an original that was left as it is.
            0.0 if own.psnr == given.psnr else own.psnr - given.psnr
            for own, given in zip(scores, corrupted, strict=True)
        )
    corruption = condition.corruption
    return RestorationRow(
        dataset=dataset,
        qf=None if corruption is None else corruption.qf,
        restorer=condition.label,
        protocol=protocol,
        psnr=psnr,
        ssim=ssim,
        psnr_b=psnr_b,
        images=len(scores),
        corruption=None if corruption is None else corruption.spelling,
        strength=None if corruption is None else corruption.strength,
        bytes_per_pixel=bytes_per_pixel((one.num_bytes, one.num_pixels) for one in scores),
        least_gain=least_gain,
        **_told([one.told_qf for one in scores if one.told_qf is not None]),
    )


def _told(qfs: Sequence[int]) -> dict[str, Any]:
    """Return the columns of the quality factors that a restorer was told."""
    low, median, high = np.percentile(qfs, (10, 50, 90)).tolist() if qfs else (None, None, None)
    return {"told_qf": median, "told_qf_low": low, "told_qf_high": high}


def _in_order_of_the_table(rows: Sequence[DownstreamRow]) -> list[DownstreamRow]:
    """Sort by line, references first, in each by kind of corruption as they appear, by strength."""
    lines = list(dict.fromkeys([*REFERENCES, *(row.restorer for row in rows)]))
    axes = list(dict.fromkeys(row.place[0] if row.place else "" for row in rows))

    def key(row: DownstreamRow) -> tuple[int, int, float]:
        axis, strength = row.place or ("", 0.0)
        return lines.index(row.restorer), axes.index(axis), strength

    return sorted(rows, key=key)


def _bounds(name: str, around: Interval | None) -> dict[str, Any]:
    """Return the columns of an interval."""
    low, high = around or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %" if math.isfinite(fraction) else "–"
