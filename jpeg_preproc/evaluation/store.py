"""Scores kept on disk as they are measured, so that a stopped run loses nothing."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from jpeg_preproc.evaluation.metrics import Scores
from jpeg_preproc.evaluation.protocols import EvaluationProtocol
from jpeg_preproc.io import write_text_atomic
from jpeg_preproc.jpeg.versions import encoder_versions

# Raise it when a change to the metrics changes values, so that no stored one is used again.
_REVISION = 1


def codec_version() -> str:
    """Return the versions of Pillow and of the libjpeg it codes with.

    >>> codec_version().startswith("Pillow ")
    True
    """
    found = encoder_versions("jpeg")
    return f"Pillow {found['pillow']}, {found['jpeg']}"


class ScoreStore:
    """Scores by all that decides them, in memory and, one JSON line each, in a file.

    A line holds the three measures, what they are of, and the key: image hash, QF, restorer and
    its identity, protocol, subsampling, codec. A reader may take one without our code.

    Args:
        path: the file, read now and appended to; ``None`` keeps scores in memory only.
        protocol: part of every key.
        subsampling: part of every key.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        protocol: EvaluationProtocol,
        subsampling: str,
    ) -> None:
        self._path = None if path is None else Path(path)
        self._common = {
            "protocol": asdict(protocol),
            "subsampling": subsampling,
            "codec": codec_version(),
            "revision": _REVISION,
        }
        self._scores: dict[str, Scores] = {}
        if self._path and self._path.exists():
            self._read(self._path)

    def key(self, digest: str, qf: int, restorer: str, identity: str) -> str:
        """Return the key of one value as JSON; ``digest`` is the SHA-256 of the image file."""
        own = {"sha256": digest, "qf": qf, "restorer": restorer, "identity": identity}
        return json.dumps(own | self._common, sort_keys=True)

    def get(self, key: str) -> Scores | None:
        """Return the scores kept under ``key``, if any."""
        return self._scores.get(key)

    def add(self, key: str, scores: Scores, dataset: str, image: str) -> None:
        """Keep ``scores``, on disk too before this returns; the names are for readers only."""
        self._scores[key] = scores
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            entry = {"dataset": dataset, "image": image, **asdict(scores), "key": json.loads(key)}
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")

    def _read(self, path: Path) -> None:
        """Read the file, and remove what a kill left unfinished."""
        text = path.read_text(encoding="utf-8", errors="replace")
        whole = []
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                scores = Scores(entry["psnr"], entry["ssim"], entry["psnr_b"])
                key = json.dumps(entry["key"], sort_keys=True)
            except (ValueError, KeyError, TypeError):
                continue
            self._scores[key] = scores
            whole.append(line + "\n")
        # A line that merely lacks its end would swallow the next one appended to it.
        if "".join(whole) != text:
            write_text_atomic(path, "".join(whole))
