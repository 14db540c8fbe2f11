"""The quality of JPEG is read from pixels."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from kernelgan_jax.estimators.spectral.jpeg_strength import find_jpeg, step_gains
from kernelgan_jax.pixels import luma

SIDE = 160


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((SIDE, SIDE, 3)).cumsum(0).cumsum(1)
    noise = (noise - noise.min()) / np.ptp(noise) * 160 + rng.normal(45, 6, noise.shape)
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))


def compressed(photo: Image.Image, **options: int) -> np.ndarray:
    file = io.BytesIO()
    photo.save(file, "JPEG", **options)
    return np.asarray(Image.open(file), float)


def test_gains_are_mean_log_likelihoods() -> None:
    values = np.random.default_rng(0).normal(0, 60, (3, 700))
    values[1, 20:] = 0  # too few
    some = np.abs(values[2, np.abs(values[2]) > 1.5])
    found = step_gains(values)
    assert not found[1].any()
    for place, step in enumerate(range(2, 100)):
        off = some - step * np.rint(some / step)
        density = step * norm.pdf(off, scale=0.4)
        expected = np.log(0.9 * density + 0.1).mean()
        assert found[2, place] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("corner", [(0, 0), (3, 5)])
@pytest.mark.parametrize("quality", [30, 50, 75, 90, 94])
def test_quality(photo: Image.Image, quality: int, corner: tuple[int, int]) -> None:
    pixels = compressed(photo, quality=quality, subsampling=2 if quality < 80 else 0)
    found = find_jpeg(luma(pixels)[corner[0] :, corner[1] :])
    assert found is not None
    assert found.strength == pytest.approx((100 - quality) / 100, abs=0.015)
    assert found.corner == (-corner[0] % 8, -corner[1] % 8)


def test_what_was_never_compressed_or_was_resized(photo: Image.Image) -> None:
    assert find_jpeg(luma(np.asarray(photo, float))) is None
    pixels = compressed(photo, quality=60).astype(np.uint8)
    half = Image.fromarray(pixels).resize((SIDE // 2, SIDE // 2))
    assert find_jpeg(luma(np.asarray(half, float))) is None
    assert find_jpeg(np.full((32, 40), 7.0)) is None
    assert find_jpeg(np.eye(9)) is None
