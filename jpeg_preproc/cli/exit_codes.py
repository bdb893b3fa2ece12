"""Exit codes of the command and of the scripts in ``tools/``."""

from __future__ import annotations

DONE, SOME_SKIPPED, REFUSED, INTERRUPTED = 0, 1, 2, 130
