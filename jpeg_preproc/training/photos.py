"""Photographs under free licences out of Debian's packages, reduced so that they count as clean."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path

from PIL import Image

from jpeg_preproc.errors import FileError
from jpeg_preproc.io import sha256_bytes, write_bytes_atomic


@dataclass(frozen=True)
class Photo:
    """One photograph, a line of the table.

    Attributes:
        file: Name of the PNG that it becomes.
        package: Debian's package that holds it.
        version: Version of the package.
        path: Path inside the package, without a leading slash.
        sha256: SHA-256 of the file in the package.
        factor: Height and width are divided by it (box filter), which takes the artifacts of the
            source's own compression away.
        width: Width of the PNG, pixels.
        height: Height of the PNG, pixels.
        licence: Licence of the photograph.
        author: Author whom the package names.
    """

    file: str
    package: str
    version: str
    path: str
    sha256: str
    factor: int
    width: int
    height: int
    licence: str
    author: str


def read_photos(table: str | os.PathLike[str]) -> list[Photo]:
    """Read a CSV table of photographs, whose columns are the attributes of :class:`Photo`.

    Raises:
        FileError: The table cannot be read, or a line is not a photograph; the message names file
            and line.
    """
    path = Path(table)
    numbers = {field.name for field in fields(Photo) if field.type == "int"}
    photos = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for line, row in enumerate(csv.DictReader(stream), start=2):
                try:
                    values = {n: int(v) if n in numbers else str(v) for n, v in row.items()}
                    photo = Photo(**values)  # type: ignore[arg-type]
                except (TypeError, ValueError) as error:
                    raise FileError(f"{path}, line {line}: not a photograph ({error})") from error
                if Path(photo.file).name != photo.file or photo.factor < 1:
                    raise FileError(
                        f"{path}, line {line}: {photo.file!r} reduced by {photo.factor}; 'file' "
                        "is a name without folders, 'factor' at least 1"
                    )
                photos.append(photo)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path}: not a table of photographs ({error})") from error
    return photos


def fetch_photos(
    photos: Sequence[Photo], out: str | os.PathLike[str], packages: str | os.PathLike[str]
) -> Iterator[Photo]:
    """Write the photographs that ``out`` lacks, as PNG; yield each when it is there.

    This needs Debian's ``apt-get`` and ``dpkg-deb``, but no rights: packages are downloaded, not
    installed, and nothing in them is run.

    Args:
        photos: Photographs to fetch, as :func:`read_photos` returns them.
        out: Folder of the PNGs.
        packages: Folder of the ``.deb`` files; those that it has are not downloaded.

    Raises:
        FileError: A package cannot be had, or a photograph in it is not the one that was listed.
    """
    folder, debs = Path(out), Path(packages)
    debs.mkdir(parents=True, exist_ok=True)

    def source(photo: Photo) -> tuple[str, str]:
        return photo.package, photo.version

    for (package, version), some in groupby(sorted(photos, key=source), key=source):
        members = list(some)
        missing = {photo.path: photo for photo in members if not (folder / photo.file).exists()}
        yield from (photo for photo in members if photo.path not in missing)
        if not missing:
            continue
        deb = _package(package, version, debs)
        for path, data in _contents(deb, set(missing)):
            write_bytes_atomic(folder / missing[path].file, _png(missing[path], data, deb))
            yield missing[path]


def _package(name: str, version: str, folder: Path) -> Path:
    """Return the package's file, downloaded if it is not there."""
    pattern = f"{name}_{version.replace(':', '%3a')}_*.deb"
    if not any(folder.glob(pattern)):
        wanted = f"{name}={version}"
        try:
            found = subprocess.run(
                ["apt-get", "download", "-q", wanted], cwd=folder, capture_output=True, text=True
            )
        except OSError as error:
            raise FileError(f"apt-get does not start ({error}); run this on Debian") from error
        if not any(folder.glob(pattern)):
            reason = (found.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise FileError(
                f"{wanted}: apt-get does not have it ({reason}); after 'apt-get update' look "
                "which version there is, or name a folder of packages that has it"
            )
    return next(iter(sorted(folder.glob(pattern))))


def _contents(deb: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of the wanted files of a package."""
    left = set(wanted)
    try:
        unpacked = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise FileError(f"{deb}: dpkg-deb does not unpack it ({error})") from error
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        for member in archive:
            path = member.name.removeprefix("./")
            stream = archive.extractfile(member) if path in left else None
            if stream is not None:
                left.remove(path)
                yield path, stream.read()
    if left:
        raise FileError(f"{deb}: lacks {', '.join(sorted(left))}; the table names another version")


def _png(photo: Photo, data: bytes, deb: Path) -> bytes:
    """Return the reduced photograph as PNG."""
    if sha256_bytes(data) != photo.sha256:
        raise FileError(f"{deb}: {photo.path} has another SHA-256 than the table says")
    with Image.open(io.BytesIO(data)) as source:
        image = source.convert("RGB").reduce(photo.factor)
    if image.size != (photo.width, photo.height):
        raise FileError(f"{deb}: {photo.path} is reduced to {image.size}, not as the table says")
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()
