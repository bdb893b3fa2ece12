"""What needs no network does not import torch, which takes seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

import jpeg_preproc


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_headers_compression_datasets_and_info_go_without_torch(tmp_path):
    code = f"""
import sys
from pathlib import Path
import numpy as np
from jpeg_preproc import compress_jpeg, read_jpeg_info
import jpeg_preproc.datasets, jpeg_preproc.jpeg, jpeg_preproc.report
from jpeg_preproc.cli import main

data = compress_jpeg(np.zeros((40, 40, 3), np.uint8), qf=10)
assert read_jpeg_info(data).qf == 10
path = Path({str(tmp_path)!r}) / "a.jpg"
path.write_bytes(data)
assert main(["info", str(path)]) == 0
for arguments in (["--help"], ["restore", "--help"], ["restore", str(path)]):
    try:
        main(arguments)
    except SystemExit as end:
        assert end.code == (0 if "--help" in arguments else 2)
print("torch" in sys.modules)
from jpeg_preproc.jpeg import block_dct
print("torch" in sys.modules)
"""
    result = run(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-2:] == ["False", "True"]


def test_every_public_name_is_there():
    for module in (jpeg_preproc, jpeg_preproc.jpeg):
        for name in module.__all__:
            assert getattr(module, name) is not None
        assert set(module.__all__) <= set(dir(module))
        with pytest.raises(AttributeError, match="nonesuch"):
            module.nonesuch  # noqa: B018
    assert jpeg_preproc.restorers.JpegRestorer is jpeg_preproc.JpegRestorer
