"""AP of each category in each of the bootstrap's draws, as pycocotools computes it of one set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jpeg_preproc.stats.bootstrap import mean_of_known

# Draws that are computed at once: what is made of them stays in a processor's cache.
_DRAWS = 128
# Numbers in one intermediate array; 16 MB of them.
_CHUNK = 4_000_000
# What NumPy would add up in twice the width.
_SMALL = np.int32


@dataclass(frozen=True)
class CategoryDetections:
    """One category's detections, matched with the ground truth of their images.

    Attributes:
        scores: Score of each detection, (D,).
        image: Index of the image that each is in, (D,).
        hits: Whether each matches an object at each IoU threshold, (T, D).
        misses: Whether each matches none, (T, D). One whose object is to be ignored is neither a
            hit nor a miss.
        objects: Number of objects that count in each image, (I,).
    """

    scores: np.ndarray
    image: np.ndarray
    hits: np.ndarray
    misses: np.ndarray
    objects: np.ndarray


def average_precision(
    categories: Sequence[CategoryDetections], counts: np.ndarray, recalls: np.ndarray
) -> np.ndarray:
    """Return AP in percent of each draw, (R,): the mean over the categories that it has.

    Arguments are those of :func:`category_precisions`. A draw without any object has NaN.
    """
    return mean_precision(category_precisions(categories, counts, recalls))


def mean_precision(of_categories: np.ndarray) -> np.ndarray:
    """Return the mean over categories of each draw, (R,), given AP of each, (categories, R)."""
    return mean_of_known(of_categories, axis=0)


def category_precisions(
    categories: Sequence[CategoryDetections], counts: np.ndarray, recalls: np.ndarray
) -> np.ndarray:
    """Return AP in percent of each category in each draw, (categories, R), as pycocotools does.

    A draw without an object of a category has NaN there.

    An image drawn twice counts twice at once, where pycocotools would take its copies one after
    the other; that moves an AP by less than a tenth of a point.

    Args:
        categories: Detections of each category.
        counts: How often each image is in each draw, (R, I), as
            :func:`~jpeg_preproc.stats.bootstrap.resample_counts` returns it.
        recalls: Recalls at which precision is read, ascending, in [0, 1]; COCO's are 0, 0.01, …, 1.
    """
    weights = np.ascontiguousarray(counts.T, _SMALL)  # (I, R): draws lie beside each other
    of_categories = [_Ordered.of(one).precision(weights, recalls) for one in categories]
    return 100 * np.stack(of_categories)


@dataclass(frozen=True)
class _Ordered:
    """One category's detections, from the highest score to the last that is a hit anywhere.

    Precision is read at recalls, and recall grows at hits alone, of which there are few: what lies
    between two of them is added up once. What counts at no threshold is left out.

    Attributes:
        with_objects: Indices of the images with objects, (J,).
        objects: Number of objects in each of them, (J,).
        image: Index of each detection's image, (D,).
        places: Places of the hits among the detections, (P,).
        hits: Whether each place is a hit at each IoU threshold, (T, P).
        counted: The different rows of whether each detection counts at a threshold, (N, D).
        row: Which of them each threshold has, of length T.
    """

    with_objects: np.ndarray
    objects: np.ndarray
    image: np.ndarray
    places: np.ndarray
    hits: np.ndarray
    counted: np.ndarray
    row: list[int]

    @classmethod
    def of(cls, category: CategoryDetections) -> _Ordered:
        order = np.argsort(-category.scores, kind="stable")
        hits, counts = category.hits[:, order], (category.hits | category.misses)[:, order]
        kept = np.flatnonzero(counts.any(0))
        found = np.flatnonzero(hits[:, kept].any(0))
        kept = kept[: found[-1] + 1 if found.size else 0]  # behind the last hit nothing matters
        counts, hits = counts[:, kept], hits[:, kept[found]]
        known: dict[bytes, int] = {}  # what counts is mostly the same at every threshold
        row = [known.setdefault(one.tobytes(), len(known)) for one in counts]
        with_objects = np.flatnonzero(category.objects)
        return cls(
            with_objects=with_objects,
            objects=category.objects[with_objects],
            image=category.image[order][kept],
            places=found,
            hits=hits,
            counted=counts[[row.index(number) for number in range(len(known))]],
            row=row,
        )

    def precision(self, weights: np.ndarray, recalls: np.ndarray) -> np.ndarray:
        """Return AP as a fraction, (R,); NaN where a draw has no object.

        Args:
            weights: How often each image is in each draw, (I, R).
            recalls: Recalls at which precision is read, ascending.
        """
        objects = self.objects @ weights[self.with_objects]  # (R,)
        precision = np.where(objects > 0, 0.0, np.nan)
        if not self.places.size:
            return precision
        most = int(weights[self.image[self.places]].sum(0).max())
        reached, line = _recalls_reached(objects, most, recalls)
        step = max(1, min(_DRAWS, _CHUNK // len(self.image)))
        for start in range(0, len(objects), step):
            draws = slice(start, start + step)
            read = self._precision_read(weights[:, draws], reached, line[draws] * (most + 1))
            precision[draws] += read / (len(self.hits) * len(recalls))
        return precision

    def _precision_read(
        self, weights: np.ndarray, reached: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        """Return the sum of the precisions read at all recalls and thresholds, (r,).

        A hit contributes its precision as often as it is the first to reach one of the recalls.

        Args:
            weights: How often each image is in each draw, (I, r).
            reached: How many recalls each number of hits reaches, a line for each number of
                objects, all lines in one.
            first: Where the line of each draw begins, (r,).
        """
        those = weights[self.image]  # (D, r)
        begins = np.concatenate([[0], self.places[:-1] + 1])
        between = (
            np.add.reduceat(those * part, begins, axis=0, dtype=_SMALL)
            for part in self.counted.astype(_SMALL)[..., None]
        )
        # Detections that count up to each hit, itself included, (P, r) each.
        sums = [np.cumsum(one, axis=0, dtype=_SMALL) for one in between]
        of_hits = those[self.places]
        total = np.zeros(len(first))
        for hits, row in zip(self.hits, self.row, strict=True):
            at = np.flatnonzero(hits)  # (H,)
            found = np.cumsum(of_hits[at], axis=0, dtype=_SMALL)  # (H, r)
            exact = found / (sums[row][at] + np.spacing(1))
            best = np.maximum.accumulate(exact[::-1], axis=0)[::-1]
            times = np.diff(reached[first + found], prepend=0, axis=0)
            total += (best * times).sum(0)
        return total


def _recalls_reached(
    objects: np.ndarray, most: int, recalls: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many of the recalls each number of hits reaches, for each number of objects.

    Args:
        objects: Number of objects in each draw, (R,).
        most: Greatest number of hits in any of them.
        recalls: Recalls, ascending.

    Returns:
        Lines of ``most + 1`` numbers one after the other, and the line of each draw, (R,).
    """
    numbers, line = np.unique(objects, return_inverse=True)
    shares = np.arange(most + 1) / np.maximum(numbers, 1)[:, None]
    return np.searchsorted(recalls, shares.ravel(), side="right").astype(np.int16), line
