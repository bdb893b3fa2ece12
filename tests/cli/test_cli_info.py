"""``jpeg-preproc info`` as it is typed."""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from jpeg_preproc.jpeg import compress_jpeg, qtables_from_qf, roundtrip


@pytest.fixture
def jpeg(tmp_path, photo):
    """A progressive, rotated JPEG with a profile."""
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "photo.jpg"
    Image.fromarray(photo).save(path, quality=30, progressive=True, exif=exif, icc_profile=profile)
    return path


def test_all_that_a_jpeg_says(command, jpeg):
    code, output, errors = command("info", "--history", jpeg)
    assert (code, errors) == (0, "")
    for part in (
        f"{jpeg}: JPEG, 184x120 (upright 120x184), {jpeg.stat().st_size:,} bytes",
        "progressive, ",
        "complete",
        "YCbCr 4:2:0, 8 bits",
        "EXIF, orientation 6; a colour profile",
        "QF 30: libjpeg's own tables",
        "starts at column 0, row 0",
        "no earlier, stronger compression",
        "restored by QF 30 (from the file's tables; confidence 1.00)",
    ):
        assert part in output
    lines = output.splitlines()
    start = next(index for index, line in enumerate(lines) if "luma table" in line)
    shown = np.array([line.split() for line in lines[start + 1 : start + 9]], int)
    np.testing.assert_array_equal(shown, np.concatenate(list(qtables_from_qf(30)), axis=1))


def test_json_says_the_same(command, jpeg):
    code, output, _ = command("info", jpeg, jpeg, "--json", "--history")
    assert code == 0
    first, second = json.loads(output)
    assert first == second
    expected = {
        "path": str(jpeg),
        "format": "JPEG",
        "width": 184,
        "height": 120,
        "orientation": 6,
        "exif": True,
        "icc": True,
        "colour_space": "YCbCr",
        "sampling": "4:2:0",
        "progressive": True,
        "truncated": False,
        "qf": 30,
        "qf_exact": True,
        "qtables": qtables_from_qf(30).tolist(),
        "grid": {"column": 0, "row": 0},
        "earlier_qf": None,
        "pixels_not_looked_at": None,
        "restored_by_qf": 30,
        "restored_by_source": "file",
        "restored_by_confidence": 1.0,
        "restored_by_part_qfs": [],
    }
    assert expected.items() <= first.items()


def test_an_earlier_compression_is_a_hint(command, tmp_path, photo):
    image = np.tile(photo, (2, 2, 1))
    (tmp_path / "twice.jpg").write_bytes(compress_jpeg(roundtrip(image, 50), 85))
    _, output, _ = command("info", tmp_path / "twice.jpg", "--history")
    pattern = r"probably compressed before, at about QF (49|50|51): restore with --qf \1"
    assert re.search(pattern, output)
    _, output, _ = command("info", "--history", tmp_path / "twice.jpg", "--json")
    (found,) = json.loads(output)
    assert found["earlier_qf"] in (49, 50, 51)
    assert found["earlier_gain_nats_per_block"] > 1
    assert found["restored_by_source"] == "earlier"
    assert abs(found["restored_by_qf"] - 50) <= 2


def test_a_png_that_was_a_jpeg(command, tmp_path, photo):
    image = np.tile(photo, (2, 2, 1))
    Image.fromarray(roundtrip(image, 40)[3:, 2:]).save(tmp_path / "crop.png")
    Image.fromarray(image).save(tmp_path / "never.png")
    code, output, _ = command("info", tmp_path / "crop.png", tmp_path / "never.png")
    assert code == 0
    assert "starts at column 6, row 5 (estimated)" in output
    assert "about QF 40, from pixels" in output
    assert "none found" in output
    _, output, _ = command("info", tmp_path / "crop.png", tmp_path / "never.png", "--json")
    crop, never = json.loads(output)
    assert (crop["grid"], crop["estimated_qf"]) == ({"column": 6, "row": 5}, 40)
    assert "restored_by_qf" not in crop
    _, output, _ = command("info", tmp_path / "crop.png", tmp_path / "never.png", "--history")
    assert "restored by QF 40 (of a compression off the corner; confidence 1.00)" in output
    assert "restored by nothing: no compression found" in output
    assert (never["grid"], never["estimated_qf"]) == (None, None)


def test_tables_that_are_not_libjpegs(command, tmp_path, photo):
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", qtables=[[9] * 64, [12] * 64])
    (tmp_path / "flat.jpg").write_bytes(stream.getvalue())
    _, output, _ = command("info", tmp_path / "flat.jpg")
    assert "is nearest; its steps differ by" in output


def test_files_whose_pixels_cannot_be_read_still_say_what_they_can(command, tmp_path, photo, jpeg):
    (tmp_path / "cut.jpg").write_bytes(jpeg.read_bytes()[:-1000])
    Image.fromarray(photo).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(photo).save(tmp_path / "rgb.jpg", keep_rgb=True)
    code, output, _ = command(
        "info", "--history", *(tmp_path / f"{name}.jpg" for name in ("cut", "cmyk", "rgb"))
    )
    assert code == 0
    assert "TRUNCATED" in output
    assert "CMYK 1x1,1x1,1x1,1x1" in output
    assert "RGB 4:4:4" in output
    assert output.count("not looked for: ") == 3


def test_what_is_no_image_is_named_and_the_rest_is_shown(command, tmp_path, jpeg):
    (tmp_path / "text.jpg").write_text("no image")
    code, output, errors = command("info", tmp_path / "text.jpg", tmp_path / "absent.jpg", jpeg)
    assert code == 1
    assert "QF 30" in output
    assert "text.jpg" in errors
    assert "absent.jpg does not exist" in errors


def test_a_jpeg_is_decoded_only_if_its_history_is_asked_for(command, jpeg, monkeypatch):
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", lambda self: pytest.fail())
    code, output, _ = command("info", jpeg)
    assert code == 0
    assert "not looked for: give --history" in output
    _, output, _ = command("info", jpeg, "--json")
    assert "--history" in json.loads(output)[0]["pixels_not_looked_at"]


def test_what_is_too_large_is_not_decoded(command, tmp_path, jpeg):
    Image.new("RGB", (184, 120)).save(tmp_path / "a.png")
    arguments = ("info", "--history", tmp_path / "a.png", jpeg, "--max-pixels")
    code, output, errors = command(*arguments, 184 * 120 - 1)
    assert code == 1
    for name, said in (("a.png", errors), ("photo.jpg", output)):
        assert f"{name} has 184x120 pixels, more than the 22079 that are allowed" in said
    assert command(*arguments, 184 * 120)[0] == 0


def test_what_pillow_logs_of_a_damaged_file_is_no_second_line(tmp_path):
    path = tmp_path / "a.tif"
    Image.new("RGB", (9, 7)).save(path)
    seven = struct.pack("<HHII", 277, 3, 1, 7)  # SamplesPerPixel, a short, one value
    path.write_bytes(path.read_bytes().replace(struct.pack("<HHII", 277, 3, 1, 3), seven))
    done = subprocess.run(
        [sys.executable, "-m", "jpeg_preproc", "info", path], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
