"""The command, run in this process."""

from __future__ import annotations

import pytest

from jpeg_preproc.cli import main


@pytest.fixture
def command(capsys):
    """``command('info', path)`` -> exit code, standard output, standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse
            code = end.code
        output = capsys.readouterr()
        return code, output.out, output.err

    return run
