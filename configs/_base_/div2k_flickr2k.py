"""As div2k.py, with Flickr2K's 2,650 images beside DIV2K's 800.

Set FLICKR2K to the folder of its images.
"""

_base_ = ["div2k.py"]

clean_data = ["DIV2K train", "Flickr2K"]
train_dataloader = dict(
    dataset=dict(
        sources=[
            dict(folder="{{$DIV2K:data/DIV2K}}/DIV2K_train_HR"),
            dict(folder="{{$FLICKR2K:data/Flickr2K/Flickr2K_HR}}"),
        ],
    ),
)
