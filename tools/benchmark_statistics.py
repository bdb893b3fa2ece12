"""Measure how long the statistics of a study take, on a planted set of the size of COCO's val2017.

Objects and detections are drawn at random, as many and as unevenly spread as in COCO. Of one
condition the matching with the ground truth (pycocotools') and the 1,000 resamples are measured,
with AP of each class and size; of a whole study all comparisons, from the same draws. The figures
of the other conditions are those of the one, moved by chance. CPU seconds are of this process, so
that they can be compared also where something else keeps the cores busy.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports("start again")

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jpeg_preproc.cli.arguments import positive
from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.corruptions import Corruption, Jpeg
from jpeg_preproc.evaluation.task import Measurement
from jpeg_preproc.report import console, print_tables, progress, result_tables, write_results
from jpeg_preproc.stats.bootstrap import REPLICATES
from jpeg_preproc.stats.coco_ap import CocoAp, ap_of, matched
from jpeg_preproc.study.compare import compare_models
from jpeg_preproc.study.comparison_rows import ModelResults
from jpeg_preproc.study.spec import Comparisons

T = TypeVar("T")

_HEIGHT, _WIDTH = 480, 640
_QFS = (10, 20, 30, 40)
_RESTORERS = ("first", "second", "third")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/benchmark_statistics.py --images 500 --objects 3600 "
        "--detections 50000",
    )
    for name, number, what in (
        ("images", 5000, "images of the set"),
        ("objects", 36_000, "objects in them"),
        ("detections", 500_000, "detections in them"),
        ("classes", 80, "classes of both"),
        ("models", 4, "models of the study that is compared"),
    ):
        parser.add_argument(
            f"--{name}", type=positive, default=number, metavar="N", help=f"{what}; %(default)s"
        )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--out", type=Path, help="folder for results.json; default: none")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return the exit code."""
    args = parse_args(argv)
    return ended(lambda: _run(args), "start again")


