"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from jpeg_preproc import jpeg

MODULES = sorted(module.name for module in pkgutil.iter_modules(jpeg.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"jpeg_preproc.jpeg.{name}")).failed == 0


def test_there_are_examples() -> None:
    modules = [importlib.import_module(f"jpeg_preproc.jpeg.{name}") for name in MODULES]
    assert sum(doctest.testmod(module).attempted for module in modules) >= 10
