"""The bicubic method; `test_contract.py` tests what all methods promise."""

import helpers
import jax
import numpy as np

from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import super_resolve

KEY = jax.random.key(0)


def test_it_is_the_bicubic_resize_within_the_range():
    image = np.float32(helpers.noise(12, 10, 3)) / np.float32(255)  # overshoots
    result = super_resolve(KEY, image, None, scale=3, method="bicubic")
    resized = bicubic_resize(image, 3)
    assert resized.min() < 0 and resized.max() > 1
    np.testing.assert_array_equal(result, np.clip(resized, 0, 1))


def test_neither_kernel_nor_key_matter():
    image = helpers.noise(9, 7)
    results = [
        super_resolve(jax.random.key(seed), image, kernel, scale=2, method="bicubic")
        for seed, kernel in ((0, None), (1, helpers.gaussian(2)))
    ]
    np.testing.assert_array_equal(*results)
