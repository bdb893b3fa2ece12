"""Write what bootstrap.py installs, and the weights that are shipped, as a CycloneDX 1.6 SBOM.

All of it is read from tools/locks and from the manifests of the weights: nothing is asked of a
registry, and equal files give equal bytes.
"""

from __future__ import annotations

if __name__ == "__main__":  # Ctrl-C in one line from here on
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports("start again")

import argparse
import configparser
import csv
import json
import re
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.io import write_json_atomic

ROOT = Path(__file__).resolve().parents[1]
_LOCK = ROOT / "tools" / "locks" / "all.txt"
_WEIGHTS = ROOT / "jpeg_preproc" / "restorers"
_DEMO = ROOT / "jpeg_preproc" / "demo"
_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<where>[^\\]+?))? \\$"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def packages(lock: str) -> Iterator[dict[str, Any]]:
    """Yield a component for each package of a lock file, with the hashes of its files.

    Args:
        lock: Text of the file, as ``uv pip compile --generate-hashes`` writes it.
    """
    for entry in re.split(r"\n(?=\S)", lock):
        found = _PIN.match(entry.split("\n")[0])
        if found is None:
            continue
        purl = f"pkg:pypi/{found['name'].lower()}@{found['version']}"
        page = f"https://pypi.org/project/{found['name']}/{found['version']}/#files"
        files = [{"alg": "SHA-256", "content": digest} for digest in _HASH.findall(entry)]
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": purl,
            "name": found["name"],
            "version": found["version"],
            "purl": purl,
            "externalReferences": [{"type": "distribution", "url": page, "hashes": files}],
        }
        if found["where"]:
            component["properties"] = [{"name": "pip:marker", "value": found["where"]}]
        yield component


def models() -> Iterator[dict[str, Any]]:
    """Yield a component for each weights file that is shipped."""
    for manifest in sorted(_WEIGHTS.glob("*/*.json")):
        about = json.loads(manifest.read_text("utf-8"))
        yield _model(
            f"{manifest.parent.name}/{manifest.stem}.safetensors", about["sha256"], about["licence"]
        )
    with (_DEMO / "files.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["file"].startswith("weights/"):
                yield _model(f"demo/{row['file']}", row["sha256"], row["licence"])


def _model(name: str, digest: str, licence: str) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{name}",
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": [{"license": {"name": licence}}],
    }


def document() -> dict[str, Any]:
    """Return the whole bill of materials."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    about = config["metadata"]
    parts = [*packages(_LOCK.read_text("utf-8")), *models()]
    own = f"pkg:pypi/{about['name'].replace('_', '-')}@{about['version']}"
    serial = uuid.uuid5(uuid.NAMESPACE_URL, own + json.dumps(parts, sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": own,
                "name": about["name"],
                "version": about["version"],
                "description": about["description"],
                "licenses": [{"license": {"id": about["license"]}}],
                "purl": own,
            }
        },
        "components": parts,
        "dependencies": [{"ref": own, "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file, say where, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/sbom.py build/sbom.cdx.json",
    )
    parser.add_argument("out", type=Path, help="JSON file to write")
    args = parser.parse_args(argv)

    def work() -> int:
        made = document()
        print(f"{len(made['components'])} components: {write_json_atomic(args.out, made)}")
        return DONE

    return ended(work, "start again")


if __name__ == "__main__":
    sys.exit(main())
