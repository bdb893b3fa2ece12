"""What a corruption is: a frozen value that says what happens to an image, and does it."""

from __future__ import annotations

import hashlib
import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from math import nan
from numbers import Real
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from jpeg_preproc.corruptions.geometry import Geometry
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.jpeg.codec import check_image_array
from jpeg_preproc.jpeg.versions import encoder_versions


@dataclass(frozen=True, eq=False)
class Corrupted:
    """What became of an image.

    Attributes:
        pixels: The image: uint8, (H', W', 3) RGB or (H', W') grey, in stored orientation.
        data: Bytes of the last file where that one is lossy, a JPEG or another; None where the
            image was last kept losslessly, as a screenshot is.
        qtables: Quantisation tables, (T, 8, 8) uint16 in natural order, where ``data`` is a JPEG;
            else None.
        num_bytes: Bytes of the last lossy file, also where a lossless step came after it; those of
            the bare pixels where there was none.
        geometry: What became of the image's size and origin.
    """

    pixels: npt.NDArray[np.uint8]
    data: bytes | None
    qtables: npt.NDArray[np.uint16] | None
    num_bytes: int
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class Coded:
    """What a lossy coding gives.

    Attributes:
        pixels: The decoded image, uint8, as large as what was coded.
        data: The file's bytes.
        qtables: Quantisation tables of a JPEG, (T, 8, 8); None for other files.
    """

    pixels: npt.NDArray[np.uint8]
    data: bytes
    qtables: npt.NDArray[np.uint16] | None = None


class Coding(ABC):
    """A lossy coding that leaves the size as it is."""

    @property
    def libraries(self) -> Sequence[str]:
        """Libraries the result depends on, as ``encoder_versions`` names them."""
        return ()

    @abstractmethod
    def code(self, pixels: npt.NDArray[np.uint8]) -> Coded:
        """Return uint8 (H, W, 3) or (H, W) pixels after coding and decoding, and the file."""


