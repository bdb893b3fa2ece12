"""Training of the quality estimator: crops, and the quality that a restorer is best told of each.

That quality is not the one that a file claims, nor the first one of a history. It is found by
trying: a restorer is told a row of qualities, and the one with the least squared error counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import Tensor
from torch.utils.data import Dataset

from jpeg_preproc.errors import TrainingError
from jpeg_preproc.io import write_bytes_atomic
from jpeg_preproc.jpeg.blocks import RGB_TO_LUMA
from jpeg_preproc.jpeg.tables import nearest_qf, octaves_of, qf_of
from jpeg_preproc.restorers.contract import Quality, Restorer
from jpeg_preproc.restorers.quality_estimator import CROP, SHIPPED_ESTIMATOR, QualityEstimator
from jpeg_preproc.restorers.weights import fill, load_weights, read_state
from jpeg_preproc.training.data import JpegCrops

# What the restorer is told, from the coarsest to nearly nothing.
_TRIED = np.linspace(octaves_of(4), octaves_of(98), 11)
_CHUNK = 500


def best_octaves(restorer: Restorer, clean: Tensor, spoilt: Tensor) -> float:
    """Return the coarseness that a restorer is best told of an image, in octaves.

    The least of a parabola through the logarithms of the three least squared errors; the finest
    there is where restoring by any quality does harm.

    Args:
        restorer: A network that takes a quality.
        clean: The image in [0, 1], (3, H, W).
        spoilt: What has become of it, of the same shape.
    """
    count = len(_TRIED)
    quality = Quality.from_qf([qf_of(octaves) for octaves in _TRIED])
    with torch.inference_mode():
        restored = restorer(spoilt.expand(count, -1, -1, -1), quality).image
    errors = (restored - clean).square().mean(dim=(1, 2, 3)).double().clamp(min=1e-9).log()
    best = int(errors.argmin())
    untouched = (spoilt - clean).square().mean().double().clamp(min=1e-9).log()
    if untouched <= errors[best]:
        return octaves_of(100)
    if best in (0, count - 1):
        return float(_TRIED[best])
    before, at, after = errors[best - 1 : best + 2].tolist()
    bend = before - 2 * at + after
    step = float(_TRIED[1] - _TRIED[0])
    return float(_TRIED[best]) + step * (0.5 * (before - after) / bend if bend > 0 else 0.0)


@DATASETS.register_module()
class EffectiveQualityCrops(Dataset[dict[str, Tensor]]):
    """Crops of luma with the quality that a restorer is best told; made once, then kept.

    Args:
        crops: Arguments of :class:`~jpeg_preproc.training.data.JpegCrops`: images and histories.
            Their crops have the side that the estimator looks at.
        count: How many crops there are.
        restorer: Name of the weights that are asked.
        clean: Share of crops that nothing has happened to.
        cache: File that keeps them, as far as they are made.
        length: Items an epoch has; an item beyond ``count`` is one before, turned or mirrored.
        on_made: Called with how many are made, and of how many.

    Raises:
        ImageReadError: No image as large as a crop.
        TrainingError: The cache is one of other settings.
    """

    def __init__(
        self,
        crops: dict[str, Any],
        count: int,
        restorer: str,
        cache: str | os.PathLike[str],
        clean: float = 0.08,
        length: int | None = None,
        on_made: Callable[[int, int], None] | None = None,
    ) -> None:
        self.count = count
        self.length = length or count
        settings = repr((sorted(crops.items(), key=str), restorer, clean, CROP, "claimed"))
        luma, octaves, claimed = _read(Path(cache), settings)
        if len(luma) < count:
            source = JpegCrops(**{**crops, "crop": CROP})
            network, _ = load_weights(restorer)
            while len(luma) < count:
                made = [
                    _example(source, index, network, clean)
                    for index in range(len(luma), min(len(luma) + _CHUNK, count))
                ]
                luma = np.concatenate([luma, np.stack([one for one, _, _ in made])])
                octaves = np.concatenate([octaves, [value for _, value, _ in made]])
                claimed = np.concatenate([claimed, [value for _, _, value in made]])
                _write(Path(cache), settings, luma, octaves, claimed)
                if on_made:
                    on_made(len(luma), count)
        self.luma, self.octaves = luma[:count], octaves[:count].astype(np.float32)
        self.claimed = claimed[:count].astype(np.float32)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        luma = self.luma[index % self.count]
        turn = np.random.default_rng(index).integers(8)
        luma = np.rot90(luma, int(turn) % 4)
        luma = luma[:, ::-1] if turn >= 4 else luma
        return {
            "luma": torch.from_numpy(np.ascontiguousarray(luma)[None]),  # (1, CROP, CROP) uint8
            "octaves": torch.tensor(self.octaves[index % self.count]),
            "claimed": torch.tensor(self.claimed[index % self.count]),  # NaN where there is no file
        }


@DATASETS.register_module()
class JoinedCrops(Dataset[dict[str, Tensor]]):
    """Several :class:`EffectiveQualityCrops`, each drawn from as often as it has crops.

    Args:
        parts: Arguments of each.
        length: Items an epoch has.
    """

    def __init__(self, parts: Sequence[dict[str, Any]], length: int) -> None:
        self.parts = [
            EffectiveQualityCrops(**{key: part[key] for key in part if key != "type"})
            for part in parts
        ]
        self.length = length
        self.starts = np.cumsum([0, *(part.count for part in self.parts)])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rounds, place = divmod(index, int(self.starts[-1]))
        which = int(np.searchsorted(self.starts, place, side="right")) - 1
        part = self.parts[which]
        return part[rounds * part.count + place - int(self.starts[which])]


def _example(
    source: JpegCrops, index: int, restorer: Restorer, clean: float
) -> tuple[np.ndarray, float, float]:
    """Return (CROP, CROP) uint8 luma, the coarseness to be told of it, and what its file claims."""
    pair = source.pair(index)
    if np.random.default_rng((1, index)).random() < clean:
        return _luma(pair.clean), octaves_of(100), float("nan")
    claimed = float("nan") if pair.file is None else octaves_of(nearest_qf(pair.file).qf)
    best = best_octaves(restorer, _tensor(pair.clean), _tensor(pair.spoilt))
    return _luma(pair.spoilt), best, claimed


def _luma(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels @ RGB_TO_LUMA).astype(np.uint8)


def _tensor(pixels: np.ndarray) -> Tensor:
    """Return pixels in [0, 1], (3, H, W)."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 255


