"""Clean images on disk to random (jpeg, clean, tables) crops, coded on the fly."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import compress_jpeg, decode_jpeg, load_image, qtables_from_qf
from jpeg_preproc.restorers.contract import Quality

# Two blocks of luma, one of chroma at 4:2:0.
_GRID = 16
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class ImageFolder:
    """Images of a folder that count as clean.

    Attributes:
        folder: Searched recursively, in sorted order.
        shrink: Reduce height and width by this factor (box filter), so that sources which are
            JPEG themselves lose their artifacts.
        start: First image taken, as in a slice.
        stop: Image before which to stop, as in a slice.
        weight: How often one of its pixels is drawn, relative to those of other folders.
    """

    folder: str
    shrink: int = 1
    start: int | None = None
    stop: int | None = None
    weight: float = 1.0

    def paths(self) -> list[Path]:
        """Return the image files, sorted by name; raises ImageReadError where there is none."""
        found = sorted(
            path for path in Path(self.folder).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES
        )[self.start : self.stop]
        if not found:
            raise ImageReadError(f"{self.folder}: no images here; give a folder that has some")
        return found

    def load(self) -> tuple[list[np.ndarray], list[str]]:
        """Return the images as (H, W, 3) uint8 and a line for each file that could not be read."""
        images, skipped = [], []
        for path in self.paths():
            try:
                pixels = load_image(path).pixels
            except ImageReadError as error:
                skipped.append(str(error))
                continue
            if pixels.ndim == 2:
                pixels = np.repeat(pixels[..., None], 3, axis=-1)
            if self.shrink > 1:
                pixels = np.asarray(Image.fromarray(pixels).reduce(self.shrink))
            images.append(np.ascontiguousarray(pixels))
        return images, skipped


@dataclass(frozen=True)
class Coding:
    """How the crops are coded: the distribution of qualities and formats.

    Attributes:
        qf_ranges: (low, high, weight) of uniform integer ranges, inclusive.
        full_chroma: Share coded 4:4:4; the others are 4:2:0.
        grey: Share of grey images (coded as one component, shown as RGB).
        double: Share coded once before, at a quality factor of ``double_qf``.
        double_qf: (low, high), inclusive.
        double_shifted: Of those, the share whose first grid does not lie on the last one.
        shifted: Share cut out of the coded image off its 8×8 grid.
        resized: Share resized after coding, by a kernel of Pillow or OpenCV. Such an image, and one
            whose last coding is the weaker of two, is described by the quality that it really has
            and not by the tables of its last file.
        resized_scale: (low, high) of the factor, drawn uniformly in octaves.
        saved_again: Of those resized, the share that is coded a second time afterwards.
        again_qf: (low, high) of that coding, inclusive.
        other_tables: Share of single codings with tables other than libjpeg's.
        belief_spread: Standard deviation, in octaves of the quantisation step, by which the quality
            that an image really has is misjudged.
        blind: Share whose tables are withheld.
    """

    qf_ranges: Sequence[tuple[int, int, float]] = ((5, 50, 0.6), (51, 98, 0.4))
    full_chroma: float = 0.15
    grey: float = 0.05
    double: float = 0.1
    double_qf: tuple[int, int] = (60, 95)
    double_shifted: float = 0.0
    shifted: float = 0.0
    resized: float = 0.0
    resized_scale: tuple[float, float] = (0.5, 2.0)
    saved_again: float = 0.4
    again_qf: tuple[int, int] = (60, 96)
    other_tables: float = 0.0
    belief_spread: float = 0.25
    blind: float = 0.1

    def sample_qf(self, rng: np.random.Generator) -> int:
        """Draw a quality factor."""
        weights = np.array([weight for _, _, weight in self.qf_ranges])
        low, high, _ = self.qf_ranges[rng.choice(len(weights), p=weights / weights.sum())]
        return int(rng.integers(low, high + 1))


class JpegCrops(Dataset[dict[str, Tensor]]):
    """Random crops with their JPEG versions; item ``i`` is the same in every run.

    Images are kept in memory as uint8: a few hundred of half a megapixel take less than 1 GB.

    Args:
        sources: Where the clean images are.
        crop: Side of the square crops in pixels, a multiple of 16.
        coding: How they are coded.
        luma: Give grey images of one channel, for networks that restore luma alone.
        length: Items an epoch has.
        seed: With the index, what an item depends on.

    Raises:
        ImageReadError: No image as large as a crop.
    """

    def __init__(
        self,
        sources: Sequence[ImageFolder | dict[str, Any]],
        crop: int = 128,
        coding: Coding | dict[str, Any] | None = None,
        luma: bool = False,
        length: int = 1_000_000,
        seed: int = 0,
    ) -> None:
        self.crop, self.luma, self.length, self.seed = crop, luma, length, seed
        self.coding = Coding(**coding) if isinstance(coding, dict) else coding or Coding()
        self.images: list[np.ndarray] = []
        self.skipped: list[str] = []
        # Larger images are drawn more often, so that every pixel of a folder is about equally
        # likely.
        weights: list[float] = []
        for source in sources:
            folder = ImageFolder(**source) if isinstance(source, dict) else source
            images, skipped = folder.load()
            large = [image for image in images if min(image.shape[:2]) >= crop]
            self.images += large
            weights += [folder.weight * image.shape[0] * image.shape[1] for image in large]
            self.skipped += skipped
        if not self.images:
            names = ", ".join(str(source) for source in sources)
            raise ImageReadError(f"no image of at least {crop}×{crop} pixels in {names}")
        self.weights = np.array(weights) / sum(weights)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        clean, jpeg, qtables = self._pair(rng)
        if jpeg.ndim == 2:
            copies = 1 if self.luma else 3
            clean = np.repeat(clean[..., None], copies, axis=-1)
            jpeg = np.repeat(jpeg[..., None], copies, axis=-1)
        quality = Quality.from_qtables([qtables])
        return {
            "item": torch.tensor(index),
            "jpeg": torch.from_numpy(jpeg.transpose(2, 0, 1).copy()),  # (C, crop, crop) uint8
            "clean": torch.from_numpy(clean.transpose(2, 0, 1).copy()),
            "qtables": quality.qtables[0],  # (2, 8, 8)
            "qf": quality.qf[0],
            "known": torch.tensor(rng.random() >= self.coding.blind),
        }

    def _pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return clean and decoded pixels, (crop, crop, 3) or grey (crop, crop), and the tables."""
        coding = self.coding
        image = self.images[rng.choice(len(self.images), p=self.weights)]
        if rng.random() < coding.resized:
            return self._resized_pair(image, rng)
        double = rng.random() < coding.double
        # A grid is shifted by cutting the image between two codings, or behind the last one.
        between = double and rng.random() < coding.double_shifted
        behind = rng.random() < coding.shifted
        spare = min(image.shape[:2]) - self.crop
        if spare < _GRID * (between + behind):  # too small an image to cut anything off
            between = behind = False
        clean = self._grey_or_colour(
            _random_crop(image, self.crop + _GRID * (between + behind), rng), rng
        )
        subsampling = self._subsampling(rng)
        jpeg = clean
        first = 101
        if double:
            low, high = coding.double_qf
            first = int(rng.integers(low, high + 1))
            jpeg = decode_jpeg(compress_jpeg(jpeg, first, subsampling)).pixels
        if between:
            clean, jpeg = _cut(clean, jpeg, rng)
        last = coding.sample_qf(rng)
        if not double and rng.random() < coding.other_tables:
            coded = decode_jpeg(_compress_with_tables(jpeg, _other_tables(last, rng), subsampling))
        else:
            coded = decode_jpeg(compress_jpeg(jpeg, last, subsampling))
        jpeg = coded.pixels
        if behind:
            clean, jpeg = _cut(clean, jpeg, rng)
        if coding.resized and first < last:
            return clean, jpeg, qtables_from_qf(_misjudged(first, coding.belief_spread, rng))
        return clean, jpeg, coded.info.qtables

    def _resized_pair(
        self, image: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what :meth:`_pair` does, of an image that was resized after it was coded."""
        coding = self.coding
        low, high = np.log2(coding.resized_scale)
        side = min(round(self.crop / 2 ** rng.uniform(low, high)), min(image.shape[:2]))
        clean = self._grey_or_colour(_random_crop(image, side, rng), rng)
        subsampling = self._subsampling(rng)
        qf = coding.sample_qf(rng)
        jpeg = decode_jpeg(compress_jpeg(clean, qf, subsampling)).pixels
        kernel = _KERNELS[rng.integers(len(_KERNELS))]
        clean, jpeg = (_resized(pixels, self.crop, kernel) for pixels in (clean, jpeg))
        if rng.random() < coding.saved_again:
            again = int(rng.integers(coding.again_qf[0], coding.again_qf[1] + 1))
            jpeg = decode_jpeg(compress_jpeg(jpeg, again, subsampling)).pixels
        effective = _equal_error_qf(clean, jpeg)
        # In a crop without detail any quality has the same error.
        effective = _scaled_qf(qf, float(np.clip(_octaves(effective, qf), -2.5, 2.5)))
        return clean, jpeg, qtables_from_qf(_misjudged(effective, coding.belief_spread, rng))

    def _grey_or_colour(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a crop, or its luma: what is to be restored is then the grey image."""
        if self.luma or rng.random() < self.coding.grey:
            return np.asarray(Image.fromarray(clean).convert("L"))
        return clean

    def _subsampling(self, rng: np.random.Generator) -> str:
        return "4:4:4" if rng.random() < self.coding.full_chroma else "4:2:0"


# How others resize: Pillow's kernels widen as they reduce, OpenCV's (as torch's) do not.
_KERNELS: tuple[str | Image.Resampling, ...] = (
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    "bilinear",
    "bicubic",
    "area",
)


def _resized(pixels: np.ndarray, side: int, kernel: str | Image.Resampling) -> np.ndarray:
    """Return (H, W, 3) or (H, W) uint8 pixels as (side, side, 3) or (side, side)."""
    if isinstance(kernel, Image.Resampling):
        return np.asarray(Image.fromarray(pixels).resize((side, side), kernel))
    planes = torch.from_numpy(np.atleast_3d(pixels).transpose(2, 0, 1)[None].copy()).float()
    corners = None if kernel == "area" else False
    found = F.interpolate(planes, size=(side, side), mode=kernel, align_corners=corners)
    result = found[0].round().clamp(0, 255).byte().numpy().transpose(1, 2, 0)
    return np.ascontiguousarray(result[..., 0] if pixels.ndim == 2 else result)


def _equal_error_qf(clean: np.ndarray, spoilt: np.ndarray) -> int:
    """Return the quality at which one coding of ``clean`` has the error of ``spoilt`` in luma."""
    reference, given = (
        np.asarray(Image.fromarray(image).convert("L")) for image in (clean, spoilt)
    )

    def error(luma: np.ndarray) -> float:
        return float(np.square(luma.astype(np.float32) - reference).mean())

    wanted = error(given)
    low, high = 1, 100
    while low < high:  # the error falls as the quality rises
        middle = (low + high) // 2
        coded = decode_jpeg(compress_jpeg(reference, middle)).pixels
        low, high = (low, middle) if error(coded) <= wanted else (middle + 1, high)
    return low


def _percent(qf: float) -> float:
    """Return by how many percent libjpeg scales the tables of Annex K at a quality."""
    return max(5000 / qf if qf < 50 else 200 - 2 * qf, 0.5)


def _octaves(qf: int, other: int) -> float:
    """Return how much coarser the steps of ``qf`` are than those of ``other``, in octaves."""
    return float(np.log2(_percent(qf) / _percent(other)))


def _scaled_qf(qf: int, octaves: float) -> int:
    """Return the quality whose steps are coarser than those of ``qf`` by so many octaves."""
    percent = _percent(qf) * 2**octaves
    return int(np.clip(round(5000 / percent if percent > 100 else (200 - percent) / 2), 1, 100))


def _misjudged(qf: int, spread: float, rng: np.random.Generator) -> int:
    return _scaled_qf(qf, rng.normal(0, spread))


def _other_tables(qf: int, rng: np.random.Generator) -> np.ndarray:
    """Return (2, 8, 8) tables about as coarse as libjpeg's, with another slope over frequency.

    Cameras' and Photoshop's tables are flatter or steeper than Annex K, and treat chroma better.
    """
    tables = qtables_from_qf(qf).astype(np.float64)
    centre = np.exp(np.log(tables).mean(axis=(1, 2), keepdims=True))
    shaped = centre * (tables / centre) ** rng.uniform(0.3, 1.4)
    shaped[1] *= 2 ** rng.uniform(-1.0, 0.3)
    return np.clip(np.round(shaped), 1, 255).astype(np.uint16)


def _compress_with_tables(pixels: np.ndarray, tables: np.ndarray, subsampling: str) -> bytes:
    stream = io.BytesIO()
    # Pillow takes tables in natural order.
    lists = [table.flatten().tolist() for table in tables[: 1 if pixels.ndim == 2 else 2]]
    options = {} if pixels.ndim == 2 else {"subsampling": subsampling}
    Image.fromarray(pixels).save(stream, "JPEG", qtables=lists, **options)
    return stream.getvalue()


def _random_crop(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random crop under one of the eight flips and rotations, (side, side, 3)."""
    top = rng.integers(0, image.shape[0] - side + 1)
    left = rng.integers(0, image.shape[1] - side + 1)
    crop = np.rot90(image[top : top + side, left : left + side], int(rng.integers(4)))
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def _cut(
    clean: np.ndarray, jpeg: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut 16 rows and columns off both images, not all behind them: the grid is shifted."""
    top, left = (int(offset) for offset in rng.integers(0, _GRID, 2))
    if not (top or left):
        left = _GRID // 4
    rows, columns = slice(top, top - _GRID), slice(left, left - _GRID)
    return np.ascontiguousarray(clean[rows, columns]), np.ascontiguousarray(jpeg[rows, columns])


class JpegImages(Dataset[dict[str, Tensor]]):
    """Whole images at fixed quality factors, for validation; cut to a multiple of 16 pixels.

    Args:
        source: Where the clean images are.
        qfs: Each image is coded at each of these.
        luma: Give grey images of one channel, as :class:`JpegCrops` does.
    """

    def __init__(
        self, source: ImageFolder | dict[str, Any], qfs: Sequence[int], luma: bool = False
    ) -> None:
        self.luma = luma
        folder = ImageFolder(**source) if isinstance(source, dict) else source
        self.images, self.skipped = folder.load()
        self.qfs = list(qfs)

    def __len__(self) -> int:
        return len(self.images) * len(self.qfs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        clean = self.images[index // len(self.qfs)]
        height, width = (size - size % 16 for size in clean.shape[:2])
        clean = clean[:height, :width]
        if self.luma:
            clean = np.asarray(Image.fromarray(clean).convert("L"))
        coded = decode_jpeg(compress_jpeg(clean, self.qfs[index % len(self.qfs)]))
        quality = Quality.from_qtables([coded.info.qtables])
        jpeg = coded.pixels
        if self.luma:
            clean, jpeg = clean[..., None], jpeg[..., None]
        return {
            "jpeg": torch.from_numpy(jpeg.transpose(2, 0, 1).copy()),
            "clean": torch.from_numpy(clean.transpose(2, 0, 1).copy()),
            "qtables": quality.qtables[0],
            "qf": quality.qf[0],
            "known": torch.tensor(True),
        }
