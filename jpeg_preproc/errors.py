"""The errors a user can meet: one message each, naming the file and the mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class JpegPreprocError(Exception):
    """Base of every error this package raises on purpose.

    Attributes:
        is_shared: Whether it, or its like, is raised in every process of a shared run.
    """

    is_shared = False

    def __str__(self) -> str:
        # KeyError's own __str__ would quote the message.
        return str(self.args[0]) if self.args else ""


class ImageReadError(JpegPreprocError, ValueError):
    """An image file or array that cannot be read or is of a kind that is not supported."""


class AnnotationError(JpegPreprocError, ValueError):
    """An annotation file that is missing, malformed, or points outside its data root."""


class DatasetError(JpegPreprocError, ValueError):
    """A dataset folder that cannot be recognised, read, or written to."""


class DemoError(JpegPreprocError, ValueError):
    """A file of the embedded demo that is missing or has been changed."""


class FileError(JpegPreprocError, ValueError):
    """Input files that are not there, or output files that cannot or must not be written."""


class QualityError(JpegPreprocError, ValueError):
    """A quality factor outside 1-100, or quantisation tables of the wrong shape or range."""


class CorruptionError(JpegPreprocError, ValueError):
    """A corruption that is not registered, has a wrong setting, or lacks the package it needs."""


class StudyError(JpegPreprocError, ValueError):
    """A study that cannot be read, contradicts itself, or does not fit what is stored of it."""


class PipelineError(JpegPreprocError, ValueError):
    """A transform at a place in an OpenMMLab pipeline where it cannot work."""


class DeviceError(JpegPreprocError, ValueError):
    """A device that torch does not know or does not find."""


class UnknownRestorerError(JpegPreprocError, KeyError):
    """A restorer, preset or weights name that is not registered."""


class TrainingError(JpegPreprocError, RuntimeError):
    """A training that cannot go on."""


class LauncherError(JpegPreprocError, RuntimeError):
    """A process that the named launcher has not started, or cannot connect to the others."""


class ReportedElsewhereError(JpegPreprocError, RuntimeError):
    """An error of a run that several processes share, which the first of them reports."""


class WeightsError(JpegPreprocError, ValueError):
    """A weights file that is damaged or does not fit the network it is loaded into."""


class UntrustedCheckpointError(WeightsError):
    """A checkpoint that holds more than tensors, so that loading it would run code."""


class ModelError(JpegPreprocError, ValueError):
    """A deployed model that cannot be run, or that its config does not describe."""


@contextmanager
def errors_named(name: str | None) -> Iterator[None]:
    """Put an image's name before the message of an error that only knows its pixels.

    Args:
        name: Usually the path; with ``None`` or nothing errors stay as they are.

    >>> with errors_named("a.jpg"):
    ...     raise QualityError("no quality")
    Traceback (most recent call last):
    jpeg_preproc.errors.QualityError: a.jpg: no quality
    """
    try:
        yield
    except JpegPreprocError as error:
        if not name or name in str(error):
            raise
        raise type(error)(f"{name}: {error}") from error
