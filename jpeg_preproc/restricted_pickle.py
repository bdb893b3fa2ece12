"""A reader of pickles that knows a short list of names, and calls nothing else.

Python's documentation calls it restricting globals: an unpickler reaches code through
``find_class`` alone. See :mod:`~jpeg_preproc.checkpoint` for when it reads, and when torch's does.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import numpy as np
import torch

# Booleans, numbers and text; dtypes with fields or of objects are none of these.
_NUMPY_CODE = re.compile(r"[biufcSU]\d{1,6}")
_STATISTICS = ("min", "max", "mean", "current")
_NAME = re.compile(r"[A-Za-z_][\w.]*")


class RefusedError(pickle.UnpicklingError):
    """A pickle that names what is not on the list; the message says what, as "it names …"."""


class NumpyType:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: str, *_: Any) -> None:
        if not _NUMPY_CODE.fullmatch(code):
            raise RefusedError(f"it holds numpy's {code}")
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] == ">":
            self.code = ">" + self.code

    def value(self) -> np.dtype[Any]:
        """Return the dtype."""
        return np.dtype(self.code)


class NumpyArray:
    """Stands for ``numpy.ndarray``."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, self.is_fortran, self.data = state

    def value(self) -> np.ndarray:
        """Return the array; numpy checks that the bytes suffice for the shape."""
        order: Literal["F", "C"] = "F" if self.is_fortran else "C"
        values: np.ndarray = np.ndarray(self.shape, self.dtype.value(), self.data, order=order)
        return values.astype(values.dtype.newbyteorder("="), order)  # a copy, as numpy makes it


