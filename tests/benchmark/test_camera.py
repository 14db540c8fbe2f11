"""Images as a camera develops them."""

import numpy as np
import pytest

from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import camera, make_test_set
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import LUMA

COLOURS = np.tile([[0, 1], [1, 2]], (12, 14))


def mosaic(image):
    return np.take_along_axis(image, COLOURS[..., None], 2)[..., 0]


def test_the_interpolation_is_exact_where_colours_change_evenly():
    """Away from borders; what is seen stays as it is everywhere."""
    rows, columns = np.indices(COLOURS.shape) / 30
    image = np.stack([0.1 + rows, 0.2 + columns, 0.3 + (rows + columns) / 2], 2)
    made = camera.demosaic(mosaic(image), COLOURS)
    # Their differences are even, too, as the method takes for granted.
    inside = (slice(2, -2), slice(2, -2))
    even = np.broadcast_to((rows + 2 * columns)[..., None], image.shape)
    even = even + [0.1, 0.4, 0.2]
    np.testing.assert_allclose(
        camera.demosaic(mosaic(even), COLOURS)[inside], even[inside], atol=1e-12
    )
    np.testing.assert_array_equal(mosaic(made), mosaic(image))


def test_a_flat_scene_stays_flat():
    scene = np.broadcast_to([0.2, 0.5, 0.8], (33, 41, 3))
    made = camera.develop(np.random.default_rng(0), scene, noise_std=0.0)
    np.testing.assert_allclose(made, scene, atol=1e-9)


def test_noise_is_larger_in_shadows_and_mostly_removed():
    """It grows with the root of the light, and sRGB stretches shadows by more."""
    rng = np.random.default_rng(0)
    dark, middle = (
        camera.develop(rng, np.full((64, 64, 3), level), noise_std=0.05)[..., 1]
        for level in (0.25, 0.5)
    )
    assert 0.01 < middle.std() < 0.04
    assert 1.1 < dark.std() / middle.std() < 1.4
    for image, level in ((dark, 0.25), (middle, 0.5)):
        np.testing.assert_allclose(image.mean(), level, atol=0.01)


def test_edges_are_sharpened():
    scene = np.full((40, 40, 3), 0.3)
    scene[:, 20:] = 0.7
    made = camera.develop(np.random.default_rng(0), scene, noise_std=0.0) @ LUMA
    assert made.max() > 0.75 and made.min() < 0.25
    np.testing.assert_allclose(made[20, [4, -4]], [0.3, 0.7], atol=1e-3)


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
