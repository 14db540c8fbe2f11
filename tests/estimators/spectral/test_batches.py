"""Spectra of many images as one program, on one device and on eight."""

import os

import numpy as np
import pytest
from helpers import run_on_8_devices, texture

from kernelgan_jax.estimators.spectral import analyse_images, batches

IMAGES = [
    texture(60, 80),
    np.zeros((40, 40)),  # without structure
    texture(90, 50),
    None,
    *(texture(40 + 8 * s, 48) for s in range(7)),
]
"""No multiple of 8 can be analysed."""

_ON_8_DEVICES = """
import jax, sys
sys.path[:0] = sys.argv[1:3]
import numpy as np
from test_batches import IMAGES
from kernelgan_jax.estimators.spectral import analyse_images
assert len(jax.devices()) == 8
found = analyse_images(IMAGES, scale=1, vectorised=True)
assert [f is None for f in found] == [i in (1, 3) for i in range(len(IMAGES))]
kernels = {str(i): f.raw_kernel for i, f in enumerate(found) if f}
np.savez(sys.argv[3], **kernels)
"""


def test_eight_devices_and_an_uneven_batch(tmp_path):
    folder = os.path.dirname(__file__)
    tests = os.path.dirname(os.path.dirname(folder))
    saved = tmp_path / "kernels.npz"
    run_on_8_devices(_ON_8_DEVICES, folder, tests, saved)
    alone = analyse_images(IMAGES, scale=1)
    with np.load(saved) as kernels:
        for index, found in enumerate(alone):
            assert (found is None) == (str(index) not in kernels)
            if found is not None:
                np.testing.assert_allclose(
                    kernels[str(index)], found.raw_kernel, atol=1e-5
                )


def test_programs_are_few_and_images_are_measured_while_they_run(monkeypatch):
    """Batches are filled up to powers of two and are no larger than `BATCH`."""
    log = []

    def measure(image):
        if image == 5:
            raise ValueError("no structure")
        log.append(image)
        power = np.full((2, 3), image)
        return batches.Measured(*[None] * 6, power, np.ones((2, 3)), False, 0.0)

    def fits(power, weights):
        assert power.shape == weights.shape
        log.append(power.shape)
        return power, weights, None

    def evidence(measured, fits, **_):
        assert (measured.power == fits[0]).all()
        return int(fits[0][0, 0])

    monkeypatch.setattr(batches, "measure", measure)
    monkeypatch.setattr(batches, "evidence", evidence)
    monkeypatch.setattr(batches, "compiled", lambda scale, rare: fits)
    monkeypatch.setattr(batches, "BATCH", 4)
    monkeypatch.setattr(batches.jax, "local_devices", lambda: batches.jax.devices()[:1])
    monkeypatch.setattr(batches.jax, "device_get", lambda x: log.append("wait") or x)
    images = [0, None, 2, 3, 4, 5, 6, 7, 8, 9]
    found = analyse_images(images, scale=2, vectorised=True)
    assert found == [0, None, 2, 3, 4, None, 6, 7, 8, 9]
    shapes = [each for each in log if isinstance(each, tuple)]
    assert shapes == [(4, 2, 3), (4, 2, 3), (2, 2, 3)]
    assert log.index(9) < log.index("wait")


def test_on_a_cpu_nothing_is_vectorised(monkeypatch):
    monkeypatch.setattr(batches, "compiled", lambda *_: pytest.fail("vectorised"))
    assert analyse_images([None, np.zeros((40, 40))], scale=2) == [None, None]
