"""The rows of a study's comparisons, and what was measured of a model as they are made from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from jpeg_preproc.corruptions import Corruption
from jpeg_preproc.errors import StudyError
from jpeg_preproc.evaluation.conditions import Condition
from jpeg_preproc.evaluation.judges import judged
from jpeg_preproc.evaluation.rows import DownstreamRow
from jpeg_preproc.evaluation.run import TaskRun
from jpeg_preproc.evaluation.task import Measurement
from jpeg_preproc.stats.bootstrap import LEVEL

DIFFERENCE, ROBUSTNESS, RATIO, BITS, ACCURACY, RIVAL, MEAN_DIFFERENCE, RECOVERY = (
    "difference",
    "robustness",
    "ratio",
    "bits",
    "accuracy",
    "rival",
    "mean difference",
    "recovery",
)
_HEADINGS = {
    DIFFERENCE: "points gained by restoring (95 % interval; * after Holm's correction p < 0.05)",
    ROBUSTNESS: "under corruption: P and mPC in points, rPC in % of P (95 % interval)",
    RATIO: "gain, divided by {0}'s (95 % interval)",
    BITS: "bits for equal accuracy, against {0} as it is, in % (95 % interval; negative saves)",
    ACCURACY: "accuracy at the bits per pixel of {0} (95 % interval)",
    RIVAL: "points over {0} on the same images as they are (95 % interval; * after Holm's "
    "correction p < 0.05)",
    MEAN_DIFFERENCE: "points gained in the mean of these models (95 % interval; * after Holm's "
    "correction p < 0.05)",
    RECOVERY: "% of these models' losses together, given back (95 % interval)",
}
#: The column of what is of all corruptions together, and the line of all models.
ALL = "all"


@dataclass(frozen=True)
class ComparisonRow:
    """One comparison: a cell of a table.

    Attributes:
        comparison: What is compared: ``'difference'``, ``'robustness'``, ``'ratio'``, ``'bits'``,
            ``'accuracy'``, ``'rival'``, ``'mean difference'`` or ``'recovery'``.
        dataset: Short name of the test data.
        model: Short name of the model; ``'mean of'`` several, or ``'all'`` of a data set's.
        metric: The metric's name.
        restorer: The restorer, and with bits the codec too; with a rival the model, and then the
            restorer if it has one.
        against: What it is compared with: a restorer, a codec or a model; ``''`` where that is
            plain.
        measure: The table's column: a corruption, ``'all'``, ``'mPC'``, or a rate.
        value: The figure: percentage points, percent, or a ratio; NaN where there is none.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
        p: Probability of such a difference by chance, see
            :func:`~jpeg_preproc.stats.comparisons.two_sided_p`.
        p_holm: The same after Holm's correction over the table.
        images: How many images it is of.
        place: Axis of the column and the place on it.
    """

    comparison: str
    dataset: str
    model: str
    metric: str
    restorer: str
    against: str
    measure: str
    value: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    images: int
    place: tuple[str, float] | None = field(default=None, compare=False)

    @property
    def table(self) -> tuple[str, ...]:
        """Parts of the heading of the row's table."""
        return self.dataset, self.model, self.metric

    @property
    def heading(self) -> str:
        """What the cells of the row's table hold."""
        return _HEADINGS[self.comparison].format(self.against)

    @property
    def line(self) -> str:
        """The line it stands in."""
        return self.restorer

    @property
    def column(self) -> str:
        """Head of its column."""
        return self.measure

    @property
    def cell(self) -> str:
        """The figure with its interval, with a real minus."""
        if math.isnan(self.value):
            return "–"
        digits = {RATIO: 2, RECOVERY: 0}.get(self.comparison, 1)
        sign = "+" if self.comparison in (DIFFERENCE, BITS, RIVAL, MEAN_DIFFERENCE) else ""
        around = ""
        if self.low is not None and self.high is not None:
            around = f" ({self.low:{sign}.{digits}f} to {self.high:{sign}.{digits}f})"
        star = "*" if self.p_holm is not None and self.p_holm < 1 - LEVEL else ""
        return f"{self.value:{sign}.{digits}f}{around}{star}".replace("-", "−")

    def columns(self) -> dict[str, Any]:
        """Return the values by the names they have in JSON and CSV."""
        values = asdict(self)
        del values["place"]
        return values


@dataclass(frozen=True)
class ModelResults:
    """What one judge says of one model, by corruption.

    Attributes:
        dataset: Short name of the test data; also of which comparisons over models are made.
        model: Short name of the model.
        original: What was measured on the originals, if that could be.
        corrupted: What was measured on corrupted images.
        restored: What was measured on restored ones, by the restorer's label.
        heads: The column of each corruption, and its place in it.
    """

    dataset: str
    model: str
    original: Measurement | None
    corrupted: dict[Corruption, Measurement]
    restored: dict[str, dict[Corruption, Measurement]]
    heads: dict[Corruption, tuple[str, tuple[str, float]]]

    @classmethod
    def of(cls, run: TaskRun) -> list[ModelResults]:
        """Return the results of a task: by the model's own metric, then by each finer judge.

        Raises:
            StudyError: They are not of one protocol: one metric, one number of images and draws.
        """
        first = run.rows[0]
        check_one_protocol(run.results, f"{first.model} on {first.dataset}")
        return [
            cls._of(
                run.rows,
                [
                    (condition, replace(measured, **vars(figure)))
                    for (condition, measured), figure in zip(run.results, figures, strict=True)
                ],
            )
            for figures in judged(run.results)
        ]

    @classmethod
    def _of(
        cls, of_run: Sequence[DownstreamRow], results: Sequence[tuple[Condition, Measurement]]
    ) -> ModelResults:
        """Return results by condition; of the rows, the columns are taken."""
        first = of_run[0]
        rows = {row.corruption: row for row in of_run}
        original = None
        corrupted: dict[Corruption, Measurement] = {}
        restored: dict[str, dict[Corruption, Measurement]] = {}
        for condition, measured in results:
            if condition.corruption is None:
                original = measured
            elif condition.restorer is None:
                corrupted[condition.corruption] = measured
            else:
                of_one = restored.setdefault(condition.restorer.label, {})
                of_one[condition.corruption] = measured
        heads = {}
        for corruption in corrupted:
            row = rows[corruption.spelling]
            heads[corruption] = (str(row.column), row.place or (str(row.column), 0.0))
        return cls(first.dataset, first.model, original, corrupted, restored, heads)

    @property
    def any(self) -> Measurement:
        """One of the measurements, all of which have the same metric and images."""
        return self.original or next(iter(self.corrupted.values()))


def check_one_protocol(results: Iterable[tuple[Condition, Measurement]], of: str) -> None:
    """Check that measurements may stand in one table.

    Args:
        results: Conditions and what was measured under each.
        of: What they are of, for the message.

    Raises:
        StudyError: They have different metrics, numbers of images, or numbers of draws.
    """
    first: tuple[str, str] | None = None
    for condition, measured in results:
        drawn = 0 if measured.replicates is None else len(measured.replicates)
        protocol = f"{measured.metric}, {measured.images} images, {drawn} draws"
        first = first or (condition.title, protocol)
        if protocol != first[1]:
            raise StudyError(
                f"{of}: {first[0]!r} was measured as {first[1]}, but {condition.title!r} as "
                f"{protocol}, which do not compare; measure both anew with another --out"
            )
