"""Exit codes, the same as those of the scripts in ``tools/``."""

from __future__ import annotations

DONE, SOME_SKIPPED, REFUSED, INTERRUPTED = 0, 1, 2, 130
