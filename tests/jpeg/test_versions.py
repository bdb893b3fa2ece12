"""The versions that stand in keys, as the libraries themselves tell them."""

from __future__ import annotations

import io

import PIL
import pytest
from PIL import features

from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.jpeg.versions import encoder_versions


def test_versions_are_those_that_pillow_reports():
    found = encoder_versions("webp", "jpeg", "avif", "jpeg")
    assert list(found) == ["pillow", "avif", "jpeg", "webp"]
    assert found["pillow"] == PIL.__version__
    assert features.version("webp") in found["webp"]
    assert features.version("avif") in found["avif"]
    assert "aom" in found["avif"]
    assert (features.version("libjpeg_turbo") or features.version("jpg")) in found["jpeg"]


def test_optional_libraries():
    av = pytest.importorskip("av")
    assert av.__version__ in encoder_versions("ffmpeg")["ffmpeg"]


def test_a_pillow_without_the_codec_is_told(monkeypatch):
    monkeypatch.setattr(features, "version", lambda name: None)
    with pytest.raises(CorruptionError, match=r"built without avif; .*pip install -U"):
        encoder_versions("avif")


def test_png_is_packed_by_the_deflate_of_pillows_report():
    stream = io.StringIO()
    features.pilinfo(stream, supported_formats=False)
    (line,) = [line for line in stream.getvalue().splitlines() if "--- ZLIB" in line]
    library, version = encoder_versions("png")["png"].split()
    assert version in line.replace(",", " ").split()
    assert (library == "zlib-ng") == ("zlib-ng" in line)
