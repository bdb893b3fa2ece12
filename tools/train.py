"""The command ``jpeg-preproc train``, from a checkout."""

import sys

from jpeg_preproc.cli.stopping import GO_ON_TRAINING, stop_during_imports

if __name__ == "__main__":
    stop_during_imports(GO_ON_TRAINING)  # what follows takes seconds
    from jpeg_preproc.cli.train import main

    sys.exit(main())