class Reshaping(ABC):
    """A lossless step that changes size or origin."""

    @property
    def libraries(self) -> Sequence[str]:
        """Libraries the result depends on, as ``encoder_versions`` names them."""
        return ()

    @abstractmethod
    def reshape(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return uint8 (H, W, 3) or (H, W) pixels in their new shape."""

    @abstractmethod
    def geometry(self, size: tuple[int, int]) -> Geometry:
        """Return what becomes of size and origin of an image of (height, width)."""


@dataclass(frozen=True)
class Draws:
    """What the random choices of a corruption depend on: the same for all strengths of a kind.

    Attributes:
        kind: The corruption's kind.
        name: The image's name.
        seed: Number of the draw; another one draws anew.
    """

    kind: str
    name: str
    seed: int

    def generator(self) -> np.random.Generator:
        """Return a generator that gives the same numbers in every run and on every machine."""
        text = json.dumps([self.kind, self.name, self.seed])
        return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))


class Corruption(ABC):
    """What happens to an image: a value, equal to another of the same kind and settings.

    A kind is a frozen dataclass whose fields are its settings, checked in ``__post_init__``. It
    lists its steps; what they do, in turn, is the same for all kinds and done here.

    Attributes:
        kind: Name in the registry and in spellings.
        example: A spelling of it.
        revision: Number to raise when a change to the code changes what a kind does.
        axis: What :attr:`strength` is called on a curve's axis.
        qf: Quality of libjpeg, of a single JPEG; None for every other kind.
    """

    kind: ClassVar[str]
    example: ClassVar[str]
    revision: ClassVar[int] = 1
    axis: ClassVar[str] = "QF"
    qf: int | None = None

    @abstractmethod
    def steps(self, draws: Draws) -> Sequence[Coding | Reshaping]:
        """Return what is done to an image, in order.

        Args:
            draws: Source of random numbers, for kinds that draw.
        """

    @property
    @abstractmethod
    def label(self) -> str:
        """What people read in tables and legends, such as ``'JPEG at QF 10'``."""

    @property
    @abstractmethod
    def strength(self) -> float:
        """The setting that a curve has on its axis, in the unit that :attr:`axis` names."""

    def apply(self, pixels: npt.NDArray[np.uint8], name: str = "", seed: int = 0) -> Corrupted:
        """Corrupt an image and return its pixels, the last file and its size in bytes.

        Args:
            pixels: The image: uint8, (H, W, 3) RGB or (H, W) grey, in stored orientation.
            name: The image's name, which decides, with ``seed``, what is drawn.
            seed: Number of the draw; another one draws anew.

        Raises:
            ImageReadError: The array is of another kind, empty, or has sides over 65500 pixels.
            CorruptionError: The codec cannot hold the image, or a package is missing.
        """
        pixels = check_image_array(pixels)
        geometry = Geometry.unchanged(_size(pixels))
        coded: Coded | None = None
        is_last = False
        for step in self.steps(Draws(self.kind, name, seed)):
            if isinstance(step, Coding):
                coded = step.code(pixels)
                pixels = coded.pixels
                is_last = True
            else:
                geometry = geometry.then(step.geometry(_size(pixels)))
                pixels = step.reshape(pixels)
                is_last = False
        return Corrupted(
            pixels=pixels,
            data=coded.data if coded and is_last else None,
            qtables=coded.qtables if coded and is_last else None,
            num_bytes=len(coded.data) if coded else pixels.nbytes,
            geometry=geometry,
        )

    def reference(
        self, pixels: npt.NDArray[np.uint8], name: str = "", seed: int = 0
    ) -> npt.NDArray[np.uint8]:
        """Return the clean pixels after the same change of size and origin and nothing else.

        A restorer's result is compared with these. Arguments and errors are those of
        :meth:`apply`; the result has the size of ``apply(...).pixels``.
        """
        pixels = check_image_array(pixels)
        for step in self.steps(Draws(self.kind, name, seed)):
            if isinstance(step, Reshaping):
                pixels = step.reshape(pixels)
        return pixels

    def settings(self) -> dict[str, Any]:
        """Return the settings by name, as JSON values."""
        return {field.name: _json(getattr(self, field.name)) for field in _fields(self)}

    def key(self) -> dict[str, Any]:
        """Return all that the result depends on beside image, name and seed, as JSON values.

        Raises:
            CorruptionError: A package is missing.
        """
        libraries = [name for step in self.steps(Draws("", "", 0)) for name in step.libraries]
        return {
            "kind": self.kind,
            "settings": self.settings(),
            "revision": self.revision,
            "libraries": encoder_versions(*libraries),
        }

    @property
    def spelling(self) -> str:
        """The text that :func:`~.registry.parse_corruption` reads back to an equal value.

        Required settings, and those that are words, stand in the order of the fields; other
        settings by name, where they are not the default.
        """
        parts: list[str] = []
        positional = True
        for field in _fields(self):
            value = getattr(self, field.name)
            required = field.default is MISSING
            if not required and value == field.default:
                positional = False
            elif positional and (required or isinstance(value, str)):
                parts.append(_spelled(value))
            else:
                positional = False
                parts.append(f"{field.name}={_spelled(value)}")
        return f"{self.kind}:{','.join(parts)}" if parts else self.kind

    def __str__(self) -> str:
        return self.spelling

    def _whole(self, setting: str, low: int, high: int) -> None:
        """Make a setting an int, or raise CorruptionError where it is none in ``low``-``high``."""
        value = getattr(self, setting)
        try:
            whole = operator.index(value)
        except TypeError:
            whole = low - 1
        if isinstance(value, bool) or not low <= whole <= high:
            raise self._wrong(setting, f"a whole number from {low} to {high}")
        object.__setattr__(self, setting, whole)

    def _number(self, setting: str, low: float, high: float) -> None:
        """Make a setting a float, or raise CorruptionError where it is none in ``low``-``high``."""
        value = getattr(self, setting)
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
        if not low <= number <= high:
            raise self._wrong(setting, f"a number from {low:g} to {high:g}")
        object.__setattr__(self, setting, number)

    def _choice(self, setting: str, choices: Iterable[str]) -> None:
        """Raise CorruptionError where a setting is none of these words."""
        known = list(choices)
        if getattr(self, setting) not in known:
            raise self._wrong(setting, f"one of {', '.join(known)}")

    def _wrong(self, setting: str, wanted: str) -> CorruptionError:
        """Return the error for a setting that is not what is ``wanted``."""
        value = getattr(self, setting)
        return CorruptionError(
            f"Corruption {self.kind!r} has {setting}={value!r}; give {wanted}, "
            f"as in {self.example!r}."
        )


def _fields(corruption: Corruption) -> tuple[Field[Any], ...]:
    # The base is no dataclass: its qf would become the default of the subclasses' field.
    return fields(cast(Any, corruption))


def _size(pixels: npt.NDArray[np.uint8]) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _spelled(value: Any) -> str:
    return ":".join(map(str, value)) if isinstance(value, tuple) else str(value)
