"""The floors of the house: a module imports from its own floor or from below, never from above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

#: Every room with its floor; the first part of a module's name below ``jpeg_preproc`` that stands
#: here is its room. Rooms of one floor do not import each other, but for the single files of the
#: first.
FLOORS = {
    **dict.fromkeys(("io", "errors", "defaults", "checkpoint", "restricted_pickle"), 1),
    **dict.fromkeys(("jpeg", "report", "demo", "stats", "distributed"), 2),
    **dict.fromkeys(("corruptions", "restorers"), 3),
    **dict.fromkeys(("training", "datasets", "torchvision"), 4),
    **dict.fromkeys(("evaluation", "files"), 5),
    **dict.fromkeys(("openmmlab", "openmmlab.evaluation", "openmmlab.training"), 6),
    "study": 7,
    "cli": 8,
    "tools": 9,
}
#: What only a room of this name may import, in the rooms and in the functions of all others.
OPENMMLAB = ("mmcv", "mmdet", "mmseg")


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield each module's dotted name and its file: those of the package and the tools."""
    for path in sorted((root / "jpeg_preproc").rglob("*.py")):
        # Configs are data, read by mmengine.
        if "configs" not in path.parts:
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__"), path
    for path in sorted((root / "tools").glob("*.py")):
        yield f"tools.{path.stem}", path


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and name of every import of a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room(module: str) -> str | None:
    """Return the room of a dotted name; ``None`` for the package itself and for foreign modules."""
    if module.startswith("tools."):
        return "tools"
    if not module.startswith("jpeg_preproc."):
        return None
    parts = module.removeprefix("jpeg_preproc.").split(".")
    return next((name for name in (".".join(parts[:2]), parts[0]) if name in FLOORS), None)


def violations(root: Path) -> list[str]:
    """Return a line for each import that runs up, sideways, or into OpenMMLab from outside."""
    found = []
    for module, path in modules(root):
        own = room(module)
        for line, target in imports(path):
            where = f"{path.relative_to(root)}:{line} imports {target}"
            if own is not None and not own.startswith("openmmlab") and is_openmmlab(target):
                found.append(f"{where}: only openmmlab/ may")
            other = room(target)
            if own is None or other is None or other == own:
                continue
            if own.startswith("openmmlab") and other.startswith("openmmlab"):
                if own == "openmmlab":
                    found.append(f"{where}: the plugin needs nothing of what measures and trains")
            elif FLOORS[other] >= max(FLOORS[own], 2):
                found.append(f"{where}: floor {FLOORS[own]} may not import floor {FLOORS[other]}")
    return found


def is_openmmlab(target: str) -> bool:
    return target.split(".")[0] in OPENMMLAB


def test_no_import_runs_up():
    assert violations(REPOSITORY) == []


def test_every_room_has_a_floor():
    homeless = [
        module
        for module, _ in modules(REPOSITORY)
        if room(module) is None and module not in ("jpeg_preproc", "jpeg_preproc.__main__")
    ]
    assert homeless == []


@pytest.mark.parametrize(
    "file,line,words",
    [
        ("jpeg/codec.py", "from jpeg_preproc.restorers import build_restorer", "floor 2 may not"),
        ("corruptions/codecs.py", "import jpeg_preproc.restorers.engine", "floor 3 may not"),
        ("report/tables.py", "from jpeg_preproc.evaluation import rows", "floor 2 may not"),
        (
            "openmmlab/convert.py",
            "from jpeg_preproc.openmmlab.evaluation import task",
            "the plugin needs nothing",
        ),
        ("training/data.py", "def f():\n    from mmcv.ops import nms", "only openmmlab/ may"),
    ],
)
def test_a_planted_upward_import_is_found(tmp_path, file, line, words):
    path = tmp_path / "jpeg_preproc" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"import io\n{line}\n")
    (found,) = violations(tmp_path)
    assert file in found and words in found
