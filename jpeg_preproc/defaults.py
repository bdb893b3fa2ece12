"""Defaults that both the package and its command lines state; here, torch is not imported."""

#: Side in pixels of the tiles that large images are cut into. With the surroundings that `base`
#: sees, a tile takes some 400 MB while it is restored, and a larger one is hardly faster.
TILE = 768

#: Weights that restore images to be looked at.
IMAGE_RESTORER = "base"

#: Weights that restore the images of a detector or segmenter: more accuracy than with `base` at a
#: tenth of its time; configs/restorers/gridunet/README.md has the figures.
MODEL_RESTORER = "nano-task"
