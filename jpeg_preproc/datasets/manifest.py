"""What was made of a dataset, image by image: the record that a run resumes from.

While a run lasts, ``manifest.jsonl`` takes one line per image as it is done (a kill loses at most
the last line); where several processes share a run, each has a journal of its own,
``manifest.1.jsonl`` and so on. At the end they become ``manifest.json``, sorted, so that a run that
was killed and resumed, or shared, leaves the same bytes as one that was not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from jpeg_preproc.datasets.tree import Problem
from jpeg_preproc.errors import DatasetError
from jpeg_preproc.io import remove_temporary_files, write_text_atomic

MANIFEST = "manifest.json"
JOURNAL = "manifest.jsonl"
_SHARED_JOURNAL = re.compile(r"manifest\.[0-9]+\.jsonl")

#: One image of a manifest: ``path`` and what was read and written, as JSON values.
Entry = dict[str, Any]

# Made once: json.dumps makes one for each call with such settings.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def entry_line(entry: Entry) -> str:
    """Return the line of a manifest that holds an entry, without its end.

    >>> entry_line({"path": "a.jpg", "bytes": 1})
    '{"path":"a.jpg","bytes":1}'
    """
    return _ENCODER.encode(entry)


def parse_line(line: str) -> Entry:
    """Return the entry that :func:`entry_line` made a line of."""
    return cast(Entry, json.loads(line))


def is_reserved(name: str) -> bool:
    """Tell whether a file at the root of a rewritten tree is one of this module's."""
    return name in (MANIFEST, JOURNAL) or _SHARED_JOURNAL.fullmatch(name) is not None


def totals(entries: Sequence[Entry]) -> dict[str, int | float | None]:
    """Return ``images``, their ``bytes``, and ``bits_per_pixel`` over all of them together."""
    size = sum(entry["bytes"] for entry in entries)
    pixels = sum(entry["width"] * entry["height"] for entry in entries)
    return {
        "images": len(entries),
        "bytes": size,
        "bits_per_pixel": round(8 * size / pixels, 4) if pixels else None,
    }


def _holds_others_files(folder: Path) -> bool:
    """Tell whether there is anything but what a run leaves that is killed as it begins."""
    remove_temporary_files((), folder, is_reserved)
    return any(folder.iterdir())


class TreeManifest:
    """The manifest of one rewritten tree.

    Attributes:
        path: Where the finished manifest lies.
        settings: What all its images have in common.
        resumed: Whether an unfinished run was found.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], rank: int = 0) -> None:
        """Open the manifest in ``folder``, or begin one.

        Args:
            folder: Root of the rewritten tree; made if missing.
            settings: What all images have in common (JSON values): encoder, quality and so on.
            rank: Number of this process among those that share the run. The others open theirs
                after the first one, which takes in the journals of an earlier run.

        Raises:
            DatasetError: The folder is not empty and has no manifest, or one with other settings,
                or a damaged one. Two settings in one tree would make its numbers meaningless.
        """
        self.path = folder / MANIFEST
        self._journal_path = folder / (f"manifest.{rank}.jsonl" if rank else JOURNAL)
        self.settings = dict(settings)
        # Lines, not what they hold: of a large dataset that takes a fraction of the memory.
        self._lines: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        journals = self._journals()
        self.resumed = bool(journals)
        if self.path.exists() or self.resumed:
            self._read_manifest()
            for journal in journals:
                self._read_journal(journal)
        elif rank == 0 and _holds_others_files(folder):
            raise DatasetError(
                f"{folder} is not empty and was not made by this tool (no {MANIFEST}); give "
                "another output folder, or empty this one."
            )
        known = [] if rank else self._lines.values()
        lines = [_ENCODER.encode({"settings": self.settings}), *known]
        write_text_atomic(self._journal_path, "".join(line + "\n" for line in lines))
        if rank == 0:
            self._remove_journals(but=self._journal_path)
        # Unbuffered: a line is in the file, and out of reach of a kill, once it is written.
        self._journal: IO[bytes] = self._journal_path.open("ab", buffering=0)

    def __enter__(self) -> TreeManifest:
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

    def known(self, path: str) -> str | None:
        """Return the line of an image, or None."""
        return self._lines.get(path)

    def record(self, path: str, line: str) -> None:
        """Add the line of an image, or replace it, and write it down at once.

        Args:
            path: Path of the image, as its entry has it.
            line: What :func:`entry_line` makes of its entry.
        """
        self._lines[path] = line
        self._journal.write(f"{line}\n".encode("utf-8", "backslashreplace"))

    def adopt(self, lines: Mapping[str, str]) -> None:
        """Add lines, by their images' paths, that another process has written down."""
        self._lines.update(lines)

    def forget(self, path: str) -> None:
        """Drop the line of an image whose source can no longer be read."""
        self._lines.pop(path, None)

    def entries(self) -> list[Entry]:
        """Return all entries, sorted by path."""
        return [parse_line(self._lines[path]) for path in sorted(self._lines)]

    def finish(self, skipped: Iterable[Problem]) -> Path:
        """Write ``manifest.json``, remove the journals, and return the manifest's path."""
        self._journal.close()
        images = [self._lines[path] for path in sorted(self._lines)]
        problems = [_ENCODER.encode({"path": item.path, "reason": item.reason}) for item in skipped]
        # A line for each image: indenting everything takes as long as compressing some of them.
        lists = (
            f'"{name}": [' + ",".join("\n" + line for line in lines) + "\n]"
            for name, lines in (("images", images), ("skipped", problems))
        )
        settings = json.dumps(self.settings, ensure_ascii=False, indent=2)
        write_text_atomic(self.path, f'{{"settings": {settings},\n' + ",\n".join(lists) + "}\n")
        self._remove_journals()
        return self.path

    def _journals(self) -> list[Path]:
        """Return the journals in the folder: the first process's own, then the others'."""
        folder = self.path.parent
        shared = [path for path in folder.iterdir() if _SHARED_JOURNAL.fullmatch(path.name)]
        own = folder / JOURNAL
        return [*([own] if own.exists() else []), *sorted(shared)]

    def _remove_journals(self, but: Path | None = None) -> None:
        for journal in self._journals():
            if journal != but:
                journal.unlink()

    def _read_manifest(self) -> None:
        if not self.path.exists():
            return
        try:
            content = json.loads(self.path.read_bytes())
            settings, images = content["settings"], content["images"]
            lines = {entry["path"]: entry_line(entry) for entry in images}
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{self.path} is damaged ({error}); remove its folder, or give another output "
                "folder."
            ) from error
        self._check_settings(settings)
        self._lines = lines

    def _read_journal(self, path: Path) -> None:
        for line in path.read_bytes().splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                continue  # torn by the kill: its image is done again
            if isinstance(value, dict) and "settings" in value:
                self._check_settings(value["settings"])
            elif isinstance(value, dict) and isinstance(value.get("path"), str):
                self._lines[value["path"]] = entry_line(value)

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
