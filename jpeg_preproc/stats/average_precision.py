"""AP of each category in each of the bootstrap's draws, as pycocotools computes it of one set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jpeg_preproc.stats.bootstrap import mean_of_known

# Numbers in one intermediate array, which is to stay in a processor's cache, and the fewest draws
# that are computed at once, however many detections there are.
_CHUNK = 1_000_000
_DRAWS = 64
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
class _Threshold:
    """What a threshold of IoU adds to what is alike at all of them.

    Attributes:
        at: Its hits, among the places of the hits at any threshold, (H,).
        image: Index of the image of each detection that counts here and not at every threshold,
            (E,).
        before: Number of these up to each hit, itself included, (H,).
    """

    at: np.ndarray
    image: np.ndarray
    before: np.ndarray


@dataclass(frozen=True)
class _Ordered:
    """One category's detections, from the highest score to the last that is a hit anywhere.

    Precision is read at recalls, and recall grows at hits alone, of which there are few: what lies
    between two of them is added up once. Most detections count at every threshold or at none.

    Attributes:
        with_objects: Indices of the images with objects, (J,).
        objects: Number of objects in each of them, (J,).
        hits: Index of the image of each detection that is a hit at some threshold, (P,).
        image: Index of the image of each that counts at every threshold, (A,).
        filled: Those of the hits between which and the one before there are such, itself included.
        begins: Where these begin, of the same length.
        thresholds: What is different at each threshold.
    """

    with_objects: np.ndarray
    objects: np.ndarray
    hits: np.ndarray
    image: np.ndarray
    filled: np.ndarray
    begins: np.ndarray
    thresholds: list[_Threshold]

    @classmethod
    def of(cls, category: CategoryDetections) -> _Ordered:
        order = np.argsort(-category.scores, kind="stable")
        hits, misses = category.hits[:, order], category.misses[:, order]
        places = np.flatnonzero(hits.any(0))
        last = places[-1] + 1 if places.size else 0  # behind the last hit nothing matters
        image, counts = category.image[order][:last], (hits | misses)[:, :last]
        always = counts.all(0)
        ends = np.cumsum(always)[places]
        begins = np.concatenate([[0], ends[:-1]])[: len(ends)]
        filled = np.flatnonzero(ends > begins)
        thresholds = []
        for own_hits, own_counts in zip(hits, counts, strict=True):
            extra = own_counts & ~always
            at = np.flatnonzero(own_hits[places])
            before = np.cumsum(extra)[places[at]]
            thresholds.append(_Threshold(at, image[extra], before))
        with_objects = np.flatnonzero(category.objects)
        return cls(
            with_objects=with_objects,
            objects=category.objects[with_objects],
            hits=image[places],
            image=image[always],
            filled=filled,
            begins=begins[filled],
            thresholds=thresholds,
        )

    def precision(self, weights: np.ndarray, recalls: np.ndarray) -> np.ndarray:
        """Return AP as a fraction, (R,); NaN where a draw has no object.

        Args:
            weights: How often each image is in each draw, (I, R).
            recalls: Recalls at which precision is read, ascending.
        """
        objects = self.objects @ weights[self.with_objects]  # (R,)
        precision = np.where(objects > 0, 0.0, np.nan)
        if not self.hits.size:
            return precision
        most = int(weights[self.hits].sum(0).max())
        reached, line = _recalls_reached(objects, most, recalls)
        step = max(_DRAWS, _CHUNK // (len(self.image) + len(self.hits)))
        for start in range(0, len(objects), step):
            draws = slice(start, start + step)
            read = self._precision_read(weights[:, draws], reached, line[draws] * (most + 1))
            precision[draws] += read / (len(self.thresholds) * len(recalls))
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
        between = np.zeros((len(self.hits), len(first)), _SMALL)
        if self.filled.size:
            those = weights[self.image]
            between[self.filled] = np.add.reduceat(those, self.begins, axis=0, dtype=_SMALL)
        sums = np.cumsum(between, axis=0, dtype=_SMALL)
        of_hits = weights[self.hits]
        total = np.zeros(len(first))
        for one in self.thresholds:
            if not one.at.size:
                continue
            found = np.cumsum(of_hits[one.at], axis=0, dtype=_SMALL)  # (H, r)
            counted = sums[one.at]
            if one.image.size:
                extra = np.zeros((len(one.image) + 1, len(first)), _SMALL)
                np.cumsum(weights[one.image], axis=0, dtype=_SMALL, out=extra[1:])
                counted += extra[one.before]
            exact = found / (counted + np.spacing(1))
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
