"""When freed memory is given back; how much that is: tests/soaking/test_soak_shapes.py."""

from __future__ import annotations

import pytest

from jpeg_preproc.restorers import memory
from jpeg_preproc.restorers.memory import CHANGES_BETWEEN, FreedMemory


@pytest.fixture
def given_back(monkeypatch) -> list[int]:
    """A list that gets a 0 each time that memory is given back."""
    calls: list[int] = []
    monkeypatch.setattr(memory, "_trim", calls.append)
    return calls


def test_shapes_that_change_give_memory_back_every_so_often(given_back):
    freed = FreedMemory()
    for number in range(3 * CHANGES_BETWEEN):
        freed.after((1, 3, 8, 8 + number))
    assert given_back == [0, 0, 0]


def test_images_of_one_shape_never_do(given_back):
    freed = FreedMemory()
    for _ in range(3 * CHANGES_BETWEEN):
        freed.after((1, 3, 8, 8))
    assert given_back == []


def test_a_c_library_that_cannot_is_let_be(monkeypatch):
    monkeypatch.setattr(memory, "_trim", None)
    freed = FreedMemory()
    for number in range(CHANGES_BETWEEN):
        freed.after((1, 3, 8, 8 + number))
