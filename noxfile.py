"""Run the tests that concern OpenMMLab on its own releases instead of the onedl forks.

``nox -s upstream`` compiles mmcv's operators, once, as ``tools/bootstrap.py`` does; later runs with
``nox -R -s upstream`` start at once. What follows ``--`` goes to pytest.
"""

import nox

PINS = "tools/constraints-upstream.txt"
BUILD_TOOLS = ("setuptools", "wheel", "ninja", "packaging", "psutil")
UPSTREAM = ("mmengine", "mmcv", "mmdet", "mmsegmentation", "ftfy", "regex")
TESTS = (
    "tests/openmmlab",
    "tests/demo",
    "tests/tools/test_eval_downstream.py",
    "tests/training",
)

nox.options.reuse_existing_virtualenvs = True


@nox.session(python="3.11")
def upstream(session: nox.Session) -> None:
    """mmengine, mmcv, mmdet and mmseg of tools/constraints-upstream.txt."""
    install = ("--no-build-isolation", "-c", PINS)
    session.install("-c", PINS, "torch", "torchvision", "numpy", *BUILD_TOOLS)
    # As in tools/bootstrap.py: without debug information it takes a third of the time.
    session.install(*install, *UPSTREAM, env={"CFLAGS": "-O2 -g0", "CXXFLAGS": "-O2 -g0"})
    session.install(*install, "-e", ".[openmmlab,train]", "pytest", "scikit-image")
    session.run("python", "-c", "import mmcv.ops, mmdet.apis, mmseg.apis")
    session.run("pytest", *(session.posargs or TESTS))
