"""Single files, byte for byte what the encoders' own packages write."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.corruptions import Avif, Jpeg, Jpegli, JpegXL, WebP
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.jpeg import compress_jpeg, qtables_from_qf

LOSSY = {
    "WEBP": (WebP, {"method": 4}),
    "AVIF": (Avif, {"codec": "aom", "speed": 6, "max_threads": 1, "subsampling": "4:2:0"}),
    "JXL": (JpegXL, {"effort": 7, "num_threads": 1}),
}


def decoded(data, mode="RGB"):
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert(mode))


def error(one, other):
    return float(np.square(one.astype(float) - other).mean())


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("qf", [1, 10, 50, 100])
def test_jpeg_is_pillow_s(photo, qf, subsampling):
    found = Jpeg(qf, subsampling).apply(photo)
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=qf, subsampling=subsampling)
    assert found.data == stream.getvalue() == compress_jpeg(photo, qf, subsampling)
    assert found.num_bytes == len(stream.getvalue())
    np.testing.assert_array_equal(found.pixels, decoded(found.data))
    np.testing.assert_array_equal(found.qtables, qtables_from_qf(qf))


def test_jpeg_is_opencv_s(photo):
    cv2 = pytest.importorskip("cv2")
    ok, data = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 30])
    assert ok
    expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(Jpeg(30).apply(photo).pixels, expected)


def test_grey_jpeg(photo):
    grey = photo[..., 0]
    found = Jpeg(20).apply(grey)
    np.testing.assert_array_equal(found.pixels, decoded(found.data, "L"))
    assert found.qtables.shape == (1, 8, 8)
    assert Jpeg(20, "grey").apply(photo).pixels.shape == grey.shape


@pytest.mark.parametrize("name", LOSSY)
def test_other_files_are_what_pillow_writes(name, photo):
    kind, options = LOSSY[name]
    if name == "JXL":
        pytest.importorskip("pillow_jxl")
    found = kind(30).apply(photo)
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, name, quality=30, **options)
    assert found.data == stream.getvalue()
    assert found.qtables is None
    np.testing.assert_array_equal(found.pixels, decoded(found.data))
    assert error(found.pixels, photo) > 0


@pytest.mark.parametrize("kind", [WebP, Avif, JpegXL, Jpegli])
def test_a_lower_quality_costs_less_and_errs_more(kind, photo):
    if kind is JpegXL:
        pytest.importorskip("pillow_jxl")
    if kind is Jpegli:
        pytest.importorskip("pyjpegli")
    low, high = (kind(quality).apply(photo) for quality in (10, 90))
    assert low.num_bytes < high.num_bytes
    assert error(low.pixels, photo) > error(high.pixels, photo)


@pytest.mark.parametrize("kind", [WebP, Avif, JpegXL, Jpegli])
def test_grey_stays_grey_and_near(kind, photo):
    if kind is JpegXL:
        pytest.importorskip("pillow_jxl")
    if kind is Jpegli:
        pytest.importorskip("pyjpegli")
    grey = photo[..., 2]
    found = kind(90).apply(grey)
    np.testing.assert_array_equal(found.pixels, decoded(found.data, "L"))
    assert error(found.pixels, grey) < 30


def test_jpegli_is_pyjpegli_s_and_tells_its_tables(photo):
    pyjpegli = pytest.importorskip("pyjpegli")
    found = Jpegli(30).apply(photo)
    assert found.data == pyjpegli.encode(photo, 84, 60, quality=30)
    np.testing.assert_array_equal(found.pixels, decoded(found.data))
    with Image.open(io.BytesIO(found.data)) as picture:
        tables = list(picture.quantization.values())
    assert [table.flatten().tolist() for table in found.qtables] == tables[: len(found.qtables)]
    assert found.data != Jpeg(30).apply(photo).data


@pytest.mark.parametrize(
    ("kind", "wrong", "limits"),
    [
        (Jpeg, [0, 101, 10.0, "ten", None, True], "1 to 100"),
        (WebP, [-1, 101, 0.5], "0 to 100"),
        (Avif, [-1, 101], "0 to 100"),
        (Jpegli, [0, 101], "1 to 100"),
        (JpegXL, [0, 100], "1 to 99"),
    ],
)
def test_qualities_that_do_not_exist(kind, wrong, limits):
    for quality in wrong:
        with pytest.raises(
            CorruptionError, match=f"{kind.kind}.*give a whole number from {limits}"
        ):
            kind(quality)
    with pytest.raises(CorruptionError, match="subsampling='4:1:1'; give one of 4:4:4"):
        Jpeg(10, "4:1:1")


@pytest.mark.parametrize(
    ("kind", "module", "distribution"),
    [(Jpegli, "pyjpegli", "pyjpegli"), (JpegXL, "pillow_jxl", "pillow-jxl-plugin")],
)
def test_a_missing_package_names_the_install_line(kind, module, distribution, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    for call in (lambda: kind(30).apply(photo), kind(30).key):
        with pytest.raises(
            CorruptionError, match=f"^The package {module} .*pip install {distribution}$"
        ):
            call()
