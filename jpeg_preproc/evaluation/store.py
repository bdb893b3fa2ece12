"""Scores kept on disk as they are measured, so that a stopped run loses nothing."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from jpeg_preproc.evaluation.condition_store import differences, restoring_key
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings
from jpeg_preproc.evaluation.metrics import Scores
from jpeg_preproc.evaluation.protocols import EvaluationProtocol
from jpeg_preproc.evaluation.task import SEED
from jpeg_preproc.evaluation.versions import result_versions
from jpeg_preproc.io import write_text_atomic

#: To be raised when a change to the metrics, or to the code that restores, changes values.
REVISION = 5


@dataclass(frozen=True)
class ImageScores(Scores):
    """The measures of one image under one condition, and the size of the file made of it.

    Attributes:
        num_bytes: Bytes of the file.
        num_pixels: Number of the original's pixels.
        told_qf: Quality factor that the image was restored by; ``None`` of what was not restored,
            or blindly.
    """

    num_bytes: int
    num_pixels: int
    told_qf: int | None = None


@dataclass(frozen=True)
class ImageFile:
    """An image file as a store knows it.

    Attributes:
        name: Its name without folders, from which a corruption that draws at random draws.
        sha256: Hash of its bytes.
    """

    name: str
    sha256: str


class ScoreStore:
    """Scores by all that decides them, in memory and, one JSON line each, in a file.

    A line holds the three measures, what they are of, and the key: the image's name and hash,
    corruption, restorer, settings, protocol, versions. A reader may take one without our code.

    Args:
        path: File, read now and appended to; ``None`` keeps scores in memory only.
        protocol: Protocol of measuring, part of every key.
        settings: How restorers run, part of the keys of what is restored.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        protocol: EvaluationProtocol,
        settings: RestoreSettings,
    ) -> None:
        self._path = None if path is None else Path(path)
        self._protocol = protocol
        self._settings = settings
        self._common = {
            "revision": REVISION,
            "versions": result_versions(),
            "protocol": asdict(protocol),
            "seed": SEED,
        }
        self._of_condition: dict[Condition, dict[str, Any]] = {}
        self._scores: dict[str, ImageScores] = {}
        self._asked_before: dict[tuple[str, ...], dict[str, Any]] = {}
        self._outdated: Counter[str] = Counter()
        if self._path and self._path.exists():
            self._read(self._path)

    @property
    def outdated(self) -> list[str]:
        """A line for each reason why stored scores hold no longer, with the number of these."""
        return [f"{count} value(s): {reason}" for reason, count in self._outdated.items()]

    def key(self, image: ImageFile, condition: Condition) -> dict[str, Any]:
        """Return all that the scores of an image depend on: equal keys, equal scores.

        Nothing in it says where the image or the weights lie, or what the rows call them.

        Args:
            image: The clean image.
            condition: What happens to it.

        Raises:
            CorruptionError: A package that the corruption needs is missing.
        """
        if condition not in self._of_condition:
            own: dict[str, Any] = {}
            if condition.corruption is not None:
                own["corruption"] = condition.corruption.key()
            if condition.restorer is not None:
                own |= restoring_key(condition.restorer, self._settings)
            self._of_condition[condition] = own
        return {"image": asdict(image), **self._of_condition[condition], **self._common}

    def find(self, image: ImageFile, condition: Condition) -> ImageScores | None:
        """Return the stored scores of an image, if any still hold; arguments are those of `key`."""
        key = self.key(image, condition)
        found = self._scores.get(_text(key))
        if found is None:
            asked = _asked(self._names(condition), key)
            earlier = self._asked_before.get(asked)
            if earlier is not None:
                self._outdated["; ".join(differences(earlier, key))] += 1
        return found

    def add(
        self, image: ImageFile, condition: Condition, scores: ImageScores, dataset: str
    ) -> None:
        """Keep scores, on disk too before this returns.

        Args:
            image: The clean image.
            condition: What happened to it.
            scores: What was measured.
            dataset: Name of the data set, for readers only.
        """
        key = self.key(image, condition)
        self._scores[_text(key)] = scores
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            names = {"dataset": dataset, "image": image.name, **self._names(condition)}
            entry = {**names, **asdict(scores), "key": key}
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")

    def _names(self, condition: Condition) -> dict[str, str]:
        """Return what a condition is called in a line."""
        corruption = condition.corruption
        spelling = "" if corruption is None else corruption.spelling
        return {"corruption": spelling, "restorer": condition.label}

    def _read(self, path: Path) -> None:
        """Read the file, and remove what a kill left unfinished."""
        text = path.read_text(encoding="utf-8", errors="replace")
        whole = []
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            whole.append(line + "\n")
            try:
                names = (field.name for field in fields(ImageScores))
                scores = ImageScores(**{name: entry[name] for name in names})
                asked = _asked(entry, entry["key"])
            except (KeyError, TypeError):
                continue  # a line of an earlier form
            self._scores[_text(entry["key"])] = scores
            self._asked_before[asked] = entry["key"]
        # A line that merely lacks its end would swallow the next one appended to it.
        if "".join(whole) != text:
            write_text_atomic(path, "".join(whole))


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)


def _asked(names: Mapping[str, str], key: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what was asked for, whatever the answer depends on beside it."""
    image, protocol = key["image"]["sha256"], key["protocol"]["name"]
    return image, names["corruption"], names["restorer"], protocol
