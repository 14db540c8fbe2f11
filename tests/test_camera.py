"""Images as a camera develops them."""

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import camera
from kernelgan_jax.pixels import LUMA

COLOURS = np.tile([[0, 1], [1, 2]], (12, 14))


def mosaic(image):
    return np.take_along_axis(image, COLOURS[..., None], 2)[..., 0]


def developed(rng, scene, **settings):
    noise = rng.standard_normal(scene.shape)
    return camera.develop(scene, noise, camera.Camera(**settings))


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
    scene = np.broadcast_to([0.2, 0.5, 0.8], (34, 42, 3))
    made = developed(np.random.default_rng(0), scene)
    np.testing.assert_allclose(made, scene, atol=1e-9)


def test_noise_is_larger_in_shadows_and_mostly_removed():
    """It grows with the root of the light, and sRGB stretches shadows by more."""
    rng = np.random.default_rng(0)
    dark, middle = (
        developed(rng, np.full((64, 64, 3), level), noise_std=0.05)[..., 1]
        for level in (0.25, 0.5)
    )
    assert 0.01 < middle.std() < 0.04
    assert 1.1 < dark.std() / middle.std() < 1.4
    for image, level in ((dark, 0.25), (middle, 0.5)):
        np.testing.assert_allclose(image.mean(), level, atol=0.01)


def test_edges_are_sharpened():
    scene = np.full((40, 40, 3), 0.3)
    scene[:, 20:] = 0.7
    made = developed(np.random.default_rng(0), scene) @ LUMA
    assert made.max() > 0.75 and made.min() < 0.25
    np.testing.assert_allclose(made[20, [4, -4]], [0.3, 0.7], atol=1e-3)


def test_a_perfect_camera_shows_the_scene():
    """Nothing is interpolated, smoothed or sharpened."""
    scene = np.random.default_rng(0).random((13, 18, 3))
    made = developed(np.random.default_rng(1), scene, filled_in=0, sharpening=0)
    np.testing.assert_allclose(made, scene, atol=1e-9)


def test_only_what_is_near_matters():
    """Up to `REACH`; images wrap around."""
    rng = np.random.default_rng(0)
    scene, noise = rng.random((48, 48, 3)), rng.standard_normal((48, 48, 3))
    settings = camera.Camera(noise_std=0.05)
    first = camera.develop(scene, noise, settings)
    changed = scene.copy()
    changed[2, 4] = 1 - changed[2, 4]
    rows, columns, _ = np.nonzero(camera.develop(changed, noise, settings) != first)
    far = [
        np.minimum(abs(place - at), 48 - abs(place - at)).max()
        for place, at in ((rows, 2), (columns, 4))
    ]
    assert 4 <= min(far) and max(far) <= camera.REACH
    assert rows.max() > 40  # Beyond the upper edge.


def test_arrays_of_jax_are_developed_as_those_of_numpy():
    rng = np.random.default_rng(0)
    scene, noise = rng.random((24, 28, 3)), rng.standard_normal((24, 28, 3))
    settings = camera.Camera(noise_std=0.02, sharpening_std=0.8)
    made = camera.develop(scene, noise, settings)
    same = jax.jit(camera.develop)(jnp.asarray(scene), jnp.asarray(noise), settings)
    np.testing.assert_allclose(same, made, atol=1e-4)