class History:
    """Stands for mmengine's ``HistoryBuffer``: the values of a loss, and how many each is of."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def value(self) -> Any:
        """Return a new ``HistoryBuffer``; without mmengine, its values and their counts."""
        values = plain(self.state["_log_history"])
        counts = plain(self.state["_count_history"])
        try:
            from mmengine.logging import HistoryBuffer
        except ImportError:
            return {"values": values, "counts": counts}
        return HistoryBuffer(values, counts, int(self.state["max_length"]))


def _new_array(*_: Any) -> NumpyArray:
    """Stand for ``numpy.core.multiarray._reconstruct``, whose result is filled afterwards."""
    return NumpyArray()


def _scalar(dtype: NumpyType, data: bytes) -> Any:
    """Stand for ``numpy.core.multiarray.scalar``."""
    return np.ndarray((), dtype.value(), data)[()]


def _statistic(owner: Any, name: Any) -> str:
    """Stand for ``getattr``, by which ``HistoryBuffer`` names its methods, and for that alone."""
    if owner is not History or name not in _STATISTICS:
        raise RefusedError("it names builtins.getattr")
    return str(name)


def _no_bytes() -> bytes:
    """Stand for ``bytes``, by which old protocols of pickle write those that are empty."""
    return b""


#: Full names of what checkpoints of mmengine's trainings hold besides tensors, and what stands
#: for each.
STAND_INS: dict[str, Callable[..., Any]] = {
    "builtins.bytes": _no_bytes,
    "builtins.getattr": _statistic,
    "mmengine.logging.history_buffer.HistoryBuffer": History,
    "numpy.dtype": NumpyType,
    "numpy.ndarray": NumpyArray,
    **{f"numpy.{core}.multiarray._reconstruct": _new_array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
}


def plain(value: Any, done: set[int] | None = None) -> Any:
    """Return ``value`` with all that stands for something replaced by that, in place where it can.

    Raises:
        ValueError: What stands there is no such thing.
    """
    done = set() if done is None else done
    if isinstance(value, (NumpyType, NumpyArray, History)):
        return value.value()
    if type(value) is tuple:
        return tuple(plain(item, done) for item in value)
    if isinstance(value, (dict, list)) and id(value) not in done:
        done.add(id(value))
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            value[key] = plain(value[key], done)
    return value


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """Stand for ``_codecs.encode``, by which old protocols of pickle write bytes."""
    if encoding != "latin1":
        raise RefusedError(f"it encodes by {encoding}")
    return text.encode("latin1")


_ALLOWED: dict[str, Callable[..., Any]] = {
    **STAND_INS,
    "_codecs.encode": _latin1,
    "builtins.set": set,
    "collections.OrderedDict": OrderedDict,
    "torch.Size": torch.Size,
    "torch.device": torch.device,
    **{
        f"torch._utils.{name}": getattr(torch._utils, name)
        for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
    },
}


# The unpickler in Python, in which each opcode can be bound to the types that it may change.
_PYTHON: Any = pickle._Unpickler


def _only_on(opcode: bytes, target: Callable[[Any], Any], *types: type) -> Callable[[Any], None]:
    """Return what an opcode does, for targets of these types alone."""
    original = _PYTHON.dispatch[opcode[0]]

    def load(unpickler: Any) -> None:
        if type(target(unpickler)) not in types:
            raise RefusedError(f"it fills a {type(target(unpickler)).__name__}")
        original(unpickler)

    return load


class _Unpickler(_PYTHON):
    """Calls what is on the list, and fills containers and records."""

    reader: Any = None  # torch's, of the archive that the pickle lies in
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **_PYTHON.dispatch,
        pickle.BUILD[0]: _only_on(
            pickle.BUILD, lambda u: u.stack[-2], OrderedDict, NumpyType, NumpyArray, History
        ),
        pickle.SETITEM[0]: _only_on(pickle.SETITEM, lambda u: u.stack[-3], dict, OrderedDict),
        pickle.SETITEMS[0]: _only_on(
            pickle.SETITEMS, lambda u: u.metastack[-1][-1], dict, OrderedDict
        ),
        pickle.APPEND[0]: _only_on(pickle.APPEND, lambda u: u.stack[-2], list),
        pickle.APPENDS[0]: _only_on(pickle.APPENDS, lambda u: u.metastack[-1][-1], list),
        pickle.ADDITEMS[0]: _only_on(pickle.ADDITEMS, lambda u: u.metastack[-1][-1], set),
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name on the list stands for."""
        # The name that Python 2 had for it, and that torch.save's protocol still writes.
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if full in _ALLOWED:
            return _ALLOWED[full]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if not _NAME.fullmatch(full):
            raise pickle.UnpicklingError("what stands for a name is none")
        raise RefusedError(f"it names {full}")

    def load_binpersid(self) -> None:
        """Refuse a storage that is said to be longer than what the archive holds of it."""
        what, kind, key, _, numel = self.stack[-1][:5]
        if what != "storage":
            raise RefusedError(f"it holds a {what}")
        if self.reader is not None:
            held = len(self.reader.get_record(f"data/{key}"))
            size = torch.empty(0, dtype=kind.dtype).element_size()
            if type(numel) is not int or not 0 <= numel * size <= held:
                raise pickle.UnpicklingError(f"storage {key} is shorter than it claims")
        super().load_binpersid()

    dispatch[pickle.BINPERSID[0]] = load_binpersid


def load_restricted(file: Path, map_location: Any) -> Any:
    """Return what a checkpoint holds, with records for what is not torch's; see :func:`plain`.

    Raises:
        RefusedError: It names what is not on the list.
    """

    class Unpickler(_Unpickler):
        reader = archive(file)

    # torch makes its own subclass, which knows storages, of the class of this name.
    module = SimpleNamespace(
        __name__=__name__,
        Unpickler=Unpickler,
        load=lambda stream, **settings: Unpickler(stream, **settings).load(),
    )
    return torch.load(file, map_location=map_location, pickle_module=module, weights_only=False)


def archive(file: Path) -> Any:
    """Return torch's reader of a zip archive, or None for a file that is none."""
    with file.open("rb") as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"
    return torch._C.PyTorchFileReader(str(file)) if is_zip else None
