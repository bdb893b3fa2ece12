"""A dataset's folder as it lies on disk: its files by relative name, and what is wrong with it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

# Missing images of one annotation file are named one by one up to here, and counted beyond.
_NAMED_ONE_BY_ONE = 20


@dataclass(frozen=True)
class Problem:
    """Something that was skipped.

    Attributes:
        path: File in question, relative to the data root where it lies in it.
        reason: Whole message, which names the file and the mend.
    """

    path: str
    reason: str


@dataclass
class Tree:
    """The files below a data root.

    Attributes:
        root: Data root, resolved.
        files: Names relative to the root, with forward slashes.
        folders: Names relative to the root, with forward slashes; the root itself is not among
            them.
        problems: What was refused; neither it nor anything below it is in ``files``.
    """

    root: Path
    files: set[str] = field(default_factory=set)
    folders: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _refused: set[str] = field(default_factory=set)

    def refuse(self, name: str, reason: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(printable(name), reason))
        self._refused.add(name)

    def is_refused(self, name: str) -> bool:
        """Tell whether ``name``, or a folder it lies in, is among the problems already."""
        parents = map(str, PurePosixPath(name).parents)
        return bool(self._refused) and not self._refused.isdisjoint((name, *parents))


@dataclass
class FileSelection:
    """Which files of a tree are images to rewrite.

    Attributes:
        images: Files to be rewritten.
        left_out: Images of splits that were not asked for: neither rewritten nor copied.
        problems: What the annotations name and the tree does not have, or must not reach.
        annotation_files: How many files were read that list images.
    """

    images: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    annotation_files: int = 0


def walk_tree(root: Path, follow_links: bool = False) -> Tree:
    """List a data root.

    Symbolic links that stay inside the root are followed and become files of their own. A link
    that leaves the root, a broken or looping one, a file that is no regular file, a name that is
    not UTF-8 and a folder that may not be listed become problems.

    Args:
        root: Existing folder.
        follow_links: Whether to follow links that leave the root too.
    """
    tree = Tree(root.resolve())
    _walk(tree, tree.root, "", (str(tree.root),), follow_links)
    return tree


def _walk(
    tree: Tree, folder: Path, prefix: str, ancestors: tuple[str, ...], follow_links: bool
) -> None:
    """Take in ``folder``; ``ancestors`` are the real paths from the root down to it."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        reason = f"{folder} cannot be listed ({error.strerror}); check its permissions."
        tree.refuse(prefix.rstrip("/") or ".", reason)
        return
    for entry in entries:
        name = prefix + entry.name
        refusal = _refusal(entry, tree.root, ancestors, follow_links)
        if refusal is not None:
            tree.refuse(name, f"{printable(entry.path)} {refusal}")
        elif entry.is_dir():
            tree.folders.append(name)
            real = os.path.realpath(entry.path)
            _walk(tree, Path(entry.path), name + "/", (*ancestors, real), follow_links)
        else:
            tree.files.add(name)


def _refusal(
    entry: os.DirEntry[str], root: Path, ancestors: Sequence[str], follow_links: bool
) -> str | None:
    """Return why ``entry`` cannot be taken in, or None if it can."""
    if printable(entry.name) != entry.name:
        return "has a name that is not UTF-8; rename it."
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if not Path(target).exists():
            return f"is a symbolic link to {target}, which is not there; mend or remove the link."
        if target in ancestors:
            return f"is a symbolic link to {target}, a folder it lies in; remove the link."
        if not follow_links and not Path(target).is_relative_to(root):
            return (
                f"is a symbolic link to {target}, outside the data root {root}; "
                "pass --follow-links if it is meant."
            )
    if not entry.is_dir() and not entry.is_file():
        return "is neither a file nor a folder; remove it."
    return None


def printable(name: str) -> str:
    """Return ``name`` with bytes that are not UTF-8 escaped, so that it can be printed."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def join_inside(base: str, name: str) -> str | None:
    """Return ``base/name`` without ``.`` and ``..``, or None if that leaves the data root.

    >>> join_inside("val2017", "../train2017/1.jpg"), join_inside("val2017", "../../1.jpg")
    ('train2017/1.jpg', None)
    """
    joined = posixpath.normpath(posixpath.join(base, name))
    outside = posixpath.isabs(joined) or joined == ".." or joined.startswith("../")
    return None if outside or "\0" in joined else joined


def outside_problem(annotation: str, name: str) -> Problem:
    """Say that ``annotation`` names a file outside the data root."""
    return Problem(
        printable(name),
        f"{annotation} names {printable(name)!r}, which is outside the data root: a loader would "
        "read that file, not the rewritten one; make the name relative to the images' folder.",
    )


def missing_problems(annotation: str, names: Iterable[str], folder: str | None) -> list[Problem]:
    """Say that ``annotation`` names files that are not there: one by one, or counted if many.

    Args:
        annotation: Annotation file that names them.
        names: Names as they stand in it.
        folder: Folder in which they were looked for; None if not one of them was found anywhere.
    """
    missing = sorted(set(names))
    where = "anywhere in the tree" if folder is None else f"in {folder}/"
    if len(missing) <= _NAMED_ONE_BY_ONE:
        return [
            Problem(
                posixpath.join(folder or "", printable(name)),
                f"{annotation} names {printable(name)!r}, which is not {where}; put the file "
                "there, or take it out of the annotation.",
            )
            for name in missing
        ]
    first = ", ".join(printable(name) for name in missing[:3])
    return [
        Problem(
            annotation,
            f"{annotation} names {len(missing)} images that are not {where} ({first}, ...); "
            "put them there, or choose the splits that are here with --splits.",
        )
    ]
