"""Checkpoints that run code when they are loaded without a guard: they create a file."""

from __future__ import annotations

import io
import os
import pathlib
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Call:
    """Pickled as the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call

    def __call__(self) -> None:
        """Only there so that a call's result may be called in its turn."""


class Loud:
    """A class of this module whose state is set by code of this module."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["mark"].touch()


#: By the name that a refusal must tell.
CALLS: dict[str, Callable[[Path], Any]] = {
    "posix.system": lambda mark: Call(os.system, f"touch '{mark}'"),
    "eval": lambda mark: Call(eval, f"open({str(mark)!r}, 'w').close()"),
    "exec": lambda mark: Call(exec, f"open({str(mark)!r}, 'w').close()"),
    "shutil.copyfile": lambda mark: Call(shutil.copyfile, os.devnull, str(mark)),
    "pathlib.PosixPath": lambda mark: Call(
        Call(getattr, Call(pathlib.PosixPath, str(mark)), "touch")
    ),
    "planted.Loud": Loud,
}


def put(checkpoint: dict[str, Any], where: str, what: Any) -> dict[str, Any]:
    """Return the checkpoint with a value put at a dotted place in it."""
    *folders, name = where.split(".")
    place = checkpoint
    for folder in folders:
        place = place.setdefault(folder, {})
    place[name] = what
    return checkpoint


def _zip(content: Any, path: Path) -> None:
    torch.save(content, path)


def _legacy(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _tar(content: Any, path: Path) -> None:
    """The format of torch 0.1, which has no magic number."""
    members = {
        "storages": pickle.dumps(0, 2) + pickle.dumps([], 2),
        "tensors": pickle.dumps(0, 2),
        "pickle": pickle.dumps(content, 2),
    }
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


#: Ways to write a checkpoint that torch reads.
FORMATS: dict[str, Callable[[Any, Path], None]] = {"zip": _zip, "legacy": _legacy, "tar": _tar}


def plant(
    path: Path,
    mark: Path,
    *,
    checkpoint: dict[str, Any] | None = None,
    where: str = "meta.planted",
    call: str = "posix.system",
    form: str = "zip",
) -> Path:
    """Write a checkpoint that creates ``mark`` when it is loaded without a guard."""
    content = put(checkpoint if checkpoint is not None else {}, where, CALLS[call](mark))
    FORMATS[form](content, path)
    return path
