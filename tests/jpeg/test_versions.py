"""What is said of the encoders, against what Pillow's own report says of them."""

from __future__ import annotations

import io

import PIL
import pytest
from PIL import features

from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg.versions import encoder_versions


@pytest.fixture(scope="module")
def report() -> str:
    stream = io.StringIO()
    features.pilinfo(stream, supported_formats=False)
    return stream.getvalue()


def test_pillow_is_named_always() -> None:
    assert encoder_versions() == {"pillow": PIL.__version__}


@pytest.mark.parametrize(
    ("codec", "heading"), [("jpeg", "JPEG"), ("webp", "WEBP"), ("avif", "AVIF")]
)
def test_the_version_is_that_of_pillows_report(codec: str, heading: str, report: str) -> None:
    lines = [line for line in report.splitlines() if f"--- {heading} support" in line]
    library, version = encoder_versions(codec)[codec].split()[:2]
    assert library.startswith("lib")
    assert version in lines[0].replace(",", " ").split() if lines else version == "absent"


def test_png_is_packed_by_the_deflate_of_pillows_report(report: str) -> None:
    (line,) = [line for line in report.splitlines() if "--- ZLIB" in line]
    library, version = encoder_versions("png")["png"].split()
    assert version in line.replace(",", " ").split()
    assert (library == "zlib-ng") == ("zlib-ng" in line)


def test_codecs_come_in_the_order_asked_for() -> None:
    assert list(encoder_versions("webp", "jpeg")) == ["pillow", "webp", "jpeg"]


def test_an_unknown_codec_lists_the_known() -> None:
    with pytest.raises(QualityError, match="'gif' is unknown; give jpeg, webp, png, avif"):
        encoder_versions("gif")
