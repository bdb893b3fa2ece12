"""The lock files hold what is asked for, and a hash for each file."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "tools" / "locks"
NOT_LOCKED = {"ray"}  # of the extra 'scale', which bootstrap.py does not install


def locked(path: Path) -> dict[str, list[Requirement]]:
    """Return the pinned requirements of a lock file by name."""
    found: dict[str, list[Requirement]] = {}
    for entry in re.split(r"\n(?=\S)", path.read_text("utf-8")):
        if not entry.startswith("#"):
            assert "--hash=sha256:" in entry, entry
            requirement = Requirement(entry.split(" \\\n")[0])
            found.setdefault(requirement.name, []).append(requirement)
    return found


def wanted() -> list[Requirement]:
    """Return what setup.cfg and the tested versions ask for."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = config["options"]["install_requires"].split("\n")
    for extra in config["options.extras_require"].values():
        texts += extra.split("\n")
    texts += (ROOT / "tools" / "constraints.txt").read_text().split("\n")
    lines = [line.split("#")[0].strip() for line in texts]
    return [Requirement(line) for line in lines if line]


LOCKED = [one for one in wanted() if one.name not in NOT_LOCKED]


@pytest.mark.parametrize("requirement", LOCKED, ids=str)
def test_what_is_asked_for_is_locked(requirement: Requirement) -> None:
    pins = locked(LOCKS / "all.txt")[requirement.name]
    versions = [next(iter(pin.specifier)).version for pin in pins]
    assert any(requirement.specifier.contains(version) for version in versions), versions


def test_what_compiles_is_of_the_same_versions() -> None:
    everything = locked(LOCKS / "all.txt")
    for name, pins in locked(LOCKS / "torch.txt").items():
        assert {str(pin) for pin in pins} == {str(pin) for pin in everything[name]}
