"""Figures that papers published, to be drawn beside measured ones."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.errors import JpegPreprocError

_COLUMNS = {"dataset", "colour", "qf", "method", "metric", "value"}


def published_rows(
    path: str | os.PathLike[str],
    measured: Sequence[dict[str, Any]],
    grey: bool = False,
    methods: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Return published PSNR as rows like ``measured``, of the same data sets.

    A data set is the same if its name is, in any case and with any of ``- _`` or none. Of a figure
    that several sources state, the first is taken.

    Args:
        path: CSV with the columns ``dataset, colour ('rgb' or 'gray'), qf, method, metric, value``
            and any others; of its metrics ``psnr_db`` is taken, in dB.
        measured: restoration rows.
        grey: take the figures on grey images.
        methods: those to take; ``None`` takes all but JPEG itself.

    Returns:
        Rows whose ``restorer`` is the method with ``", published"``.

    Raises:
        JpegPreprocError: not such a file, or it has no figure of a measured data set or of one of
            ``methods``.
    """
    names = {_plain(str(row["dataset"])): row for row in measured}
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for line in _lines(Path(path)):
        like = names.get(_plain(line["dataset"]))
        method = line["method"]
        wanted = method.upper() != "JPEG" if methods is None else method in methods
        right = line["metric"] == "psnr_db" and (line["colour"] == "gray") == grey
        if like is None or not wanted or not right:
            continue
        qf, value = _numbers(line, path)
        row = {"dataset": like["dataset"], "protocol": like["protocol"], "qf": qf}
        row |= {"restorer": f"{method}, published", "psnr": value}
        found.setdefault((like["dataset"], method, qf), row)
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
