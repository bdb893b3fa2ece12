"""GridUNet, the weights `base-task`, trained on: histories, and COCO as models meet it.

Goes on from the shipped `base`. Detectors and segmenters see photographs of COCO's size, whose own
light JPEG is a part of what they were trained on; here these are the clean images. Most are of the
qualities that cost models most; about half were cropped, resized or saved again.
"""

_base_ = ["gridunet_base_task_cpu_2k.py"]

max_iters = 3000

data_root = "{{$JPEG_PREPROC_DATA:../shared/data}}"
clean_data = [
    "COCO train2017, 294 images as they are (COCO terms, CC licences per image)",
    "BSDS500 train and val but its last ten (290 images; research and education)",
    "photographs of Debian packages, reduced, those as large as a crop (free licences, listed with "
    "authors and SHA-256 in configs/restorers/debian_photos.csv), their pixels drawn half as often",
]
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        # Crops that the weights were not trained on.
        seed=6,
        crop=256,
        sources=[
            dict(folder=f"{data_root}/coco/train2017"),
            dict(folder=f"{data_root}/restoration/bsds500/train"),
            dict(folder=f"{data_root}/restoration/bsds500/val", stop=-10),
            dict(folder="{{$JPEG_PREPROC_PHOTOS:work_dirs/photos}}", weight=0.5),
        ],
        coding=dict(
            qf_ranges=[
                (1, 4, 0.03),
                (5, 30, 0.57),
                (31, 60, 0.20),
                (61, 98, 0.18),
                (99, 100, 0.02),
            ],
            double=0.25,
            double_qf=(5, 95),
            double_shifted=0.6,
            shifted=0.1,
            resized=0.2,
            other_tables=0.05,
            believed="effective",
        ),
    ),
)
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], begin=100, end=max_iters),
]
weights_name = "base-task"
