"""Train a restorer from an mmengine config."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "example:\n  python tools/train.py "
            "configs/restorers/gridunet/gridunet_base_cpu_5k.py --resume"
        ),
    )
    parser.add_argument("config", help="an mmengine config of configs/restorers")
    parser.add_argument("--work-dir", help="logs and checkpoints; default work_dirs/<config name>")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the work dir's last checkpoint"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="settings to change, as key=value"
    )
    return parser.parse_args()


def main() -> None:
    """Build the runner and train."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = args.work_dir or f"work_dirs/{Path(args.config).stem}"
    cfg.resume = args.resume
    Runner.from_cfg(cfg).train()
    print(f"checkpoints and logs: {cfg.work_dir}")


if __name__ == "__main__":
    main()
