"""What was made of a dataset, image by image: the record that a run resumes from.

While a run lasts, ``manifest.jsonl`` takes one line per image as it is done (a kill loses at most
the last line). At the end it becomes ``manifest.json``, sorted, so that a run that was killed and
resumed leaves the same bytes as one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from jpeg_preproc.datasets.tree import Problem
from jpeg_preproc.errors import DatasetError
from jpeg_preproc.io import write_json_atomic, write_text_atomic

MANIFEST = "manifest.json"
JOURNAL = "manifest.jsonl"
#: Names at the root of a rewritten tree that are this tool's.
RESERVED_NAMES = frozenset({MANIFEST, JOURNAL})

#: One image of a manifest: ``path`` and what was read and written, as JSON values.
Entry = dict[str, Any]


class Manifest:
    """The manifest of one rewritten tree.

    Attributes:
        path: where the finished manifest lies.
        settings: what all its images have in common.
        resumed: an unfinished run was found.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the manifest in ``folder``, or begin one.

        Args:
            folder: the rewritten tree's root; made if missing.
            settings: what all images have in common (JSON values): encoder, quality and so on.

        Raises:
            DatasetError: the folder is not empty and has no manifest, or one with other settings,
                or a damaged one. Two settings in one tree would make its numbers meaningless.
        """
        self.path = folder / MANIFEST
        self._journal_path = folder / JOURNAL
        self.settings = dict(settings)
        self._entries: dict[str, Entry] = {}
        self.resumed = self._journal_path.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists() or self.resumed:
            self._read_manifest()
            self._read_journal()
        elif any(folder.iterdir()):
            raise DatasetError(
                f"{folder} is not empty and was not made by this tool (no {MANIFEST}); give "
                "another output folder, or empty this one."
            )
        lines = [{"settings": self.settings}, *self._entries.values()]
        write_text_atomic(self._journal_path, "".join(map(_line, lines)))
        self._journal: IO[str] = self._journal_path.open("a", encoding="utf-8")

    def __enter__(self) -> Manifest:
        """Return the manifest itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the journal; what it holds stays for the next run."""
        self._journal.close()

    def known(self, path: str) -> Entry | None:
        """Return the entry of an image, or None."""
        return self._entries.get(path)

    def record(self, entry: Entry) -> None:
        """Add the entry of an image, or replace it, and write it down at once."""
        self._entries[entry["path"]] = entry
        self._journal.write(_line(entry))
        self._journal.flush()

    def forget(self, path: str) -> None:
        """Drop the entry of an image whose source can no longer be read."""
        self._entries.pop(path, None)

    def entries(self) -> list[Entry]:
        """Return all entries, sorted by path."""
        return [self._entries[path] for path in sorted(self._entries)]

    def finish(self, skipped: Iterable[Problem]) -> Path:
        """Write ``manifest.json``, remove the journal, and return the manifest's path."""
        self._journal.close()
        write_json_atomic(
            self.path,
            {
                "settings": self.settings,
                "images": self.entries(),
                "skipped": [{"path": item.path, "reason": item.reason} for item in skipped],
            },
        )
        self._journal_path.unlink()
        return self.path

    def _read_manifest(self) -> None:
        if not self.path.exists():
            return
        try:
            content = json.loads(self.path.read_bytes())
            settings, images = content["settings"], content["images"]
            entries = {entry["path"]: entry for entry in images}
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{self.path} is damaged ({error}); remove its folder, or give another output "
                "folder."
            ) from error
        self._check_settings(settings)
        self._entries = entries

    def _read_journal(self) -> None:
        if not self.resumed:
            return
        for line in self._journal_path.read_bytes().splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue  # torn by the kill: its image is done again
            if isinstance(value, dict) and "settings" in value:
                self._check_settings(value["settings"])
            elif isinstance(value, dict) and isinstance(value.get("path"), str):
                self._entries[value["path"]] = value

    def _check_settings(self, found: Any) -> None:
        if found == self.settings:
            return
        old = found if isinstance(found, dict) else {}
        differences = ", ".join(
            f"{key} {old.get(key)!r} (now {self.settings.get(key)!r})"
            for key in sorted({*old, *self.settings})
            if old.get(key) != self.settings.get(key)
        )
        raise DatasetError(
            f"{self.path.parent} was made with other settings: {differences}; give another output "
            "folder, or remove this one."
        )


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
