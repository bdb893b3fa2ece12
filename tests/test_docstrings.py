"""Arguments and attributes are told in one form: phrases that stand alone, with a capital."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import jpeg_preproc

PACKAGE = Path(jpeg_preproc.__file__).parent

_HEADINGS = ("Args", "Attributes")
_BEGINNING = re.compile(r"[A-Z`'\"]")
_LEANING = re.compile(r"\blikewise\b|\bas there\b(?! (is|are|was|were))|^of ", re.IGNORECASE)


def texts(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the whole text of each argument or attribute that a docstring tells of."""
    # A section reaches to the next line that is not indented.
    for heading, section in re.findall(r"^(\w+):\n((?:[ ]+.*\n?|\n)*)", docstring, re.MULTILINE):
        if heading in _HEADINGS:
            for item in re.split(r"\n(?=    \S)", section.rstrip()):
                name, colon, text = item.strip().partition(":")
                yield (name, " ".join(text.split())) if colon else (item.strip(), "")


def faults(source: str) -> list[str]:
    """Return the texts that are not in the form, each with the line its docstring's owner is in."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            for name, text in texts(ast.get_docstring(node) or ""):
                if not _BEGINNING.match(text) or _LEANING.search(text):
                    found.append(f"line {getattr(node, 'lineno', 1)}, {name}: {text}")
    return found


def modules() -> list[str]:
    names = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    return sorted(names)


@pytest.mark.parametrize("module", modules())
def test_arguments_are_told_in_one_form(module: str) -> None:
    assert faults((PACKAGE / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    ["the path.", "Of the file.", "of it", "Height, likewise.", "Quality; as there.", "(H, W)", ""],
)
def test_another_form_is_seen(text: str) -> None:
    source = f'def f(a):\n    """Do it.\n\n    Args:\n        a: {text}\n    """\n'
    assert len(faults(source)) == 1


def test_all_texts_of_a_docstring_are_looked_at() -> None:
    source = '''
class Named:
    """A class.

    Attributes:
        first: Fine, over
            two lines.
        second: not fine.

    Args:
        third: ``'fine'``.
        fourth: Fine, but on its second line
            likewise not.

    Raises:
        ValueError: this section is not looked at.
    """
'''
    assert [fault.partition(", ")[2].split(":")[0] for fault in faults(source)] == [
        "second",
        "fourth",
    ]
