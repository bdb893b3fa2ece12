"""What has been tried already, in a file: a run that was stopped goes on behind it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from soaking.commands import ROOT
from soaking.tally import Tally


class Ledger:
    """Lines of the table by what they are of, each written once it is whole.

    What was tried on other code does not count: a line also holds a hash of all sources.

    Args:
        path: File with a line of JSON for each part; ``None`` to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._code = _hash_of_sources()
        self._known: dict[str, list[Tally]] = {}
        for line in path.read_text().splitlines() if path and path.exists() else ():
            try:
                key, tallies = json.loads(line)
            except ValueError:  # torn by a kill, or empty
                continue
            self._known[key] = [
                Tally(**{**each, **{name: Counter(each[name]) for name in ("faults", "beside")}})
                for each in tallies
            ]

    def once(self, work: Callable[[], Iterable[Tally]], *key: object) -> list[Tally]:
        """Return what ``work`` does, or what it did when it was tried by the same key."""
        text = self._text(key)
        if text not in self._known:
            self._known[text] = list(work())
            if self._path is not None:
                found = [vars(tally) for tally in self._known[text]]
                with self._path.open("a") as stream:  # in front, since a kill may tear the last one
                    stream.write("\n" + json.dumps([text, found]))
        return self._known[text]

    def _text(self, key: Sequence[object]) -> str:
        return json.dumps([self._code, *key])


def _hash_of_sources() -> str:
    digest = hashlib.sha256()
    for folder in ("jpeg_preproc", "tools", "tests/soaking"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
