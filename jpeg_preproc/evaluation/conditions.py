"""The conditions under which a model is measured: corruption × restorer.

The original images; the images that each corruption makes of them; those restored by each
restorer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from jpeg_preproc.corruptions import Corruption, Jpeg, Original, parse_corruption
from jpeg_preproc.errors import UnknownRestorerError
from jpeg_preproc.io import sha256_file
from jpeg_preproc.jpeg import validate_qf
from jpeg_preproc.restorers.weights import load_weights, weights_path

ORIGINAL = "original"
JPEG = "jpeg"
#: What the reference row of any other corruption is called.
CORRUPTED = "corrupted"
#: Behind the name of a restorer whose results are made consistent with their files.
FROM_FILE = "+file"

#: The quality factors of the papers' tables.
DEFAULT_QFS = (10, 20, 30, 40)

#: What no restorer may be called.
REFERENCES = (ORIGINAL, JPEG, CORRUPTED)

ToldFrom = Literal["file", "estimated", "blind", "best"]
#: Where a restorer may have the quality of an image from, where that is measured; see
#: :class:`RestorerChoice`.
QUALITY_SOURCES: tuple[ToldFrom, ...] = get_args(ToldFrom)

# Of a field that only names a thing: no result depends on it.
_A_NAME = {"is_name": True}


@dataclass(frozen=True)
class RestorerChoice:
    """A restorer as it was asked for.

    Attributes:
        name: A name with shipped weights, or a weights file.
        label: What the rows call it: the name, or the file's name without its ending.
        sha256: Hash of the weights.
        consistent: Whether results are made consistent with their files; see
            :class:`~jpeg_preproc.restorers.JpegRestorer`.
        quality_source: Where it has the quality from: ``'file'``, the last file where there is
            one, and the pixels, as a user's restorer has it by default (``qf='auto'``);
            ``'estimated'``, the pixels alone, as if there were no file; ``'blind'``, nowhere;
            ``'best'``, from trying which does best, which needs the clean image.
        strength: Share of the correction that is made, 0-1; ``None`` for what the weights say.
        weights_strength: What their manifest says of it, as JSON; empty for nothing.
    """

    name: str = field(metadata=_A_NAME)
    label: str = field(metadata=_A_NAME)
    sha256: str
    consistent: bool = False
    quality_source: ToldFrom = "file"
    strength: float | None = None
    weights_strength: str = ""


@dataclass(frozen=True)
class Condition:
    """One way the test images reach the model.

    Attributes:
        corruption: What happens to them; ``None`` for the original images.
        restorer: What mends them; ``None`` for the corrupted images themselves.
    """

    corruption: Corruption | None = None
    restorer: RestorerChoice | None = None

    @property
    def label(self) -> str:
        """What the rows call it.

        ``'original'``; ``'jpeg'``, or ``'corrupted'`` for another corruption; or the restorer's
        label.
        """
        if self.corruption is None:
            return ORIGINAL
        if self.restorer is not None:
            return self.restorer.label
        return JPEG if isinstance(self.corruption, Jpeg) else CORRUPTED

    @property
    def title(self) -> str:
        """The label with what happened to the images, for people."""
        if self.corruption is None:
            return self.label
        if self.corruption.qf is not None:
            return f"{self.label} at QF {self.corruption.qf}"
        return f"{self.label}, {self.corruption.label}"


@dataclass(frozen=True)
class RestoreSettings:
    """How the restorer of every condition runs.

    Attributes:
        device: Device of the restorer, for torch.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        where: ``'pipeline'``, or ``'preprocessor'`` for the model's data preprocessor.
        keep: Folder in which restored images are kept for other models; ``None`` keeps none.
    """

    device: str = "cpu"
    dtype: str = "fp32"
    where: Literal["pipeline", "preprocessor"] = "pipeline"
    keep: Path | None = field(default=None, metadata=_A_NAME)


def choose_restorers(
    names: Iterable[str],
    consistent: bool = False,
    quality_sources: Sequence[ToldFrom] = ("file",),
) -> list[RestorerChoice]:
    """Look up restorers and load each once, so that a bad one stops the run before it starts.

    Args:
        names: Names of shipped weights, or weights files.
        consistent: Take each that goes by its file's tables once more, with results made
            consistent with their files; it is then labelled ``NAME+file``.
        quality_sources: Where each has the quality from, once for each of these; it is labelled
            ``NAME``, ``NAME+estimated``, ``NAME+blind`` or ``NAME+best``.

    Raises:
        UnknownRestorerError: No such restorer, or two with the same label.
        WeightsError: A damaged weights file.
    """
    choices: list[RestorerChoice] = []
    for name in dict.fromkeys(names):
        path = weights_path(name)
        _, manifest = load_weights(name)
        told = json.dumps(manifest.strength, sort_keys=True) if manifest.strength else ""
        label = Path(name).stem if name.endswith(".safetensors") else name
        if label in REFERENCES or label in [choice.label for choice in choices]:
            raise UnknownRestorerError(
                f"two rows would be called {label!r}; rename the weights file {path}"
            )
        plain = RestorerChoice(name, label, sha256_file(path), weights_strength=told)
        for source in dict.fromkeys(quality_sources):
            if source == "file":
                choices.append(plain)
                if consistent:
                    choices.append(replace(plain, label=label + FROM_FILE, consistent=True))
            else:
                choices.append(replace(plain, label=f"{label}+{source}", quality_source=source))
    return choices


def jpeg_at(qfs: Iterable[int], subsampling: str = "4:2:0") -> list[Corruption]:
    """Return one JPEG compression for each quality factor, those asked for twice once.

    Raises:
        QualityError: A quality outside 1-100, or a subsampling that does not exist.
    """
    return [Jpeg(qf, subsampling) for qf in dict.fromkeys(validate_qf(qf) for qf in qfs)]


def plan(
    corruptions: Iterable[Corruption | str], restorers: Sequence[RestorerChoice]
) -> list[Condition]:
    """Return the conditions in the order they run: original, then each corruption's.

    Args:
        corruptions: What happens to the images, also as text; see
            :func:`~jpeg_preproc.corruptions.parse_corruption`.
        restorers: What is measured on each of them.

    Raises:
        CorruptionError: A text that is no corruption.

    >>> [condition.title for condition in plan(["jpeg:10", "webp:30"], [])]
    ['original', 'jpeg at QF 10', 'corrupted, WebP at quality 30']
    """
    conditions = [Condition()]
    for corruption in dict.fromkeys(parse_corruption(given) for given in corruptions):
        if isinstance(corruption, Original):
            continue
        conditions += [
            Condition(corruption),
            *(Condition(corruption, restorer) for restorer in restorers),
        ]
    return conditions
