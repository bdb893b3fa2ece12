"""Write a COCO or VOC dataset with its JPEG artifacts removed, ready for a stock config.

OUT/RESTORER is the tree of SRC with its images restored by those weights and stored lossless, and
everything else copied, so that a config reads it by data_root='OUT/RESTORER/'. Its manifest.json
records the restorer, the settings, and for each image its hashes and the quality it was taken for.

Image names stay what the annotations say (--names keep): 000000000139.jpg is then a PNG, which
OpenCV, Pillow and so mmcv read by content. No config and no annotation changes, and loaders that
build names themselves, as mmdet's for VOC, find their files. With --names suffix the file is called
000000000139.png, COCO annotations say so, and the manifest has the old name (source_path); mmseg
then needs img_suffix='.png', and mmdet's VOC and LVIS loaders do not find the images.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports()

import argparse
import sys
from collections.abc import Sequence

from jpeg_preproc.cli.arguments import QF_METAVAR, positive, quality, strength
from jpeg_preproc.cli.dataset import DatasetCommand, dataset_parser, run_dataset_command
from jpeg_preproc.datasets import DatasetTree, Execution, RewriteSummary
from jpeg_preproc.datasets.restore import (
    LOSSLESS_FORMATS,
    Restoration,
    local_devices,
    restoration_rows,
    restoration_variant,
    restore_dataset,
)
from jpeg_preproc.defaults import MODEL_RESTORER, TILE
from jpeg_preproc.distributed import Processes


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = dataset_parser(
        __doc__,
        "python tools/restore_dataset.py data/coco_jpeg/qf10 data/coco_qf10_restored "
        "--splits val2017",
    )
    parser.add_argument(
        "--restorer",
        default=MODEL_RESTORER,
        metavar="NAME|FILE",
        help="shipped weights (see `jpeg-preproc models`) or a .safetensors file; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--qf",
        type=quality,
        default="auto",
        metavar=QF_METAVAR,
        help="quality to restore by: auto and file take that of each file, blind none; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--device", default="cpu", help="cpu, cuda for all GPUs, or one as cuda:0; default: cpu"
    )
    parser.add_argument(
        "--dtype", choices=("fp32", "bf16", "fp16"), default="fp32", help="default: fp32"
    )
    parser.add_argument(
        "--consistent",
        action="store_true",
        help="move results to where their JPEG files say that the originals were; images restored "
        "by their own tables only, others are restored without",
    )
    parser.add_argument(
        "--strength",
        type=strength,
        metavar="0-1",
        help="share of the correction that is made; default: what the weights say, else 1",
    )
    parser.add_argument(
        "--tile",
        type=positive,
        default=TILE,
        metavar="N",
        help="side of the pieces that large images are cut into, pixels; less takes less memory; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--image-format",
        choices=LOSSLESS_FORMATS,
        default="png",
        help="both lossless; default: png",
    )
    parser.add_argument(
        "--names", choices=("keep", "suffix"), default="keep", help="see above; default: keep"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Restore a dataset and return the exit code."""
    args = parse_args(argv)
    how = Restoration(
        args.restorer,
        args.qf,
        args.dtype,
        args.tile,
        args.image_format,
        args.names == "suffix",
        args.consistent,
        args.strength,
    )

    def workers(processes: Processes) -> int:
        if args.device == "cpu":
            return processes.cores()
        return len(local_devices(args.device, processes))

    def rewrite(tree: DatasetTree, execution: Execution) -> RewriteSummary:
        devices: Sequence[str] = [args.device]
        if execution.executor != "ray":
            devices = local_devices(args.device, execution.processes)
        return restore_dataset(tree, args.out, how, devices, execution)

    command = DatasetCommand(
        name="restore_dataset",
        doing="restoring",
        written="images restored",
        check=lambda: restoration_variant(
            args.out, how, [args.device], check_devices=args.executor != "ray"
        ),
        workers=workers,
        rewrite=rewrite,
        rows=restoration_rows,
    )
    return run_dataset_command(args, command)


if __name__ == "__main__":
    sys.exit(main())
