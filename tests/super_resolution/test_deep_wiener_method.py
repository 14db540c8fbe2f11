"""The method `deep_wiener`: what its network is given, and the package's weights."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers import gaussian, smooth

from kernelgan_jax import kernels
from kernelgan_jax.estimate import Evidence, KernelEstimate
from kernelgan_jax.super_resolution import METHODS, plan
from kernelgan_jax.super_resolution.deep_wiener import DeepWienerConfig, method
from kernelgan_jax.super_resolution.deep_wiener import network as networks
from kernelgan_jax.super_resolution.planning import WIDTHS, width_std

IMAGE = smooth(40, 48)
KERNEL = gaussian(2)


@pytest.fixture
def given(monkeypatch):
    """What the network is called with; it returns the image repeated."""
    calls = []

    def enlarge_averaged(weights, requests, *, views):
        calls.extend(requests)
        return [r.image.repeat(r.scale, 0).repeat(r.scale, 1) for r in requests]

    monkeypatch.setattr(method, "enlarge_averaged", enlarge_averaged)
    return calls


def run(estimate, **options):
    planned = plan(estimate, scale=2, method="deep_wiener", **options)
    return method.enlarge([None], [IMAGE], [planned])


def test_a_known_kernel_is_certain(given):
    run(KERNEL)
    assert given[0].kernel_std == given[0].noise_std == given[0].jpeg == 0
    assert given[0].strength == 1


def test_an_estimate_that_is_not_trusted_is_uncertain(given):
    run(KernelEstimate(KERNEL, 2))
    run(KernelEstimate(KERNEL, 2, failure="training diverged"))
    np.testing.assert_allclose([r.kernel_std for r in given], np.std(WIDTHS))


def test_a_resampler_of_the_spectrum_is_nearly_certain(given):
    """As long as the kernel is that of the spectrum, not another estimator's."""
    known = dict.fromkeys(Evidence._fields) | {"scale": 2, "noise_std": 0.0}
    known |= {"jpeg_strength": 0.0, "span": 1.0, "left_out": ""}
    for family, kernel in (("bicubic", KERNEL), ("Gaussian", KERNEL), ("bicubic", 0)):
        evidence = Evidence(**(known | {"family": family, "kernel": kernel}))
        run(KernelEstimate(KERNEL, 2, evidence=evidence))
    found = [request.kernel_std for request in given]
    np.testing.assert_allclose(found, np.std(WIDTHS) * np.array([0.2, 1, 1]))


def test_strength_and_noise_reach_the_network(given):
    config = DeepWienerConfig(strength=0.25)
    noisy = KernelEstimate(KERNEL, 2, trusted=True, noise_std=5 / 255)
    run(noisy, config=config)
    assert given[0].strength == 0.25
    assert 4.9 / 255 < given[0].noise_std < 5 / 255


def test_the_least_uncertainty_of_the_settings(given):
    run(KERNEL, config=DeepWienerConfig(kernel_std=0.2))
    run(KernelEstimate(KERNEL, 2), config=DeepWienerConfig(kernel_std=0.2))
    found = [request.kernel_std for request in given]
    np.testing.assert_allclose(found, [0.2, np.std(WIDTHS)])


@pytest.mark.parametrize("strength", [-0.1, 1.1, np.nan, True])
def test_strength_has_a_range(strength):
    with pytest.raises(ValueError, match="config.deep_wiener.strength is "):
        DeepWienerConfig(strength=strength)


def test_the_spread_of_widths_is_that_of_the_samples():
    same = np.stack([KERNEL] * 4)
    assert width_std(same, scale=2) == 0
    scaled = [kernels.scale_width(np.pad(KERNEL, 4), f) for f in (0.9, 1.0, 1.1)]
    sides = min(k.shape[0] for k in scaled)
    spread = np.stack([k[:sides, :sides] for k in scaled])
    assert 0.02 < width_std(spread, scale=2) < 0.1


def test_a_wide_empty_margin_is_cut_off(given):
    run(np.pad(gaussian(2, size=13), 20))
    assert max(given[0].kernel.shape) <= networks.MAX_KERNEL
    np.testing.assert_allclose(given[0].kernel.sum(), 1)


def test_weights_of_the_user_are_read_once(given, tmp_path, monkeypatch):
    file = tmp_path / "mine.npz"
    file.write_bytes(method.WEIGHTS.read_bytes())
    reads = []
    monkeypatch.setattr(method, "load", lambda path: reads.append(path))
    config = DeepWienerConfig(weights=str(file))
    for _ in range(2):
        run(KERNEL, config=config)
    assert reads == [file]
    os.utime(file, (1, 1))  # Another file.
    run(KERNEL, config=config)
    assert reads == [file] * 2


@pytest.mark.parametrize("sr", ["deep_wiener", "usrnet"])
@pytest.mark.parametrize("name", ["absent.npz", "folder"])
def test_weights_that_cannot_be_read_are_named_with_their_setting(tmp_path, sr, name):
    (tmp_path / "folder").mkdir()
    file = str(tmp_path / name)
    config = METHODS[sr].config(weights=file)
    planned = plan(KERNEL, scale=2, method=sr, config=config)
    with pytest.raises(ValueError) as caught:
        METHODS[sr].load()([None], [IMAGE], [planned])
    message = str(caught.value)
    assert message.startswith(f"config.{sr}.weights is {file!r}: ")
    assert message.endswith("; it must be a file of weights")


def test_each_method_has_its_own_weights(monkeypatch):
    read = []
    monkeypatch.setattr(method, "load", lambda path, check: read.append(path))
    monkeypatch.setattr(method, "enlarge_averaged", lambda *_, views: [IMAGE] * 2)
    monkeypatch.setattr(method, "FAST_WEIGHTS", Path("fast"))
    monkeypatch.setattr(method, "WEIGHTS", Path("usual"))
    method.pretrained.cache_clear()
    for name in ("deep_wiener", "deep_wiener_fast"):
        assert METHODS[name].load() is not None
        planned = plan(KERNEL, scale=2, method=name)
        METHODS[name].load()([None] * 2, [IMAGE] * 2, [planned] * 2)
    assert read == [Path("usual"), Path("fast")]
    method.pretrained.cache_clear()


def test_images_of_equal_settings_go_together(monkeypatch):
    asked = []

    def enlarge_averaged(weights, requests, *, views):
        asked.append((views, len(requests)))
        return [IMAGE.repeat(2, 0).repeat(2, 1) for _ in requests]

    monkeypatch.setattr(method, "enlarge_averaged", enlarge_averaged)
    configs = [DeepWienerConfig(self_ensemble=views) for views in (1, 8, 1)]
    planned = [plan(KERNEL, scale=2, config=config) for config in configs]
    assert len(method.enlarge([None] * 3, [IMAGE] * 3, planned)) == 3
    assert asked == [(1, 2), (8, 1)]
