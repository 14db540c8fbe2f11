"""Test sets of images as a camera develops them."""

import numpy as np
import pytest

from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import make_test_set
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import LUMA


def test_a_test_set(tmp_path):
    """LR images are developed, also with JPEG; gray images are named."""
    rng = np.random.default_rng(0)
    photo = (255 * rng.random((64, 64, 3))).astype(np.uint8)
    paths = [tmp_path / "photo.png", tmp_path / "gray.png"]
    for path, pixels in zip(paths, (photo, photo[..., :1]), strict=True):
        image_files.write_png(path, image_files.Image(pixels))
    options = dict(scales=[2], image_noise=3.0, jpeg_quality=90, camera=True)
    made = make_test_set(paths, tmp_path / "set", **options)
    assert made.names == ["photo"]
    assert made.problems == [f"{paths[1]}: is gray; a camera's image has colours"]
    lr = image_files.read(tmp_path / "set/lr_x2/photo.png").pixels
    make_test_set(paths[:1], tmp_path / "again", **options)
    again = image_files.read(tmp_path / "again/lr_x2/photo.png").pixels
    np.testing.assert_array_equal(lr, again)
    with pytest.raises(ValueError, match="other settings: camera"):
        make_test_set(paths, tmp_path / "set", **(options | {"camera": False}))
    # Halved colours, and no sensor sees all of them: little is left of these.
    kernel = np.full((2, 2), 0.25)
    plain = downscale(photo / 255, kernel, 2)
    left = [image - (image @ LUMA)[..., None] for image in (lr / 255, plain)]
    assert left[0].std() < 0.5 * left[1].std()
