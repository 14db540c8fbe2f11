"""The normalising flow: invertible, its density exact, files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from kernelgan_jax import flow, kernels

TINY = {"steps": 300, "depth": 4, "hidden": 16, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return np.stack(
        [
            kernels.random_gaussian(rng, 4, scale=1, variances=(0.2, 3.0))
            for _ in range(2000)
        ]
    )


@pytest.fixture(scope="module")
def tiny(samples):
    return flow.fit(jax.random.key(0), samples, **TINY)


def test_training_raises_the_likelihood(tiny):
    _, history = tiny
    assert history.shape == (300,) and np.isfinite(history).all()
    assert history[-30:].mean() > history[:30].mean() + 1


@pytest.mark.parametrize("which", ["tiny", "shipped"])
def test_kernel_and_latent_are_inverses(tiny, which):
    model = tiny[0] if which == "tiny" else flow.load()
    with jax.enable_x64(True):
        latent = jax.random.normal(jax.random.key(1), (model.size,), np.float64)
        kernel = model.kernel(latent)
        assert kernel.shape == model.shape and kernel.dtype == np.float64
        # A value under 0 by the floor is no kernel: it counts as 0.
        assert kernel.min() >= -flow.FLOOR / kernel.size
        if kernel.min() >= 0:
            np.testing.assert_allclose(model.latent(kernel)[0], latent, atol=1e-4)
        again = model.kernel(model.latent(kernel)[0])
        np.testing.assert_allclose(again, jnp.maximum(kernel, 0), atol=1e-5)


def test_density_is_that_of_the_change_of_variables(tiny, samples):
    """Against the Jacobian of the latent vector by orthonormal log-ratios."""
    model, _ = tiny
    kernel = samples[0]
    helmert = scipy.linalg.helmert(kernel.size)  # orthonormal, all orthogonal to ones
    with jax.enable_x64(True):
        mixed = (1 - flow.FLOOR) * kernel + flow.FLOOR / kernel.size
        ratios = jnp.asarray(helmert @ np.log(mixed).ravel())

        def latent(ratios):
            mixed = jax.nn.softmax(helmert.T @ ratios)
            kernel = (mixed - flow.FLOOR / mixed.size) / (1 - flow.FLOOR)
            return model.latent(kernel.reshape(model.shape))[0]

        np.testing.assert_allclose(
            latent(ratios), model.latent(jnp.asarray(kernel))[0], atol=1e-9
        )
        _, log_det = np.linalg.slogdet(jax.jacobian(latent)(ratios))
        normal = scipy.stats.norm.logpdf(latent(ratios)).sum()
        ours = model.log_prob(jnp.asarray(kernel))
    # The basis is stored in float32.
    np.testing.assert_allclose(ours, normal + log_det, rtol=1e-5)


def test_scale_of_the_kernel_does_not_matter(tiny, samples):
    model, _ = tiny
    kernel = jnp.asarray(samples[1], np.float32)
    np.testing.assert_allclose(
        model.log_prob(3 * kernel), model.log_prob(kernel), rtol=1e-5
    )


def test_training_repeats_bit_for_bit(tiny, samples):
    again, _ = flow.fit(jax.random.key(0), samples, **TINY)
    jax.tree.map(np.testing.assert_array_equal, again.params, tiny[0].params)


def test_files(tmp_path, tiny):
    flow.save(tmp_path / "flow.npz", tiny[0])
    read = flow.load(tmp_path / "flow.npz")
    latent = jnp.ones(read.size)
    np.testing.assert_array_equal(read.kernel(latent), tiny[0].kernel(latent))
    np.savez(tmp_path / "other.npz", kernel=np.eye(3))
    with pytest.raises(ValueError, match="holds no flow: 'shape' is missing"):
        flow.load(tmp_path / "other.npz")
    with pytest.raises(OSError):
        flow.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("kernels", "options", "message"),
    [
        (np.ones((5, 3, 3)), {}, r"kernels has shape \(5, 3, 3\); .* N over"),
        (np.ones((20, 9)), {}, "kernels has shape"),
        (np.ones((20, 3, 3)), {"depth": 0}, "depth is 0; it must be positive"),
        (np.ones((20, 3, 3)), {"learning_rate": 0.0}, "learning_rate is 0.0"),
    ],
)
def test_bad_arguments_are_named(kernels, options, message):
    with pytest.raises(ValueError, match=message):
        flow.fit(jax.random.key(0), kernels, **options)
