"""The command ``jpeg-preproc benchmark``, from a checkout."""

import sys

from jpeg_preproc.cli.stopping import stop_during_imports

if __name__ == "__main__":
    stop_during_imports("start again")  # what follows takes seconds
    from jpeg_preproc.cli.benchmark import main

    sys.exit(main())
