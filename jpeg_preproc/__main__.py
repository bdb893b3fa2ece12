"""``python -m jpeg_preproc``: the command ``jpeg-preproc``."""

import sys

from jpeg_preproc.cli import main

if __name__ == "__main__":
    sys.exit(main())
