"""Which file is restored into which: files, folders and globs, checked before anything is done."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jpeg_preproc.datasets.tree import Problem, walk_tree
from jpeg_preproc.errors import FileError
from jpeg_preproc.jpeg.image import IMAGE_SUFFIXES, JPEG_SUFFIXES

# Two inputs with one output are named one by one up to here, and counted beyond.
_NAMED = 5


@dataclass(frozen=True)
class Job:
    """One image: the file it is in, and the file that its restored picture goes into."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        jobs: Images to restore, in the order of the inputs, folders sorted by name.
        problems: Images in folders that cannot be reached.
    """

    jobs: tuple[Job, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Found:
    """A file, and its place below the output folder."""

    source: Path
    name: str


def plan_jobs(inputs: Sequence[str], out: str, suffix: str, follow_links: bool = False) -> Plan:
    """Decide what is restored into what.

    A folder stands for all images below it, by suffix and but for hidden ones; the same tree comes
    to lie in ``out``. A glob (``*``, ``?``, ``[...]``, ``**``) stands for the images it matches,
    and its tree begins behind its last part without a wildcard. A file goes directly into ``out``.
    ``out`` is a folder, made when something is written; for a single input file, a name
    that ends in ``suffix`` is the output file itself.

    Args:
        inputs: Paths and globs.
        out: Folder or file to write to, not an input folder; if it lies in one, it is left out
            there.
        suffix: What the output files' names end in, such as ``.png``.
        follow_links: Whether to take in what symbolic links in a folder point to outside of it.

    Raises:
        FileError: An input is not there or holds no image, two inputs have one output, an output is
            an input, or ``out`` cannot be what it is asked to be.
    """
    for text in inputs:
        if not Path(text).exists() and not glob.has_magic(text):
            raise FileError(f"{text} does not exist; check the path.")
    problems: list[Problem] = []
    if not _names_a_file(out):
        found, problems = _find(inputs, Path(out), follow_links)
        # A file that two globs match is one job.
        jobs = list(dict.fromkeys(Job(item.source, _target(out, item, suffix)) for item in found))
    elif len(inputs) == 1 and Path(inputs[0]).is_file():
        _refuse_other_format(out, suffix)
        jobs = [Job(Path(inputs[0]), Path(out))]
    else:
        raise FileError(
            f"{out} is a file, or named like one; give a folder, or a single input file."
        )
    _refuse_shared_targets(jobs)
    _refuse_sources_as_targets(jobs)
    return Plan(tuple(jobs), tuple(problems))


def _names_a_file(out: str) -> bool:
    """Tell whether ``out`` is meant as a file: one that is there, or by its suffix."""
    path = Path(out)
    if out.endswith(os.sep) or path.is_dir():
        return False
    return path.exists() or path.suffix.lower() in IMAGE_SUFFIXES


def _refuse_other_format(out: str, suffix: str) -> None:
    found = Path(out).suffix.lower()
    if found != suffix and not (suffix == ".jpg" and found in JPEG_SUFFIXES):
        raise FileError(
            f"{out} would be written as {suffix[1:]}; name it *{suffix}, or choose its format "
            "with --format (png and webp are lossless, jpeg is not)."
        )


def _target(out: str, item: _Found, suffix: str) -> Path:
    path = Path(out) / item.name
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return path.with_suffix(suffix)
    return path.with_name(path.name + suffix)


def _find(
    inputs: Sequence[str], out: Path, follow_links: bool
) -> tuple[list[_Found], list[Problem]]:
    found: list[_Found] = []
    problems: list[Problem] = []
    for text in inputs:
        path = Path(text)
        before = len(found) + len(problems)
        if path.is_dir():
            if path.resolve() == out.resolve():
                raise FileError(f"{out} is an input folder; give another folder for the results.")
            _add_folder(path, "", out, follow_links, found, problems)
        elif path.exists():
            found.append(_Found(path, path.name))
        else:
            for match, name in _matches(text, out):
                if match.is_dir():
                    _add_folder(match, name, out, follow_links, found, problems)
                elif _is_image(name):
                    found.append(_Found(match, name))
        if len(found) + len(problems) == before:
            raise FileError(f"{text} holds no image; check the path.")
    return found, problems


def _matches(pattern: str, out: Path) -> Iterator[tuple[Path, str]]:
    """Yield what a glob matches, with its name below the last part without a wildcard.

    Earlier results, in an output folder below that part, are left out.
    """
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    base, results = Path(*parts[:fixed]), out.resolve()
    for match in sorted(base.glob("/".join(parts[fixed:]))):
        if results == base.resolve() or not match.resolve().is_relative_to(results):
            yield match, match.relative_to(base).as_posix()


def _add_folder(
    folder: Path,
    prefix: str,
    out: Path,
    follow_links: bool,
    found: list[_Found],
    problems: list[Problem],
) -> None:
    """Add the images below ``folder``, but for hidden ones and for those in ``out``."""
    tree = walk_tree(folder, follow_links)
    inside = os.path.relpath(out.resolve(), tree.root) + "/"
    for name in sorted(tree.files):
        full = (PurePosixPath(prefix) / name).as_posix()
        if _is_image(full) and not name.startswith(inside):
            found.append(_Found(folder / name, full))
    for problem in tree.problems:
        # A broken link to something else, or a socket, is none of our business.
        if _is_image(problem.path) or (folder / problem.path).is_dir():
            problems.append(Problem(str(folder / problem.path), problem.reason))


def _is_image(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _refuse_shared_targets(jobs: Sequence[Job]) -> None:
    first: dict[Path, Path] = {}
    shared = []
    for job in jobs:
        other = first.setdefault(job.target, job.source)
        if other != job.source:
            shared.append(f"{other} and {job.source} would both become {job.target}")
    if shared:
        rest = f"; and {len(shared) - _NAMED} more" if len(shared) > _NAMED else ""
        raise FileError(f"{'; '.join(shared[:_NAMED])}{rest}; restore them into different folders.")


def _refuse_sources_as_targets(jobs: Sequence[Job]) -> None:
    sources = {_identity(job.source) for job in jobs}
    for job in jobs:
        if job.target.exists() and _identity(job.target) in sources:
            raise FileError(
                f"{job.source} would be written to {job.target}, which is an input; give another "
                "output folder or name."
            )
        if job.target.is_dir():
            raise FileError(
                f"{job.source} would be written to {job.target}, which is a folder; give another "
                "output folder."
            )


def _identity(path: Path) -> tuple[int, int]:
    """Return what two names of one file share, hard links and letter case included."""
    status = path.stat()
    return status.st_dev, status.st_ino
