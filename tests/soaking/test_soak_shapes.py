"""Memory over images of distinct shapes stays where it is, once some have been seen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from soaking.shapes import restore_shapes, shapes


def test_the_shapes_are_distinct_and_small():
    found = shapes(3_000, 19)
    assert len(set(found)) == 3_000
    assert max(height * width for height, width in found) <= 64 * 4800


@pytest.mark.slow
def test_memory_is_bounded():
    assert restore_shapes(400, 19).notes == []


@pytest.mark.parametrize("own", [None, "12"])
def test_the_users_own_number_of_compiled_layers_stays(own):
    code = (
        "import os; from jpeg_preproc import JpegRestorer; JpegRestorer('nano');"
        "print(os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'])"
    )
    given = {key: value for key, value in os.environ.items() if not key.startswith("ONEDNN")}
    if own is not None:
        given["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = own
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (own or "256")
