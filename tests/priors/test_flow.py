"""The normalising flow: invertible, its density exact, files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from kernelgan_jax.priors.flow.couplings import FLOOR
from kernelgan_jax.priors.flow.files import load, pretrained, save
from kernelgan_jax.priors.flow.training import fit
from kernelgan_jax import blur_kernels

TINY = {"steps": 300, "depth": 4, "hidden": 16, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return np.stack(
        [
            blur_kernels.random_gaussian(rng, 4, scale=1, variances=(0.2, 3.0))
            for _ in range(2000)
        ]
    )


@pytest.fixture(scope="module")
def tiny(samples):
    return fit(jax.random.key(0), samples, **TINY)


def test_training_raises_the_likelihood(tiny):
    _, history = tiny
    assert history.shape == (300,) and np.isfinite(history).all()
    assert history[-30:].mean() > history[:30].mean() + 1


@pytest.mark.parametrize("which", ["tiny", "shipped"])
def test_latent_is_the_inverse_of_kernel(tiny, which):
    model = tiny[0] if which == "tiny" else pretrained()
    kernel = blur_kernels.random_gaussian(
        np.random.default_rng(1), model.shape[0], scale=model.scale
    )
    with jax.enable_x64(True):
        latent, _ = model.latent(jnp.asarray(kernel))
        again = model.kernel(latent)
        np.testing.assert_allclose(again, kernel, atol=1e-7)  # the basis is float32
        np.testing.assert_allclose(model.latent(again)[0], latent, atol=1e-4)


def test_every_latent_vector_gives_a_kernel(tiny):
    for model in (tiny[0], pretrained()):
        for latent in 3 * jax.random.normal(jax.random.key(1), (5, model.size)):
            kernel = model.kernel(latent)
            assert kernel.shape == model.shape and kernel.min() >= 0
            np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)


def test_density_is_that_of_the_change_of_variables(tiny, samples):
    """Against the Jacobian of the latent vector by orthonormal log-ratios."""
    model, _ = tiny
    kernel = samples[0]
    helmert = scipy.linalg.helmert(kernel.size)  # orthonormal, all orthogonal to ones
    with jax.enable_x64(True):
        mixed = (1 - FLOOR) * kernel + FLOOR / kernel.size
        ratios = jnp.asarray(helmert @ np.log(mixed).ravel())

        def latent(ratios):
            mixed = jax.nn.softmax(helmert.T @ ratios)
            kernel = (mixed - FLOOR / mixed.size) / (1 - FLOOR)
            return model.latent(kernel.reshape(model.shape))[0]

        np.testing.assert_allclose(
            latent(ratios), model.latent(jnp.asarray(kernel))[0], atol=1e-9
        )
        _, log_det = np.linalg.slogdet(jax.jacobian(latent)(ratios))
        normal = scipy.stats.norm.logpdf(latent(ratios)).sum()
        ours = model.log_prob(jnp.asarray(kernel))
    # The basis is stored in float32.
    np.testing.assert_allclose(ours, normal + log_det, rtol=1e-5)


def test_depth_may_exceed_the_bits_of_the_index():
    rng = np.random.default_rng(0)
    few = rng.random((50, 2, 2))
    model, history = fit(jax.random.key(0), few, steps=5, depth=8, hidden=4)
    assert np.isfinite(history).all()
    assert model.kernel(jnp.ones(3)).shape == (2, 2)


def test_scale_of_the_kernel_does_not_matter(tiny, samples):
    model, _ = tiny
    kernel = jnp.asarray(samples[1], np.float32)
    np.testing.assert_allclose(
        model.log_prob(3 * kernel), model.log_prob(kernel), rtol=1e-5
    )


def test_training_repeats_bit_for_bit(tiny, samples):
    again, _ = fit(jax.random.key(0), samples, **TINY)
    jax.tree.map(np.testing.assert_array_equal, again.params, tiny[0].params)


def test_files(tmp_path, tiny):
    save(tmp_path / "flow.npz", tiny[0])
    read = load(tmp_path / "flow.npz")
    latent = jnp.ones(read.size)
    np.testing.assert_array_equal(read.kernel(latent), tiny[0].kernel(latent))
    np.savez(tmp_path / "other.npz", kernel=np.eye(3))
    np.save(tmp_path / "kernel.npy", np.eye(3))
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").touch()
    for name in ("other.npz", "kernel.npy", "text.npz", "empty.npz"):
        with pytest.raises(ValueError, match=f"{name} holds no flow"):
            load(tmp_path / name)
    with pytest.raises(OSError):
        load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("kernels", "options", "message"),
    [
        (np.ones((5, 3, 3)), {}, r"kernels has shape \(5, 3, 3\); .* N over"),
        (np.ones((20, 9)), {}, "kernels has shape"),
        (np.ones((20, 1, 2)), {}, "h\\*w at least 3"),
        (np.full((20, 3, 3), np.nan), {}, "kernels has values that are not at"),
        (-np.ones((20, 3, 3)), {}, "kernels has values that are not at least 0"),
        (np.ones((20, 3, 3)), {"depth": 0}, "depth is 0; it must be a positive"),
        (np.ones((20, 3, 3)), {"batch": 2.5}, "batch is 2.5; it must be a positive"),
        (np.ones((20, 3, 3)), {"learning_rate": 0.0}, "learning_rate is 0.0"),
    ],
)
def test_bad_arguments_are_named(kernels, options, message):
    with pytest.raises(ValueError, match=message):
        fit(jax.random.key(0), kernels, **options)
