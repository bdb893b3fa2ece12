"""What a command says and returns when it is stopped, or the system refuses it something."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from importlib import metadata

import pytest
from PIL import Image

from jpeg_preproc import __version__
from jpeg_preproc.cli.ending import ended
from jpeg_preproc.errors import FileError, ReportedElsewhereError


def raising(error: BaseException):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (FileError("x.jpg is no file"), 2, "error: x.jpg is no file"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), 2, "/a/b: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device; see to it"),
        (OSError("without a number"), 2, "without a number; see to it"),
        (KeyboardInterrupt(), 130, "Stopped; the same command goes on from here."),
        (BrokenPipeError(), 141, ""),
        (ReportedElsewhereError("said already"), 0, ""),
    ],
)
def test_whatever_ends_a_command_is_one_line_and_a_code(capsys, error, code, words):
    assert ended(raising(error)) == code
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.count("\n") == (1 if words else 0)
    assert words in found.err


def test_a_fault_of_this_package_is_no_line_but_a_traceback():
    with pytest.raises(ZeroDivisionError):
        ended(raising(ZeroDivisionError()))


@pytest.fixture
def heeded():
    """What a shell starts in the background is deaf to Ctrl-C, and this process may be."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_the_signals_are_as_they_were_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert ended(lambda: os.kill(os.getpid(), signal.SIGTERM) or 7) == 143
    assert ended(lambda: os.kill(os.getpid(), signal.SIGINT) or 7) == 130
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_a_signal_becomes_on_its_way_out_is_still_one_line(capsys, number, code):
    def work() -> int:
        try:
            os.kill(os.getpid(), number)
            raise AssertionError("no signal came")
        except KeyboardInterrupt:
            raise ImportError("numpy.core.multiarray failed to import") from None

    assert ended(work) == code
    assert capsys.readouterr().err == "Stopped; the same command goes on from here.\n"


def test_a_second_signal_ends_what_the_first_does_not():
    script = textwrap.dedent("""
        import os, signal
        from jpeg_preproc.cli.ending import ended

        def work():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                signal.pause()  # clearing up hangs

        ended(work)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert done.returncode == 143


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_imports_is_one_line(number, code):
    script = textwrap.dedent("""
        from jpeg_preproc.cli.stopping import stop_during_imports
        stop_during_imports("start again")
        import os, signal
        try:
            os.kill(os.getpid(), signal.%s)
            signal.pause()
        except BaseException:
            print("an import would have caught it")
    """)
    done = subprocess.run(
        [sys.executable, "-c", script % number.name],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "Stopped; start again.\n")


def test_a_reader_that_goes_away_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "jpeg_preproc", "models"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_copy_that_was_never_installed_runs(command, monkeypatch):
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert command("--version")[:2] == (0, f"jpeg_preproc {__version__}\n")
    assert command("models")[0] == 0


def test_an_output_below_a_file_is_one_line(command, tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "a.jpg")
    (tmp_path / "file").touch()
    code, _, errors = command("restore", tmp_path / "a.jpg", tmp_path / "file" / "out" / "x")
    assert code == 2
    assert "Traceback" not in errors
    assert "file" in errors


def test_an_output_below_a_forbidden_folder_is_one_line(command, tmp_path, photo, monkeypatch):
    Image.fromarray(photo).save(tmp_path / "a.jpg")
    out = tmp_path / "forbidden" / "out"
    stat = os.stat

    def refuse(path, *rest, **settings):
        if str(path).startswith(str(out)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, *rest, **settings)

    monkeypatch.setattr(os, "stat", refuse)  # tests may run as root, whom nothing is forbidden
    code, _, errors = command("restore", tmp_path / "a.jpg", out)
    assert code == 2
    assert f"{out}: Permission denied" in errors.replace("\n", "")
