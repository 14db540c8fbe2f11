"""Fixtures of all tests of the command."""

import pytest
from app import makers

from kernelgan_jax.app import pipeline, reading, run, super_resolving
from kernelgan_jax.estimators import run as estimators
from kernelgan_jax.pixels import to_unit
from kernelgan_jax.resize import bicubic_resize


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    """JAX's settings, and the caches of whoever runs the tests, are left alone."""
    monkeypatch.setattr(run, "keep_compilations", lambda: None)


@pytest.fixture
def no_estimation(monkeypatch):
    """The test fails if the estimation of a kernel starts."""

    def estimate(*_, **__):
        pytest.fail("a kernel was estimated")

    monkeypatch.setattr(estimators, "estimate_checked", estimate)


@pytest.fixture
def estimation(monkeypatch):
    """Estimation and super-resolution at no cost, where a test is about something else.

    Returns an object whose `function` makes the estimates, and whose `sizes` are those
    of the batches so far.
    """

    class Estimation:
        sizes = []

        def function(self, keys, images, **_):
            return [makers.estimate()] * len(images)

    fake = Estimation()

    def estimate(keys, images, **options):
        fake.sizes.append(len(images))
        return fake.function(keys, images, **options)

    def enlarge(keys, images, plans, **_):
        return [bicubic_resize(to_unit(images[0]), plans[0].scale)]

    monkeypatch.setattr(reading, "rating", lambda *_: ((0, 0.0), None))
    monkeypatch.setattr(estimators, "estimate_checked", estimate)
    monkeypatch.setattr(super_resolving, "super_resolve_planned", enlarge)
    monkeypatch.setattr(pipeline, "load_programs", lambda *_: None)
    return fake
