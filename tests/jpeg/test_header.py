"""Headers against Pillow's reading of them, and streams built by hand after ITU-T T.81."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import (
    ZIGZAG,
    compress_jpeg,
    is_jpeg,
    nearest_qf,
    qtables_from_qf,
    read_jpeg_info,
)
from jpeg_preproc.jpeg import header as header_module

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
# Entropy-coded data as a scan may hold: stuffed bytes, restart markers.
DATA = b"\x12\xff\x00\x34\xff\xd0\xff\x00\xff\xd7\x56"


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def dqt(slot: int, table: np.ndarray, wide: bool = False) -> bytes:
    entries = table.ravel()[ZIGZAG].astype(">u2" if wide else np.uint8).tobytes()
    return segment(0xDB, bytes([wide << 4 | slot]) + entries)


def sof(
    parts: list[tuple[int, int, int]],
    marker: int = 0xC0,
    size: tuple[int, int] = (40, 24),
    precision: int = 8,
) -> bytes:
    """A frame header; ``parts`` are (horizontal factor, vertical factor, table slot)."""
    payload = struct.pack(">BHHB", precision, size[1], size[0], len(parts))
    for index, (across, down, slot) in enumerate(parts):
        payload += bytes([index + 1, across << 4 | down, slot])
    return segment(marker, payload)


def sos(*identifiers: int) -> bytes:
    chosen = b"".join(bytes([identifier, 0]) for identifier in identifiers)
    return segment(0xDA, bytes([len(identifiers)]) + chosen + b"\x00\x3f\x00")


def one_scan(*before: bytes, parts: int = 3) -> bytes:
    return SOI + b"".join(before) + sos(*range(1, parts + 1)) + DATA + EOI


YCC = [(2, 2, 0), (1, 1, 1), (1, 1, 1)]
LUMA, CHROMA = qtables_from_qf(40)
TABLES = dqt(0, LUMA) + dqt(1, CHROMA)


def pillow_jpeg(image: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 35},
        {"quality": 35, "subsampling": "4:4:4"},
        {"quality": 35, "subsampling": "4:2:2", "progressive": True},
        {"quality": 100, "optimize": True},
        {"quality": 35, "keep_rgb": True},
        {"quality": 35, "restart_marker_rows": 1},
        {"quality": 35, "qtables": [list(range(1, 65))]},
        {"quality": 35, "qtables": [[7] * 64, [9] * 64, [11] * 64]},
    ],
)
def test_header_is_what_pillow_reads(photo: np.ndarray, options: dict[str, object]) -> None:
    data = pillow_jpeg(photo, **options)
    info = read_jpeg_info(data)
    with Image.open(io.BytesIO(data)) as picture:
        assert (info.width, info.height) == picture.size
        assert info.sampling_factors == tuple((part[1], part[2]) for part in picture.layer)
        assert info.components == len(picture.layer)
        assert info.precision == picture.bits
        assert info.adobe_transform == picture.info.get("adobe_transform")
        assert info.progressive == bool(picture.info.get("progressive"))
        used = list(dict.fromkeys(part[3] for part in picture.layer))
        tables = np.array([picture.quantization[slot] for slot in used]).reshape(-1, 8, 8)
    np.testing.assert_array_equal(info.qtables, tables)
    assert info.truncated is False
    assert info.orientation == 1
    assert info.scans == (10 if info.progressive else 1)  # libjpeg's standard script for YCbCr


def test_real_files_read_as_pillow_reads_them(shared_data: Path) -> None:
    files = sorted((shared_data / "coco" / "val2017").glob("*.jpg"))[:40]
    if not files:
        pytest.skip("no COCO images in ../shared/data")
    for file in files:
        info = read_jpeg_info(file)
        with Image.open(file) as picture:
            assert (info.width, info.height) == picture.size
            assert info.orientation == picture.getexif().get(0x0112, 1)
            expected = np.array(list(picture.quantization.values())).reshape(-1, 8, 8)
        np.testing.assert_array_equal(info.qtables, expected)
        assert info.truncated is False


@pytest.mark.parametrize(
    ("factors", "name"),
    [
        ([(1, 1)], "grey"),
        ([(2, 2)], "grey"),
        ([(1, 1), (1, 1), (1, 1)], "4:4:4"),
        ([(2, 2), (2, 2), (2, 2)], "4:4:4"),
        ([(2, 1), (1, 1), (1, 1)], "4:2:2"),
        ([(2, 2), (1, 2), (1, 2)], "4:2:2"),
        ([(2, 2), (1, 1), (1, 1)], "4:2:0"),
        ([(1, 2), (1, 1), (1, 1)], "4:4:0"),
        ([(4, 1), (1, 1), (1, 1)], "4:1:1"),
        ([(4, 2), (1, 1), (1, 1)], "4x2,1x1,1x1"),
        ([(2, 2), (2, 1), (1, 1)], "2x2,2x1,1x1"),
        ([(3, 1), (2, 1), (2, 1)], "3x1,2x1,2x1"),
        ([(1, 1)] * 4, "1x1,1x1,1x1,1x1"),
    ],
)
def test_sampling_has_its_usual_name(factors: list[tuple[int, int]], name: str) -> None:
    data = one_scan(TABLES, sof([(*pair, 0) for pair in factors]), parts=len(factors))
    assert read_jpeg_info(data).sampling == name


def test_a_thumbnail_in_exif_is_not_taken_for_the_image(photo: np.ndarray) -> None:
    thumbnail = compress_jpeg(photo[:16, :16], 5, orientation=3)
    # IFD0 with orientation 6, then IFD1 (the thumbnail's) with orientation 8, then a whole JPEG.
    ifd0 = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 26)
    ifd1 = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 8, 0, 0)
    exif = b"Exif\0\0" + b"MM\0*\0\0\0\x08" + ifd0 + ifd1 + thumbnail
    info = read_jpeg_info(pillow_jpeg(photo, quality=60, exif=exif))
    assert (info.width, info.height) == (photo.shape[1], photo.shape[0])
    assert (info.qf, info.orientation, info.scans) == (60, 6, 1)


def test_what_follows_the_end_marker_is_not_read(photo: np.ndarray) -> None:
    stream = io.BytesIO()
    second = Image.fromarray(photo[:32, :32])
    Image.fromarray(photo).save(stream, "MPO", save_all=True, append_images=[second], quality=70)
    info = read_jpeg_info(stream.getvalue() + b"a film of a motion photo \xff\xda")
    assert (info.width, info.height) == (photo.shape[1], photo.shape[0])
    assert (info.qf, info.scans, info.truncated) == (70, 1, False)


def test_the_last_definition_of_a_table_before_its_scan_counts() -> None:
    old, new = np.full((8, 8), 3), np.full((8, 8), 5)
    info = read_jpeg_info(one_scan(dqt(0, old), dqt(1, old), sof(YCC), dqt(1, new)))
    np.testing.assert_array_equal(info.qtables, [old, new])


def test_a_slot_filled_anew_between_scans_holds_two_tables() -> None:
    first, second = np.full((8, 8), 3), np.full((8, 8), 5)
    parts = [(1, 1, 0)] * 3
    data = SOI + dqt(0, first) + sof(parts) + sos(1) + DATA
    data += dqt(0, second) + sos(2) + DATA + sos(3) + DATA + EOI
    info = read_jpeg_info(data)
    np.testing.assert_array_equal(info.qtables, [first, second])
    assert info.scans == 3


def test_tables_of_a_later_scan_are_found_even_when_scans_are_not_counted() -> None:
    data = SOI + dqt(0, LUMA) + sof(YCC) + sos(1) + DATA + dqt(1, CHROMA) + sos(2, 3) + DATA + EOI
    info = read_jpeg_info(data, scans=False)
    np.testing.assert_array_equal(info.qtables, [LUMA, CHROMA])
    assert (info.scans, info.truncated) == (None, None)


def test_equal_tables_in_two_slots_stay_two() -> None:
    ones = np.ones((8, 8))
    assert read_jpeg_info(one_scan(dqt(0, ones), dqt(1, ones), sof(YCC))).qtables.shape[0] == 2


def test_a_table_that_no_component_uses_is_left_out() -> None:
    data = one_scan(dqt(3, CHROMA), TABLES, sof(YCC))
    np.testing.assert_array_equal(read_jpeg_info(data).qtables, [LUMA, CHROMA])


def test_several_tables_in_one_segment_and_16_bit_entries() -> None:
    wide = np.arange(64).reshape(8, 8) * 900 + 1
    both = segment(0xDB, dqt(0, LUMA)[4:] + dqt(1, wide, wide=True)[4:])
    info = read_jpeg_info(one_scan(both, sof(YCC)))
    np.testing.assert_array_equal(info.qtables, [LUMA, wide])
    assert info.qtables.dtype == np.uint16
    match = nearest_qf(info.qtables)
    assert (info.qf, info.qf_distance, info.qf_exact) == (match.qf, match.distance, False)


def test_fill_bytes_and_stray_bytes_before_markers_are_skipped() -> None:
    filled = b"\xff\xff\xff" + TABLES + b"\xff\xff" + b"\x00\x41\xff\x00" + sof(YCC)
    data = SOI + filled + sos(1, 2, 3) + DATA + b"\xff\xff\xff" + EOI
    info = read_jpeg_info(data)
    assert (info.scans, info.truncated) == (1, False)


@pytest.mark.parametrize("padding", [0, 1, 2, 3])
def test_markers_that_straddle_two_reads_are_seen(padding: int) -> None:
    chunk = 1 << 18
    head = SOI + TABLES + sof(YCC) + sos(1, 2, 3)
    for restart in (b"", b"\xff\xd3"):
        data = head + b"\x01" * (chunk - padding) + restart + EOI
        info = read_jpeg_info(data)
        assert (info.scans, info.truncated) == (1, False)


def test_the_height_may_stand_behind_the_first_scan() -> None:
    frame = sof(YCC, size=(40, 0))
    dnl = segment(0xDC, struct.pack(">H", 24))
    data = SOI + TABLES + frame + sos(1, 2, 3) + DATA + dnl + EOI
    assert read_jpeg_info(data).height == 24
    assert read_jpeg_info(data, scans=False).height == 24
    with pytest.raises(ImageReadError, match="height is 0"):
        read_jpeg_info(one_scan(TABLES, frame))


@pytest.mark.parametrize(
    ("marker", "progressive", "arithmetic"),
    [
        (0xC0, False, False),
        (0xC1, False, False),
        (0xC2, True, False),
        (0xC9, False, True),
        (0xCA, True, True),
    ],
)
def test_every_dct_frame_is_read(marker: int, progressive: bool, arithmetic: bool) -> None:
    info = read_jpeg_info(one_scan(TABLES, sof(YCC, marker)))
    assert (info.progressive, info.arithmetic) == (progressive, arithmetic)


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF])
def test_lossless_and_hierarchical_frames_are_refused(marker: int) -> None:
    with pytest.raises(ImageReadError, match=r"lossless or hierarchical.*convert it to PNG"):
        read_jpeg_info(one_scan(TABLES, sof(YCC, marker)))


def test_12_bit_samples_are_reported() -> None:
    assert read_jpeg_info(one_scan(TABLES, sof(YCC, 0xC1, precision=12))).precision == 12


@pytest.mark.parametrize("progressive", [False, True])
def test_every_cut_is_either_a_truncated_image_or_one_error(
    photo: np.ndarray, progressive: bool
) -> None:
    data = pillow_jpeg(photo, quality=20, progressive=progressive)
    first_scan = data.index(b"\xff\xda") + 2 + 12
    for length in range(len(data)):
        if length < first_scan:
            with pytest.raises(ImageReadError, match=r"truncated|no JPEG"):
                read_jpeg_info(data[:length])
        else:
            info = read_jpeg_info(data[:length])
            assert info.truncated is True
            assert info.qf == 20


def test_a_new_image_before_the_end_marker_means_a_truncated_one() -> None:
    whole = one_scan(TABLES, sof(YCC))
    assert read_jpeg_info(whole[: -len(EOI)] + whole).truncated is True


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (SOI + EOI, "no image"),
        (SOI + TABLES + EOI, "no image"),
        (SOI + TABLES + sof(YCC) + EOI, "no image"),
        (SOI + TABLES + sos(1) + EOI, "before the frame header"),
        (one_scan(TABLES, sof(YCC), sof(YCC)), "two frame headers"),
        (one_scan(dqt(0, LUMA), sof(YCC)), "table 1 is missing"),
        (one_scan(TABLES, dqt(1, np.zeros((8, 8))), sof(YCC)), "step of 0"),
        (one_scan(segment(0xDB, bytes(31)), sof(YCC)), "table is damaged"),
        (one_scan(segment(0xDB, b"\x05" + bytes(64)), sof(YCC)), "table is damaged"),
        (one_scan(segment(0xDB, b"\x20" + bytes(256)), sof(YCC)), "table is damaged"),
        (one_scan(TABLES, segment(0xC0, b"\x08\x00")), "frame header is too short"),
        (one_scan(TABLES, sof([])), "frame header is too short"),
        (one_scan(TABLES, sof([(0, 1, 0)])), "sampling factors"),
        (one_scan(TABLES, sof([(1, 1, 4)])), "sampling factors"),
        (one_scan(TABLES, sof(YCC, size=(0, 24))), "width is 0"),
        (SOI + TABLES + sof(YCC) + segment(0xDA, b"\x03\x01"), "scan header is too short"),
        (SOI + b"\xff\xe1\x00\x01" + TABLES, "length 1"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "no JPEG"),
        (b"", "no JPEG"),
    ],
)
def test_what_cannot_be_an_image_is_one_error_that_names_file_and_cause(
    data: bytes, what: str, tmp_path: Path
) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(data)
    for scans in (True, False):
        with pytest.raises(ImageReadError, match=rf"broken\.jpg.*({what})"):
            read_jpeg_info(path, scans=scans)


def test_no_more_is_read_than_the_header_needs(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CountingStream(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    data = pillow_jpeg(photo, quality=90, icc_profile=bytes(200_000), comment=b"x" * 5000)
    stream = CountingStream(data)
    monkeypatch.setattr(header_module, "open_source", lambda source: stream)
    info = read_jpeg_info(data, scans=False)
    assert (info.qf, info.scans, info.truncated) == (90, None, None)
    assert stream.taken < 300  # tables, frame and scan header, and four bytes of each segment


def test_paths_strings_and_bytes_give_the_same(photo: np.ndarray, tmp_path: Path) -> None:
    data = compress_jpeg(photo, 33, orientation=8)
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    for source in (path, str(path), data, bytearray(data), memoryview(data)):
        info = read_jpeg_info(source)
        assert (info.qf, info.orientation, info.scans) == (33, 8, 1)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"absent\.jpg does not exist"):
        read_jpeg_info(tmp_path / "absent.jpg")
    with pytest.raises(ImageReadError, match=f"{tmp_path.name}.*directory"):
        read_jpeg_info(tmp_path)
    with pytest.raises(ImageReadError, match="NoneType"):
        read_jpeg_info(None)  # type: ignore[arg-type]


def test_info_can_be_sent_to_a_worker_and_not_be_overwritten(photo: np.ndarray) -> None:
    info = read_jpeg_info(compress_jpeg(photo, 33))
    copy = pickle.loads(pickle.dumps(info))
    np.testing.assert_array_equal(copy.qtables, info.qtables)
    with pytest.raises(ValueError, match="read-only"):
        info.qtables[0, 0, 0] = 1


def test_is_jpeg_looks_at_the_signature(photo: np.ndarray) -> None:
    assert is_jpeg(compress_jpeg(photo, 50))
    assert not is_jpeg(b"\xff\xd8")
    assert not is_jpeg(b"\x89PNG")


def test_a_file_of_millions_of_segments_is_refused(photo: np.ndarray) -> None:
    data = compress_jpeg(photo, 50)
    comment = b"\xff\xfe\0\2"
    assert read_jpeg_info(data[:2] + comment * 9000 + data[2:]).qf == 50
    with pytest.raises(ImageReadError, match="more than 10000 marker segments"):
        read_jpeg_info(data[:2] + comment * 100_000 + data[2:])
