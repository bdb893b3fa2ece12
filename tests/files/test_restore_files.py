"""Files restored: pixels, resume, metadata, and what is skipped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms, ImageOps

from jpeg_preproc import JpegRestorer
from jpeg_preproc.errors import DatasetError, FileError
from jpeg_preproc.files import FileRestorer, Job, output_held, restore_files
from jpeg_preproc.files import restore as restore_module
from jpeg_preproc.jpeg.encode import Encoding


@pytest.fixture(scope="module")
def restorer(small_weights):
    return JpegRestorer(small_weights, tile=64)


@pytest.fixture
def jobs(tmp_path, photo):
    """A JPEG, a grey one and a PNG that was a JPEG."""
    picture = Image.fromarray(photo)
    picture.save(tmp_path / "a.jpg", quality=20)
    picture.convert("L").save(tmp_path / "b.jpg", quality=40)
    with Image.open(tmp_path / "a.jpg") as decoded:
        decoded.save(tmp_path / "c.png")
    names = ("a.jpg", "b.jpg", "c.png")
    return [Job(tmp_path / name, tmp_path / "out" / f"{name[0]}.png") for name in names]


def shown(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def stamps(jobs):
    return [job.target.stat().st_mtime_ns for job in jobs]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_the_engines_pixels(jobs, restorer, workers):
    summary = restore_files(jobs, FileRestorer(restorer), workers)
    assert (summary.new, len(summary.done), summary.skipped) == (3, 3, [])
    assert summary.quality_counts() == {"file": 2, "estimated": 1}
    for job in jobs:
        np.testing.assert_array_equal(shown(job.target), restorer(job.source).image)


def test_a_second_run_changes_nothing(jobs, restorer):
    settings = FileRestorer(restorer)
    restore_files(jobs, settings)
    before = stamps(jobs)
    again = restore_files(jobs, settings)
    assert (again.new, len(again.done)) == (0, 3)
    assert stamps(jobs) == before
    assert {outcome.qf for outcome in again.done} == {20, 40}


@pytest.mark.parametrize(
    "change", [{"qf": 30}, {"qf": "blind"}, {"keep_exif": True}], ids=lambda change: str(change)
)
def test_other_settings_restore_again(jobs, restorer, change):
    restore_files(jobs, FileRestorer(restorer))
    assert restore_files(jobs, FileRestorer(restorer, **change)).new == 3
    assert restore_files(jobs, FileRestorer(restorer, **change)).new == 0


def test_another_dtype_or_network_restores_again(jobs, restorer, small_weights):
    restore_files(jobs, FileRestorer(restorer))
    assert restore_files(jobs, FileRestorer(JpegRestorer(small_weights, dtype="bf16"))).new == 3
    # A network without a manifest cannot be told from another one: never taken for done.
    bare = FileRestorer(JpegRestorer(restorer.network))
    assert restore_files(jobs, bare).new == restore_files(jobs, bare).new == 3


def test_another_share_of_the_correction_restores_again(jobs, restorer, gentle_weights):
    restore_files(jobs, FileRestorer(restorer))
    settings = FileRestorer(JpegRestorer(gentle_weights))
    assert restore_files(jobs, settings).new == 3
    assert restore_files(jobs, settings).new == 0


def test_a_changed_source_is_restored_again(jobs, restorer, photo):
    settings = FileRestorer(restorer)
    restore_files(jobs, settings)
    Image.fromarray(photo[::-1]).save(jobs[0].source, quality=20)
    assert restore_files(jobs, settings).new == 1
    np.testing.assert_array_equal(shown(jobs[0].target), restorer(jobs[0].source).image)


@pytest.mark.parametrize("kind,suffix", [("webp", ".webp"), ("jpeg", ".jpg")])
def test_other_formats_resume_too(jobs, restorer, kind, suffix):
    jobs = [Job(job.source, job.target.with_suffix(suffix)) for job in jobs]
    settings = FileRestorer(restorer, encoding=Encoding(kind, 90))
    assert restore_files(jobs, settings).new == 3
    assert restore_files(jobs, settings).new == 0
    other = FileRestorer(restorer, encoding=Encoding(kind, 80))
    assert restore_files(jobs, other).new == (3 if kind == "jpeg" else 0)
    if kind == "webp":
        np.testing.assert_array_equal(shown(jobs[0].target), restorer(jobs[0].source).image)


def test_a_file_of_somebody_else_is_replaced_only_if_asked(jobs, restorer, photo):
    jobs[0].target.parent.mkdir()
    Image.fromarray(photo).save(jobs[0].target)
    mine = jobs[0].target.read_bytes()
    summary = restore_files(jobs, FileRestorer(restorer))
    assert [problem.path for problem in summary.skipped] == [str(jobs[0].source)]
    assert "--overwrite" in summary.skipped[0].reason
    assert jobs[0].target.read_bytes() == mine
    assert restore_files(jobs, FileRestorer(restorer, overwrite=True)).new == 1
    assert jobs[0].target.read_bytes() != mine


def test_damaged_and_unsupported_files_are_listed_and_the_rest_is_done(
    jobs, restorer, photo, tmp_path
):
    data = jobs[0].source.read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.jpg").write_text("no image")
    Image.fromarray(photo).convert("CMYK").save(tmp_path / "cmyk.jpg")
    names = ["text.jpg", "cut.jpg", "cmyk.jpg", "absent.jpg"]
    bad = [Job(tmp_path / name, tmp_path / "out" / name) for name in names]
    summary = restore_files([*bad, *jobs], FileRestorer(restorer))
    assert summary.new == 3
    paths = [problem.path for problem in summary.skipped]
    assert paths == sorted(str(tmp_path / name) for name in names)
    for problem in summary.skipped:
        assert problem.path in problem.reason
    assert not any(job.target.exists() for job in bad)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind,suffix", [("png", ".png"), ("webp", ".webp"), ("jpeg", ".jpg")])
def test_the_picture_stands_as_before_and_keeps_its_metadata(
    tmp_path, photo, restorer, orientation, kind, suffix
):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Artist] = "somebody"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = tmp_path / "a.jpg"
    Image.fromarray(photo[:48, :80]).save(source, quality=90, exif=exif, icc_profile=profile)
    with Image.open(source) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture)).astype(int)
    for keep in (False, True):
        job = Job(source, tmp_path / f"{keep}{suffix}")
        settings = FileRestorer(restorer, encoding=Encoding(kind, 95), keep_exif=keep)
        assert restore_files([job], settings).new == 1
        with Image.open(job.target) as picture:
            found = picture.getexif()
            assert picture.info["icc_profile"] == profile
            # Viewers that heed orientation and those that do not show the same.
            for view in (picture, ImageOps.exif_transpose(picture)):
                assert view.size == upright.shape[1::-1]
                assert np.abs(np.asarray(view).astype(int) - upright).mean() < 16
        assert found.get(ExifTags.Base.Artist) == ("somebody" if keep else None)
        assert found.get(ExifTags.Base.Orientation) == (1 if keep else None)


def test_a_target_that_cannot_be_written_ends_the_run(jobs, restorer, tmp_path):
    (tmp_path / "file").touch()
    blocked = Job(jobs[0].source, tmp_path / "file" / "a.png")
    with pytest.raises(FileError, match=r"a\.png cannot be written"):
        restore_files([blocked], FileRestorer(restorer))


@pytest.mark.parametrize(
    "error,is_skipped",
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (RuntimeError("a mistake of ours"), False),
    ],
)
def test_too_large_an_image_is_skipped_and_mistakes_are_not_hidden(
    jobs, restorer, monkeypatch, error, is_skipped
):
    def fail(self, image, **options):
        raise error

    monkeypatch.setattr(JpegRestorer, "__call__", fail)
    if is_skipped:
        summary = restore_files(jobs[:1], FileRestorer(restorer))
        assert "smaller --tile" in summary.skipped[0].reason
    else:
        with pytest.raises(RuntimeError, match="a mistake"):
            restore_files(jobs[:1], FileRestorer(restorer))


def test_a_kill_while_writing_leaves_no_half_file(jobs, restorer, monkeypatch):
    def stop(path, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(restore_module, "write_bytes_atomic", stop)
    with pytest.raises(KeyboardInterrupt):
        restore_files(jobs, FileRestorer(restorer))
    monkeypatch.undo()
    assert not jobs[0].target.exists()
    assert restore_files(jobs, FileRestorer(restorer)).new == 3


def test_progress_counts_tiles_of_large_images(jobs, restorer):
    calls = []
    restore_files(jobs[:2], FileRestorer(restorer), on_progress=lambda *call: calls.append(call))
    done = [fraction for fraction, _ in calls]
    assert done == sorted(done)
    assert done[-1] == 2
    assert 0 < done[0] < 1
    assert len({fraction for fraction in done if 0 < fraction < 1}) >= 1


def test_a_result_whose_name_is_too_long_skips_that_file_alone(jobs, restorer, tmp_path):
    name = "n" * 251
    long = Job(jobs[0].source.rename(tmp_path / f"{name}.jpg"), tmp_path / "out" / f"{name}.webp")
    settings = FileRestorer(restorer, encoding=Encoding("webp"))
    summary = restore_files([long, jobs[1]], settings)
    assert [outcome.job for outcome in summary.done] == [jobs[1]]
    assert "the name of its result is too long" in summary.skipped[0].reason
    fits = Job(long.source, long.target.with_suffix(".png"))
    assert restore_files([fits], FileRestorer(restorer)).new == 1


def test_a_folder_is_written_by_one_run_at_a_time_and_cleared_of_what_others_left(jobs, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".a.png.0123abcd").touch()
    with output_held(jobs, out):
        assert list(out.iterdir()) == []
        with pytest.raises(DatasetError, match="out is being written by another process"):
            output_held(jobs, out).__enter__()
        single = [Job(jobs[0].source, out / "single.png")]
        with output_held(single, out / "single.png"):  # a file of its own is not held
            pass
    with output_held(jobs, out):
        pass
    assert list(out.iterdir()) == []
