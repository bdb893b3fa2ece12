"""Clean images on disk to random (jpeg, clean, tables) crops, coded on the fly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import load_image, qtables_from_qf
from jpeg_preproc.jpeg.image import IMAGE_SUFFIXES
from jpeg_preproc.restorers.contract import Quality
from jpeg_preproc.training.graphics import draw_graphic
from jpeg_preproc.training.histories import Coding


@dataclass(frozen=True)
class ImageFolder:
    """Images of a folder that count as clean.

    Attributes:
        folder: Searched recursively, in sorted order.
        shrink: Reduce height and width by this factor (box filter), so that sources which are
            JPEG themselves lose their artifacts.
        start: Index of the first image taken, as in a slice.
        stop: Index of the image before which to stop, as in a slice.
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
class Graphics:
    """Images that are drawn; see :mod:`jpeg_preproc.training.graphics`.

    Attributes:
        graphics: How many there are.
        start: Number of the first one.
        weight: How often one of their pixels is drawn, relative to those of other sources.
    """

    graphics: int
    start: int = 0
    weight: float = 1.0

    def load(self) -> tuple[list[np.ndarray], list[str]]:
        """Return the images as (H, W, 3) uint8; none of them fails to be read."""
        return [draw_graphic(self.start + index) for index in range(self.graphics)], []


@dataclass(frozen=True, eq=False)
class CropPair:
    """A clean crop and what has become of it.

    Attributes:
        clean: The clean crop, uint8, (crop, crop, C).
        spoilt: The crop after its history, of the same shape.
        told: Tables that a restorer is to be told, (T, 8, 8).
        file: Tables of the file that it was decoded from; ``None`` where it was cut off that file's
            grid, or kept losslessly.
    """

    clean: np.ndarray
    spoilt: np.ndarray
    told: np.ndarray
    file: np.ndarray | None


class JpegCrops(Dataset[dict[str, Tensor]]):
    """Random crops with their JPEG versions; item ``i`` is the same in every run.

    Images are kept in memory as uint8: a few hundred of half a megapixel take less than 1 GB.

    Args:
        sources: Where the clean images are.
        crop: Side of the square crops in pixels, a multiple of 16.
        coding: How the crops are coded.
        luma: Give grey images of one channel, for networks that restore luma alone.
        length: Number of items in an epoch.
        seed: Number that decides, with its index, what an item is.

    Raises:
        ImageReadError: No image is as large as a crop.
    """

    def __init__(
        self,
        sources: Sequence[ImageFolder | Graphics | dict[str, Any]],
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
            folder = _source(source) if isinstance(source, dict) else source
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
        pair = self._pair(rng)
        quality = Quality.from_qtables([pair.told])
        return {
            "item": torch.tensor(index),
            "jpeg": torch.from_numpy(pair.spoilt.transpose(2, 0, 1).copy()),  # (C, crop, crop)
            "clean": torch.from_numpy(pair.clean.transpose(2, 0, 1).copy()),
            "qtables": quality.qtables[0],  # (2, 8, 8)
            "qf": quality.qf[0],
            "known": torch.tensor(rng.random() >= self.coding.blind),
        }

    def pair(self, index: int) -> CropPair:
        """Return the crop that item ``index`` is made of."""
        return self._pair(np.random.default_rng((self.seed, index)))

    def _pair(self, rng: np.random.Generator) -> CropPair:
        image = self.images[rng.choice(len(self.images), p=self.weights)]
        history = self.coding.draw(rng, self.crop, min(image.shape[:2]))
        clean = _random_crop(image, history.side, rng)
        if self.luma or rng.random() < self.coding.grey:
            # What is to be restored is the grey image, not the colour it was made from.
            clean = np.asarray(Image.fromarray(clean).convert("L"))
        made = history.corruption.apply(clean)
        top, left = history.cut
        rows, columns = slice(top, top + self.crop), slice(left, left + self.crop)
        clean = np.ascontiguousarray(history.corruption.reference(clean)[rows, columns])
        spoilt = np.ascontiguousarray(made.pixels[rows, columns])
        told = self.coding.tables(history, made.qtables, clean, spoilt, rng)
        if spoilt.ndim == 2:
            copies = 1 if self.luma else 3
            clean = np.repeat(clean[..., None], copies, axis=-1)
            spoilt = np.repeat(spoilt[..., None], copies, axis=-1)
        return CropPair(clean, spoilt, told, made.qtables if history.cut == (0, 0) else None)


def _source(settings: dict[str, Any]) -> ImageFolder | Graphics:
    """Return what the settings of a source are those of."""
    return Graphics(**settings) if "graphics" in settings else ImageFolder(**settings)


def _random_crop(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random crop under one of the eight flips and rotations, (side, side, 3)."""
    top = rng.integers(0, image.shape[0] - side + 1)
    left = rng.integers(0, image.shape[1] - side + 1)
    crop = np.rot90(image[top : top + side, left : left + side], int(rng.integers(4)))
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


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
        qf = self.qfs[index % len(self.qfs)]
        jpeg = Jpeg(qf).apply(clean).pixels
        quality = Quality.from_qtables([qtables_from_qf(qf)[: 1 if self.luma else 2]])
        if self.luma:
            clean, jpeg = clean[..., None], jpeg[..., None]
        return {
            "jpeg": torch.from_numpy(jpeg.transpose(2, 0, 1).copy()),
            "clean": torch.from_numpy(clean.transpose(2, 0, 1).copy()),
            "qtables": quality.qtables[0],
            "qf": quality.qf[0],
            "known": torch.tensor(True),
        }
