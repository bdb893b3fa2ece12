"""``jpeg-preproc restore`` as it is typed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc import JpegRestorer


@pytest.fixture
def folder(tmp_path, photo):
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    Image.fromarray(photo).save(source / "a.jpg", quality=10)
    Image.fromarray(photo[:50]).save(source / "deep/b.png")
    (source / "notes.txt").write_text("notes")
    return source


def test_a_folder_and_again(command, folder, small_weights, tmp_path):
    out = tmp_path / "out"
    code, output, _ = command("restore", folder, "--restorer", small_weights, out)
    assert code == 0
    assert "2 restored, 0 found done" in output
    assert "1 from the file's tables, 1 estimated from pixels" in output
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert found == ["a.png", "deep/b.png"]
    code, output, _ = command("restore", folder, out, "--restorer", small_weights)
    assert (code, "0 restored, 2 found done" in output) == (0, True)


def test_a_file_and_its_options(command, folder, small_weights, tmp_path):
    source, target = folder / "a.jpg", tmp_path / "r.webp"
    options = ("--restorer", small_weights, "--format", "webp", "--qf", 35, "--tile", 64)
    code, output, _ = command("restore", source, target, *options)
    assert code == 0
    assert "r.webp: restored, QF 35 (given)" in output
    with Image.open(target) as picture:
        expected = JpegRestorer(small_weights, tile=64)(source, qf=35).image
        np.testing.assert_array_equal(np.asarray(picture), expected)


def test_consistent_results_are_others_than_those_without(command, folder, small_weights, tmp_path):
    arguments = ("restore", folder / "a.jpg", tmp_path / "r.png", "--restorer", small_weights)
    for options, on in (((), False), (("--consistent",), True)):
        code, output, _ = command(*arguments, *options)
        assert code == 0 and "restored, QF" in output
        with Image.open(tmp_path / "r.png") as picture:
            expected = JpegRestorer(small_weights, consistent=on)(folder / "a.jpg").image
            np.testing.assert_array_equal(np.asarray(picture), expected)
        assert "found done" in command(*arguments, *options)[1]


def test_what_is_skipped_is_listed(command, folder, small_weights, tmp_path):
    (folder / "bad.jpg").write_text("no image")
    code, output, errors = command("restore", folder, tmp_path / "out", "--restorer", small_weights)
    assert code == 1
    assert "2 restored" in output
    assert "Skipped 1:" in errors
    assert str(folder / "bad.jpg") in errors


@pytest.mark.parametrize(
    "arguments,message",
    [
        (("a.jpg", "out", "--restorer", "nonesuch"), "shipped are"),
        (("a.jpg", "out", "--device", "gpu"), "give 'cpu' or 'cuda:0'"),
        (("a.jpg", "out", "--quality", 90), "pass --format jpeg"),
        (("a.jpg", "out", "--format", "jpeg", "--quality", 0), "1 to 100"),
        (("a.jpg", "out", "--qf", 101), "101 is outside 1-100"),
        (("a.jpg", "out", "--qf", "some"), "none of auto, file, blind"),
        (("a.jpg", "out", "--tile", 0), "no whole number from 1"),
        (("a.jpg", "a.jpg"), "would be written as png"),
        (("a.jpg",), "the following arguments are required"),
        (("absent.jpg", "out"), "absent.jpg does not exist"),
        ((".", "."), "is an input folder"),
    ],
)
def test_refusals_are_one_message_and_write_nothing(
    command, folder, monkeypatch, arguments, message
):
    monkeypatch.chdir(folder)
    code, output, errors = command("restore", *arguments)
    assert (code, output) == (2, "")
    assert message in " ".join(errors.split())
    assert "Traceback" not in errors
    assert not (folder / "out").exists()


def test_the_top_level_says_which_commands_there_are(command):
    code, output, _ = command("--help")
    assert code == 0
    assert all(name in output for name in ("restore", "info", "models"))
    assert command("--version")[1].startswith("jpeg_preproc ")
    for arguments in ((), ("nonesuch",)):
        code, _, errors = command(*arguments)
        assert code == 2
        assert "COMMAND" in errors


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_goes_on(tmp_path, photo, small_weights, command, number, code):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    large = np.tile(photo, (4, 3, 1))
    for name in range(24):
        Image.fromarray(large).save(source / f"{name}.jpg", quality=20)
    arguments = [str(source), str(out), "--restorer", str(small_weights)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "jpeg_preproc", "restore", *arguments],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell started in the background are deaf to SIGINT, and their children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (out / "0.png").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == code, errors
    assert "the same command goes on from here" in errors
    done = sorted(path.name for path in out.iterdir())
    assert 1 <= len(done) < 24
    assert all(name.endswith(".png") and not name.startswith(".") for name in done)
    code, output, _ = command("restore", *arguments)
    assert code == 0
    assert f"{24 - len(done)} restored, {len(done)} found done" in output
