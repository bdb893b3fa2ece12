"""The command ``jpeg-preproc``: parse, call the package, print."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``jpeg-preproc`` and return the exit code.

    Args:
        argv: Arguments; without, those that this process was started with. Ctrl-C and SIGTERM then
            end it during the imports, too.
    """
    if argv is None:
        from jpeg_preproc.cli.stopping import stop_during_imports

        stop_during_imports()
    from jpeg_preproc.cli.command import run_command

    return run_command(argv)
