"""The command ``jpeg-preproc eval-downstream``, from a checkout."""

import sys

from jpeg_preproc.cli.stopping import stop_during_imports

if __name__ == "__main__":
    stop_during_imports()  # what follows takes seconds
    from jpeg_preproc.cli.eval_downstream import main

    sys.exit(main())
