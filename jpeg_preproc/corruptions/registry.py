"""The one list of corruptions, and how they are spelled in configs and on command lines."""

from __future__ import annotations

import difflib
from dataclasses import MISSING, dataclass, fields
from typing import Any, cast

from jpeg_preproc.corruptions.codecs import Avif, Jpeg, Jpegli, JpegXL, Original, WebP
from jpeg_preproc.corruptions.contract import Corruption
from jpeg_preproc.corruptions.histories import CroppedJpeg, DoubleJpeg, ResizedJpeg, Transcoded
from jpeg_preproc.corruptions.tables import TableJpeg
from jpeg_preproc.errors import CorruptionError

_CORRUPTIONS: dict[str, type[Corruption]] = {}


def register_corruption(corruption: type[Corruption]) -> type[Corruption]:
    """Add a kind of corruption under its ``kind``.

    Raises:
        ValueError: The name is taken; the registry stays as it was.
    """
    kind = corruption.kind
    if kind in _CORRUPTIONS:
        raise ValueError(f"corruption {kind!r} is registered already, by {_CORRUPTIONS[kind]}")
    _CORRUPTIONS[kind] = corruption
    return corruption


for _corruption in (
    Original,
    Jpeg,
    TableJpeg,
    DoubleJpeg,
    ResizedJpeg,
    CroppedJpeg,
    Transcoded,
    WebP,
    Avif,
    Jpegli,
    JpegXL,
):
    register_corruption(_corruption)


@dataclass(frozen=True)
class CorruptionEntry:
    """What the registry says of a kind.

    Attributes:
        description: What it does, in one line.
        required: Settings that must be given, in order.
        optional: Other settings and their defaults, as JSON values, in order after the required.
        example: A spelling of it.
    """

    description: str
    required: tuple[str, ...]
    optional: dict[str, Any]
    example: str


def list_corruptions() -> dict[str, CorruptionEntry]:
    """Return what there is, by kind, in the order of the list.

    >>> list_corruptions()["jpeg"].optional
    {'subsampling': '4:2:0'}
    """
    return {kind: _entry(corruption) for kind, corruption in _CORRUPTIONS.items()}


def parse_corruption(corruption: str | Corruption) -> Corruption:
    """Return the corruption that a spelling names.

    A spelling is the kind, a colon, and settings parted by commas: first those given by position,
    in the order that :func:`list_corruptions` tells, then those given as ``name=value``. A pair,
    such as a shift of rows and columns, is written ``2:5``.

    Args:
        corruption: A spelling, such as ``'jpeg:10'`` or ``'double_jpeg:10,95,shift=4'``; a
            corruption passes through unchanged.

    Raises:
        CorruptionError: The kind is unknown, and the message lists the known ones; or settings are
            unknown, missing or wrong, and the message names kind, setting and range.

    >>> parse_corruption("jpeg:10,4:4:4")
    Jpeg(qf=10, subsampling='4:4:4')
    """
    if isinstance(corruption, Corruption):
        return corruption
    if not isinstance(corruption, str):
        raise CorruptionError(
            f"A corruption is given as {type(corruption).__name__}; give text, as in 'jpeg:10'."
        )
    kind, _, rest = (part.strip() for part in corruption.partition(":"))
    if kind not in _CORRUPTIONS:
        near = difflib.get_close_matches(kind, _CORRUPTIONS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise CorruptionError(
            f"Corruption {kind!r} is unknown; {hint}there are: {', '.join(_CORRUPTIONS)}."
        )
    chosen = _CORRUPTIONS[kind]
    return chosen(**_settings(chosen, rest))


def _settings(corruption: type[Corruption], text: str) -> dict[str, Any]:
    """Return the settings that ``text`` gives, by name."""
    names = [field.name for field in fields(cast(Any, corruption))]
    entry = _entry(corruption)
    problem = f"Corruption {corruption.kind!r} {{}}; {_usage(corruption.kind, entry)}."
    given: dict[str, Any] = {}
    for index, part in enumerate(text.split(",") if text else []):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            if len(given) != index or any(named not in names[:index] for named in given):
                raise CorruptionError(problem.format(f"has {name!r} behind a setting with a name"))
            if index >= len(names):
                raise CorruptionError(problem.format(f"has {index + 1} settings or more"))
            name, value = names[index], name
        if name not in names:
            raise CorruptionError(problem.format(f"has no setting {name!r}"))
        if name in given:
            raise CorruptionError(problem.format(f"is given {name!r} twice"))
        given[name] = _value(value)
    missing = [name for name in entry.required if name not in given]
    if missing:
        raise CorruptionError(problem.format(f"lacks {', '.join(missing)}"))
    return given


def _usage(kind: str, entry: CorruptionEntry) -> str:
    settings = [*entry.required, *(f"{name}={value}" for name, value in entry.optional.items())]
    return f"its settings are ({', '.join(settings)}), as in {entry.example!r}"


def _value(text: str) -> Any:
    """Return a number where the text is one; what is wrong is for the settings' checks to say."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def _entry(corruption: type[Corruption]) -> CorruptionEntry:
    settings = fields(cast(Any, corruption))
    return CorruptionEntry(
        description=(corruption.__doc__ or "").partition("\n")[0],
        required=tuple(field.name for field in settings if field.default is MISSING),
        optional={field.name: field.default for field in settings if field.default is not MISSING},
        example=corruption.example,
    )
