"""Figures that papers published, to be drawn beside measured ones."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.evaluation.rows import QF_AXIS, RestorationRow

_COLUMNS = {"dataset", "colour", "qf", "method", "metric", "value"}


@dataclass(frozen=True)
class PublishedRow:
    """A figure that a paper published, as a plot draws it beside measured ones.

    Attributes:
        dataset: Name of the data set, as the measured rows have it.
        protocol: Name of the protocol, as the measured rows have it.
        qf: JPEG quality factor, as libjpeg counts it.
        restorer: Name of the method, with ``", published"``.
        psnr: Mean PSNR over the images, dB.
    """

    dataset: str
    protocol: str
    qf: int
    restorer: str
    psnr: float

    @property
    def table(self) -> tuple[str, ...]:
        """Parts of the heading of the panel that it is drawn in."""
        return self.dataset, self.protocol

    @property
    def line(self) -> str:
        """The line it is a point of."""
        return self.restorer

    @property
    def place(self) -> tuple[str, float]:
        """Name of the axis and the place on it."""
        return QF_AXIS, float(self.qf)

    def columns(self) -> dict[str, Any]:
        """Return the values by name."""
        return asdict(self)


def published_rows(
    path: str | os.PathLike[str],
    measured: Sequence[RestorationRow],
    grey: bool = False,
    methods: Collection[str] | None = None,
) -> list[PublishedRow]:
    """Return published PSNR, in dB, of the data sets that were measured.

    A data set is the same if its name is, in any case and with any of ``- _`` or none. Of a figure
    that several sources state, the first is taken.

    Args:
        path: CSV with the columns ``dataset, colour ('rgb' or 'gray'), qf, method, metric, value``
            and any others; of its metrics ``psnr_db`` is taken, in dB.
        measured: Rows of the run beside which the figures are to be drawn.
        grey: Take the figures on grey images.
        methods: Names of the methods to take; ``None`` takes all but JPEG itself.

    Raises:
        JpegPreprocError: The file is no such table, or it has no figure of a measured data set or
            of one of ``methods``.
    """
    names = {_plain(row.dataset): row for row in measured}
    found: dict[tuple[str, str, int], PublishedRow] = {}
    for line in _lines(Path(path)):
        same_set = names.get(_plain(line["dataset"]))
        method = line["method"]
        wanted = method.upper() != "JPEG" if methods is None else method in methods
        right = line["metric"] == "psnr_db" and (line["colour"] == "gray") == grey
        if same_set is None or not wanted or not right:
            continue
        qf, value = _numbers(line, path)
        dataset, protocol = same_set.dataset, same_set.protocol
        row = PublishedRow(dataset, protocol, qf, f"{method}, published", value)
        found.setdefault((dataset, method, qf), row)
    missing = sorted(set(methods or ()) - {method for _, method, _ in found})
    if not found or missing:
        what = ", ".join(missing) or "any method"
        raise JpegPreprocError(
            f"{path}: no published PSNR of {what} on {', '.join(sorted(names))}; name the data "
            "folder after the data set, and methods as the file spells them"
        )
    return list(found.values())


def _lines(path: Path) -> Iterable[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            lacking = sorted(_COLUMNS - set(reader.fieldnames or ()))
            if lacking:
                raise JpegPreprocError(
                    f"{path}: lacks the columns {', '.join(lacking)}; give a CSV of published "
                    "figures with them"
                )
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise JpegPreprocError(f"{path}: cannot be read as CSV ({error})") from error


def _numbers(line: dict[str, str], path: str | os.PathLike[str]) -> tuple[int, float]:
    try:
        return int(line["qf"]), float(line["value"])
    except ValueError as error:
        raise JpegPreprocError(f"{path}: {error}, in the line {line}; give numbers") from error


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
