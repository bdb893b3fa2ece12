"""Exit codes of the command and of the scripts in ``tools/``."""

from __future__ import annotations

DONE, SOME_SKIPPED, REFUSED = 0, 1, 2
# What shells report of a program that SIGINT, SIGPIPE or SIGTERM has ended: 128 and its number.
INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143
