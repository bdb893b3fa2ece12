"""Finished conditions on disk, found again only where nothing that they depend on has changed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.task import Measurement, Task
from jpeg_preproc.evaluation.versions import result_versions
from jpeg_preproc.io import remove_temporary_files, sha256_bytes, write_json_atomic

#: To be raised when a change to the code that measures, or that restores, changes results.
REVISION = 6

_SHOWN_CHANGES = 3


def condition_key(task: Task, condition: Condition, settings: RestoreSettings) -> dict[str, Any]:
    """Return all that a condition's result depends on: equal keys, equal result.

    Nothing in it says where anything lies or what it is called, so that a data set or a weights
    file may be moved.

    Args:
        task: What is measured; gives its :attr:`Task.fingerprint`.
        condition: What its images go through.
        settings: How its restorer runs.
    """
    key: dict[str, Any] = {
        "revision": REVISION,
        "versions": result_versions(task.packages),
        "task": task.fingerprint,
    }
    if condition.corruption is not None:
        key["corruption"] = condition.corruption.key()
    if condition.restorer is not None:
        key |= restoring_key(condition.restorer, settings)
    return key


def restoring_key(restorer: RestorerChoice, settings: RestoreSettings) -> dict[str, Any]:
    """Return the part of a key that says what restores, and how."""
    return {
        "restorer": decisive_fields(restorer),
        # Which of several GPUs it is makes no difference.
        "settings": decisive_fields(settings) | {"device": settings.device.partition(":")[0]},
    }


def decisive_fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, but those that merely name a thing."""
    return {
        field.name: getattr(value, field.name)
        for field in fields(value)
        if not field.metadata.get("is_name")
    }


@dataclass(frozen=True)
class Stored:
    """What a store has of a condition.

    Attributes:
        result: The measurement; ``None`` if there is none that still holds.
        changed: What differs from an earlier measurement that holds no longer, ``()`` where there
            was none.
    """

    result: Measurement | None
    changed: tuple[str, ...] = ()


class ConditionStore:
    """Finished conditions, one JSON file each, so that a killed run goes on.

    Args:
        folder: Folder of the files, made when the first one is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened = time.time()

    def name(self, task: Task, condition: Condition, key: Mapping[str, Any]) -> str:
        """Return the file name, without ending, of a condition's result."""
        return f"{_stem(task, condition)}-{_digest(key)}"

    def load(self, task: Task, condition: Condition, key: Mapping[str, Any]) -> Stored:
        """Return the stored result of a condition, or why there is none although there was one.

        It is found by its key, whatever the data set, the model and the restorer were called when
        it was measured; what has changed is told of the last one of these names.
        """
        for path in sorted(self.folder.glob(f"*-{_digest(key)}.json")):
            found = self._read(path)
            if found is not None and found["key"] == key:
                return Stored(Measurement.from_json(found["result"]))
        earlier = sorted(
            self.folder.glob(f"{_stem(task, condition)}-????????.json"),
            key=lambda path: path.stat().st_mtime,
        )
        keys = [older["key"] for path in earlier if (older := self._read(path)) is not None]
        return Stored(None, tuple(differences(keys[-1], key)) if keys else ())

    def save(
        self, task: Task, condition: Condition, key: Mapping[str, Any], result: Measurement
    ) -> Path:
        """Store a result, whole or not at all; remove what a killed run had begun to write."""
        document = {
            "dataset": task.dataset,
            "model": task.model,
            "condition": condition.title,
            "key": key,
            "result": asdict(result),
        }
        name = self.name(task, condition, key)
        path = write_json_atomic(self.folder / f"{name}.json", document)
        # Tasks keep detections beside the store, by the same name.
        begun = [f"{self.folder.name}/{path.name}"]
        begun += [f"predictions/{name}.{kind}.json" for kind in ("bbox", "segm")]
        # Another process may be writing here too, but none that takes so long over one file.
        remove_temporary_files(begun, self.folder.parent, before=self._opened)
        return path

    def _read(self, path: Path) -> dict[str, Any] | None:
        """Return a stored document; ``None`` where it is absent, damaged or of another form."""
        try:
            document = json.loads(path.read_text("utf-8"))
            Measurement.from_json(document["result"])
            return document if isinstance(document["key"], dict) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _digest(key: Mapping[str, Any]) -> str:
    """Return the part of a file's name that its key decides."""
    return sha256_bytes(json.dumps(key, sort_keys=True).encode())[:8]


def _stem(task: Task, condition: Condition) -> str:
    """Return the part of a file's name that people read."""
    corruption = condition.corruption
    parts = [task.dataset, task.model, condition.label]
    if corruption is not None:
        parts.append(corruption.spelling if corruption.qf is None else f"qf{corruption.qf}")
    return "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield what has changed between two keys, the first few by name.

    Args:
        old: The key of a result that there is.
        new: The key of the result that is wanted.

    >>> list(differences({"versions": {"torch": "2.1"}}, {"versions": {"torch": "2.2"}}))
    ['versions.torch was 2.1, is 2.2']
    """
    before, now = dict(_leaves(old)), dict(_leaves(new))
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    for name in changed[:_SHOWN_CHANGES]:
        yield f"{name} was {_shown(before.get(name))}, is {_shown(now.get(name))}"
    if len(changed) > _SHOWN_CHANGES:
        yield f"and {len(changed) - _SHOWN_CHANGES} more"


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings with the path to each, joined by dots."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, item in value.items():
        yield from _leaves(item, f"{name}.{key}" if name else str(key))


def _shown(value: Any) -> str:
    """Return a value in a few characters; hashes are long."""
    text = "absent" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:8]}…"
