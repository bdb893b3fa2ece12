"""What the trainings of our own restorers share: every kind of file, Muon, 24,000 steps.

``python tools/fetch_photos.py work_dirs/photos`` fetches the photographs; JPEG_PREPROC_PHOTOS names
another folder of them, JPEG_PREPROC_DATA that of the rest, laid out as ../shared/data.
"""

_base_ = ["cpu_5k.py"]

max_iters = 24000

clean_data = [
    "BSDS500 train and val but its last ten (290 images; research and education)",
    "T91 (those of its 91 images that are as large as a crop; research use)",
    "COCO train2017, 294 images halved (COCO terms, CC licences per image)",
    "119 photographs of Debian packages, reduced (free licences, listed with authors and SHA-256 "
    "in configs/restorers/debian_photos.csv), their pixels drawn half as often",
]

data_root = "{{$JPEG_PREPROC_DATA:../shared/data}}"
train_dataloader = dict(
    dataset=dict(
        sources=[
            dict(folder=f"{data_root}/restoration/bsds500/train"),
            # The last ten are kept for validation.
            dict(folder=f"{data_root}/restoration/bsds500/val", stop=-10),
            dict(folder=f"{data_root}/restoration/t91"),
            dict(folder=f"{data_root}/coco/train2017", shrink=2),
            dict(folder="{{$JPEG_PREPROC_PHOTOS:work_dirs/photos}}", weight=0.5),
        ],
        coding=dict(
            # Every quality, and those most that cost downstream models most.
            qf_ranges=[
                (1, 4, 0.03),
                (5, 30, 0.45),
                (31, 60, 0.25),
                (61, 98, 0.25),
                (99, 100, 0.02),
            ],
            full_chroma=0.1,
            grey=0.05,
            double=0.1,
            double_shifted=0.5,
            shifted=0.03,
            blind=0.1,
        ),
    )
)
val_dataloader = dict(dataset=dict(qfs=[10, 40, 80]))

# What a restorer errs by is more than JPEG does to the smoothest images at the highest qualities:
# sooner for nano and for what is trained for the task.
weights_strength = {"93": 1.0, "95": 0.8, "96": 0.6, "97": 0.4, "98": 0.2, "99": 0.1, "100": 0.0}
gentle_strength = {
    "90": 1.0,
    "92": 0.9,
    "93": 0.8,
    "94": 0.65,
    "95": 0.55,
    "96": 0.4,
    "97": 0.2,
    "98": 0.1,
    "100": 0.0,
}
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="MuonAdamW", lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4),
)
# Flat, then down to nothing; what is learnt at the flat rate is a start for longer trainings too.
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=200),
    dict(
        type="LinearLR",
        start_factor=1.0,
        end_factor=0.01,
        by_epoch=False,
        begin=max_iters // 2,
        end=max_iters,
    ),
]
