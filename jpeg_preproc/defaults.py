"""Defaults that both the package and its command lines state; here, torch is not imported."""

#: Side in pixels of the tiles that large images are cut into. With the surroundings that `base`
#: sees, a tile takes some 400 MB while it is restored, and a larger one is hardly faster.
TILE = 768

#: Images of more pixels are refused unless a caller allows them: a file of a few hundred bytes can
#: claim any number, and each pixel takes some 20 bytes while an image is restored.
MAX_PIXELS = 100_000_000

#: Weights that restore images to be looked at.
IMAGE_RESTORER = "base"

#: Weights that restore images for a detector or segmenter: on photographs more accuracy than with
#: `base`, in a third of its time; configs/restorers/gridunet/RESULTS.md has the figures.
MODEL_RESTORER = "small-task"

#: What is said of a config that is not there.
CONFIG_ABSENT = (
    "is no file; those of configs/ lie in the repository, beside the package and not in its wheel"
)
