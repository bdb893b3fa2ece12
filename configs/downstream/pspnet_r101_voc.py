"""PSPNet R101-D8 on PASCAL VOC 2012 val: mmseg's own config, tested on one image at a time.

The segmenter of the DAGN paper's experiments. Weights for it: any checkpoint of
``pspnet_r101-d8_4xb4-20k_voc12aug-512x512`` that stock mmseg loads.
"""

# Not ``mmseg::``, which mmengine resolves by a distribution name that the forks lack.
_base_ = (
    __import__("mmseg").__path__[0]
    + "/.mim/configs/pspnet/pspnet_r101-d8_4xb4-20k_voc12aug-512x512.py"
)

data_root = "data/VOCdevkit/VOC2012"
