"""Checkpoints of torch and mmengine, read without running what they hold.

A checkpoint is a pickle, and a pickle is a program. Read here are tensors, plain containers,
numbers and text, and of classes only those that mmengine's trainings write: numpy's arrays and
numbers, and ``HistoryBuffer``. For these stand inert records, which become numpy's and mmengine's
own values after all has been read, so that no method of theirs sees what the file says.

torch itself guards the reading (``weights_only=True``) from 2.10 on. Before, that guard has known
holes (CVE-2025-32434 up to 2.5, CVE-2026-24747 up to 2.9) or knows no list of allowed classes, and
:mod:`~jpeg_preproc.restricted_pickle` stands in for it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.torch_version import TorchVersion

from jpeg_preproc.errors import UntrustedCheckpointError, WeightsError
from jpeg_preproc.restricted_pickle import (
    STAND_INS,
    RefusedError,
    archive,
    load_restricted,
    plain,
)

#: What to do about a checkpoint that is refused.
MEND = (
    "If you trust where it is from, give --trust-checkpoint (in Python and in configs "
    "trust_checkpoint=True); else ask for weights saved as a state dict"
)
# torch has told so far what it refuses in one of two ways.
_REFUSED = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)")


def read_checkpoint(
    path: str | os.PathLike[str],
    *,
    map_location: Any = "cpu",
    trust: bool = False,
    mend: str = MEND,
) -> Any:
    """Return what a checkpoint file holds, without running any of it.

    Args:
        path: The file. Addresses and names of model zoos are not fetched.
        map_location: The device that tensors come to, as of ``torch.load``.
        trust: Read everything, which runs whatever code the file names.
        mend: The advice of the error about a file that would run code.

    Raises:
        UntrustedCheckpointError: It holds more than tensors, and is not trusted.
        WeightsError: It is missing or damaged.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise WeightsError(
            f"{os.fspath(path)} does not exist; give a checkpoint file, downloaded already "
            "(nothing is fetched)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if trust:
                return torch.load(file, map_location=map_location, weights_only=False)
            return plain(_load(file, map_location))
    except RefusedError as error:
        raise UntrustedCheckpointError(
            f"{file} holds more than tensors ({error}): it would run code when loaded. {mend}"
        ) from None
    except Exception as error:  # what a damaged file makes torch raise has no end
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise WeightsError(
            f"{file} cannot be read as a checkpoint: {reason}; fetch it again"
        ) from error


def _load(file: Path, map_location: Any) -> Any:
    """Read a file by torch's guard or by ours, whichever is sound with this torch."""
    _refuse_other_formats(file)
    if TorchVersion(torch.__version__) < "2.10":  # as versions, not as text
        return load_restricted(file, map_location)
    try:
        with torch.serialization.safe_globals([(new, name) for name, new in STAND_INS.items()]):
            # Given outright, no environment variable can turn it off.
            return torch.load(file, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        if named := _REFUSED.search(str(error)):
            raise RefusedError(f"it names {named[1]}") from None
        # torch's guard stops at all that torch.save does not write; ours says what it leads to.
        _raise_refusal(file)
        # Its own words would advise to load without a guard.
        raise WeightsError("it is damaged, or not written by torch.save") from None


def _raise_refusal(file: Path) -> None:
    """Raise what our guard refuses in a file, or that torch would not have written it."""
    try:
        load_restricted(file, "cpu")
    except RefusedError:
        raise
    except Exception:  # noqa: BLE001 - damaged, as torch has found
        return
    raise RefusedError("it is pickled in a way that torch.save does not use")


def _refuse_other_formats(file: Path) -> None:
    """Refuse the formats that hold programs, or that only unguarded code can read."""
    if (reader := archive(file)) is not None:
        if "constants.pkl" in reader.get_all_records():
            raise RefusedError("it is a TorchScript program")
    else:
        with contextlib.suppress(tarfile.TarError), tarfile.open(file, "r:") as tar:
            if tar.getnames():
                raise RefusedError("it is in the tar format of torch 0.1")


@contextlib.contextmanager
def guarded_mmengine(trust: bool = False) -> Iterator[None]:
    """Have mmengine read every checkpoint within the block by :func:`read_checkpoint`.

    That is what its runners resume and load from, what ``init_cfg`` names, and what constructors of
    models load. All of these call one class method, which is another one for as long as the block
    lasts, in all threads.
    """
    from mmengine.runner.checkpoint import CheckpointLoader

    def load_checkpoint(filename: str, map_location: Any = None, logger: Any = None) -> Any:
        loaded = read_checkpoint(filename, map_location=map_location, trust=trust)
        _disarm(loaded, Path(filename))
        return loaded

    before = CheckpointLoader.__dict__["load_checkpoint"]
    CheckpointLoader.load_checkpoint = staticmethod(load_checkpoint)
    try:
        yield
    finally:
        CheckpointLoader.load_checkpoint = before


def _disarm(checkpoint: Any, path: Path) -> None:
    """Take out of a training's checkpoint what mmengine would run or delete files by.

    On resuming it runs ``meta["config"]`` as Python, for the number of GPUs in it; later it removes
    the file or folder that was the best checkpoint so far, wherever that is said to lie.
    """
    if not isinstance(checkpoint, dict):
        return
    if isinstance(meta := checkpoint.get("meta"), dict):
        meta.pop("config", None)
    hub = checkpoint.get("message_hub")
    info = hub.get("runtime_info") if isinstance(hub, dict) else None
    if not isinstance(info, dict):
        return
    for key in [key for key in info if str(key).startswith(("best_ckpt", "last_ckpt"))]:
        if not _is_beside(info[key], path):
            del info[key]
    if "keep_ckpt_ids" in info:
        kept = info["keep_ckpt_ids"]
        info["keep_ckpt_ids"] = [step for step in kept if type(step) is int]


def _is_beside(other: Any, path: Path) -> bool:
    """Return whether ``other`` names a checkpoint file in the folder of ``path``."""
    if not isinstance(other, str):
        return False
    place = Path(other)
    return (
        place.suffix == ".pth"
        and not place.is_dir()
        and place.parent.resolve() == path.parent.resolve()
    )