def _read(path: Path, settings: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not path.exists():
        return np.zeros((0, CROP, CROP), np.uint8), np.zeros(0), np.zeros(0)
    with np.load(path, allow_pickle=False) as kept:
        if str(kept["settings"]) != settings:
            raise TrainingError(f"{path} holds crops of other settings; name another cache")
        return kept["luma"], kept["octaves"], kept["claimed"]


def _write(
    path: Path, settings: str, luma: np.ndarray, octaves: np.ndarray, claimed: np.ndarray
) -> None:
    import io

    stream = io.BytesIO()
    np.savez(stream, luma=luma, octaves=octaves, claimed=claimed, settings=np.array(settings))
    write_bytes_atomic(path, stream.getvalue())


@MODELS.register_module()
class QualityEstimatorModel(BaseModel):
    """Train :class:`~jpeg_preproc.restorers.quality_estimator.QualityEstimator`.

    The loss is the negative log likelihood of a Laplace distribution, whose width the network
    tells, so that crops that show nothing do not pull at it.

    Args:
        weights: File of an estimator to go on from, or ``'shipped'``.

    Raises:
        WeightsError: That file is absent, damaged, or of another network.
    """

    def __init__(self, weights: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.estimator = QualityEstimator()
        self.continues: dict[str, Any] | None = None
        if weights is not None:
            path = SHIPPED_ESTIMATOR if weights == "shipped" else Path(weights)
            state, manifest = read_state(path)
            fill(self.estimator, state, source=str(path))
            self.continues = {"sha256": manifest.sha256, **manifest.training}

    def forward(self, luma: Tensor, octaves: Tensor, claimed: Tensor, mode: str = "tensor") -> Any:
        """Return the loss (``mode='loss'``), or errors in octaves (``'predict'``).

        Args:
            luma: Crops as uint8, (N, 1, H, W).
            octaves: What is to be answered, (N,).
            claimed: What the files claim, in octaves, (N,); NaN where there is none.
            mode: One of those that mmengine calls models in.
        """
        found = self.estimator(luma.float() / 255, claimed)
        if mode == "loss":
            log_error = found.log_error.clamp(-4, 3)
            miss = (found.octaves - octaves).abs()
            return {"loss": (miss * (-log_error).exp() + log_error).mean()}
        if mode == "predict":
            return [
                {"octaves": float(wanted), "found": float(own), "log_error": float(width)}
                for wanted, own, width in zip(octaves, found.octaves, found.log_error, strict=True)
            ]
        return found


@METRICS.register_module()
class OctaveError(BaseMetric):
    """Mean and median error of the estimator on single crops, in octaves."""

    default_prefix = "quality"

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, float]]) -> None:
        """Keep what was found for a batch."""
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Return ``mean`` and ``median`` of the absolute error, and ``mean`` of the surer half."""
        misses = np.array([abs(one["found"] - one["octaves"]) for one in results])
        surer = np.argsort([one["log_error"] for one in results])[: max(len(results) // 2, 1)]
        return {
            "mean": float(misses.mean()),
            "median": float(np.median(misses)),
            "surer_half": float(misses[surer].mean()),
        }