def _run(args: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []

    with progress("measuring") as bar:
        step = bar.add_task("planting", total=4)

        def timed(what: str, work: Callable[[], T]) -> T:
            bar.update(step, advance=1, description=what)
            begin, used = time.perf_counter(), time.process_time()
            result = work()
            spent = time.process_time() - used
            wall = time.perf_counter() - begin
            rows.append({"stage": what, "cpu_s": round(spent, 2), "wall_s": round(wall, 2)})
            return result

        truth, detections = planted(args)
        categories, images = range(1, args.classes + 1), range(1, args.images + 1)
        evaluation = timed(
            "matching, of one condition",
            lambda: matched(truth, detections, categories, images),
        )
        found = timed(f"{REPLICATES} resamples, of one condition", lambda: ap_of(evaluation))
        models = study_of(found, args)
        wanted = Comparisons(robustness=True, baseline=_RESTORERS[0], rate="jpeg")
        compared = timed("all comparisons, of a study", lambda: compare_models(models, wanted))
    print_tables(result_tables(rows))
    conditions = len(models) * (1 + len(_QFS) * (1 + len(_RESTORERS)))
    console().print_line(
        f"mAP {100 * found.mean:.1f} over {args.images} images, {args.objects} objects and "
        f"{args.detections} detections of {args.classes} classes; {len(compared)} comparisons of "
        f"{conditions} conditions"
    )
    if args.out:
        meta = {"tool": "benchmark_statistics", **vars(args), "out": str(args.out)}
        write_results(args.out, meta, rows)
    return DONE


def planted(args: argparse.Namespace) -> tuple[Any, list[dict[str, Any]]]:
    """Return ground truth, as ``COCO`` of pycocotools, and detections in COCO's results format.

    Classes are as frequent as 1 over their rank, and images differ in their number of objects. One
    object in a hundred is a crowd. A fifth of the objects is never found, the others are about
    twice; what is found elsewhere has low scores, mostly.
    """
    from pycocotools.coco import COCO

    rng = np.random.default_rng(args.seed)
    frequency = 1 / np.arange(1, args.classes + 1)
    frequency /= frequency.sum()
    busy = rng.gamma(1.2, size=args.images)
    image = rng.choice(args.images, args.objects, p=busy / busy.sum()) + 1
    category = rng.choice(args.classes, args.objects, p=frequency) + 1
    boxes = _boxes(rng, args.objects)
    crowds = rng.random(args.objects) < 0.01
    annotations = [
        {
            **{"id": at + 1, "image_id": int(image[at]), "category_id": int(category[at])},
            **{"bbox": boxes[at].tolist(), "iscrowd": int(crowds[at])},
            "area": float(0.6 * boxes[at, 2] * boxes[at, 3]),
        }
        for at in range(args.objects)
    ]
    near = min(int(1.6 * args.objects), args.detections)
    of = rng.choice(rng.permutation(args.objects)[: max(1, 4 * args.objects // 5)], near)
    away = np.abs(rng.normal(0, 0.1, near))
    moved = boxes[of] + away[:, None] * rng.normal(0, 1, (near, 4)) * boxes[of][:, [2, 3, 2, 3]]
    moved[:, 2:] = np.maximum(moved[:, 2:], 2)
    rest = args.detections - near
    place = np.concatenate([moved, _boxes(rng, rest)])
    where = np.concatenate([image[of], rng.integers(1, args.images + 1, rest)])
    label = np.concatenate([category[of], rng.choice(args.classes, rest, p=frequency) + 1])
    score = np.concatenate([rng.beta(3, 2, near) * np.exp(-3 * away), rng.beta(0.4, 6, rest)])
    detections = [
        {
            **{"image_id": int(where[at]), "category_id": int(label[at])},
            **{"bbox": place[at].tolist(), "score": float(score[at])},
        }
        for at in range(args.detections)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [
                {"id": number, "height": _HEIGHT, "width": _WIDTH}
                for number in range(1, args.images + 1)
            ],
            "categories": [
                {"id": number, "name": f"class {number}"} for number in range(1, args.classes + 1)
            ],
            "annotations": annotations,
        }
        truth.createIndex()
    return truth, detections


def _boxes(rng: np.random.Generator, number: int) -> np.ndarray:
    """Return left, top, width and height of boxes of all sizes, (N, 4)."""
    side = np.exp(rng.uniform(np.log(12), np.log(300), number))
    ratio = np.exp(rng.normal(0, 0.4, number))
    width, height = np.minimum(side * ratio, 600), np.minimum(side / ratio, 440)
    left, top = rng.uniform(0, _WIDTH - width), rng.uniform(0, _HEIGHT - height)
    return np.stack([left, top, width, height], axis=1)


def study_of(found: CocoAp, args: argparse.Namespace) -> list[ModelResults]:
    """Return what models have under four qualities, corrupted and restored by three restorers."""
    rng = np.random.default_rng(args.seed)
    drawn = np.array(found.replicates)

    def measured(change: float, rate: float | None = None) -> Measurement:
        moved = drawn + change + rng.normal(0, 0.3, len(drawn))
        value = 100 * found.mean + change
        return Measurement(
            *("mAP", value, args.images, 0.0, {}, moved.tolist()), bytes_per_pixel=rate
        )

    rates: dict[Corruption, float] = {Jpeg(qf): 0.01 * qf**0.6 for qf in _QFS}
    heads: dict[Corruption, tuple[str, tuple[str, float]]] = {
        Jpeg(qf): (f"QF {qf}", ("JPEG quality factor", float(qf))) for qf in _QFS
    }
    return [
        ModelResults(
            "planted",
            f"model {number}",
            measured(0.0),
            {one: measured(-0.3 / rate, rate) for one, rate in rates.items()},
            {
                label: {
                    one: measured(-0.3 / rate / (2 + place), rate) for one, rate in rates.items()
                }
                for place, label in enumerate(_RESTORERS)
            },
            heads,
        )
        for number in range(args.models)
    ]


if __name__ == "__main__":
    sys.exit(main())
