"""A dataclass made of a part of a config: unknown, missing and ill-typed settings are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from jpeg_preproc.errors import ModelError

T = TypeVar("T")

_SAID = {float: "a number", int: "a whole number", bool: "True or False", str: "a text"}


def build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Make a dataclass of the settings in a config.

    A list may stand for a tuple, and one value for a tuple of one.

    Args:
        kind: The dataclass; its fields are numbers, texts, booleans, mappings, such dataclasses,
            tuples of these, or any of them or ``None``.
        values: Name and value of each setting.
        where: What a message calls them, ``'model'`` for instance.

    Raises:
        ModelError: A setting is unknown, missing, or of another type; the message names it.
    """
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    refuse_unknown(values, known, where)
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise ModelError(f"{where}.{name} is missing")
    hints = get_type_hints(kind)
    return kind(
        **{name: _typed(value, hints[name], f"{where}.{name}") for name, value in values.items()}
    )


def refuse_unknown(values: Iterable[str], known: Iterable[str], where: str) -> None:
    """Check that all settings are known.

    Raises:
        ModelError: One is not; the message lists those that are.
    """
    names = list(known)
    for name in values:
        if name not in names:
            raise ModelError(f"{where}.{name} is unknown; {where} may have {', '.join(names)}")


def _typed(value: Any, hint: Any, where: str) -> Any:
    """Return a value as a type hint has it.

    >>> _typed([3, 4], tuple[int, int] | None, "x"), _typed(114, tuple[float, ...], "x")
    ((3, 4), (114.0,))
    """
    choices = get_args(hint) if NoneType in get_args(hint) else (hint,)
    if value is None and NoneType in choices:
        return None
    (wanted,) = (choice for choice in choices if choice is not NoneType)
    if get_origin(wanted) is tuple:
        items = value if isinstance(value, (list, tuple)) else (value,)
        parts = get_args(wanted)
        if parts[-1] is not Ellipsis and len(items) != len(parts):
            raise ModelError(f"{where} is {value!r}; give {len(parts)} values")
        return tuple(_typed(item, parts[0], where) for item in items)
    if isinstance(wanted, type) and is_dataclass(wanted) and isinstance(value, Mapping):
        return build(wanted, value, where)
    accepted = (int, float) if wanted is float else get_origin(wanted) or wanted
    # A bool is an int to Python; no setting means that.
    if not isinstance(value, accepted) or (isinstance(value, bool) and wanted is not bool):
        raise ModelError(f"{where} is {value!r}; give {_SAID.get(wanted, 'a dict')}")
    return float(value) if wanted is float else value
