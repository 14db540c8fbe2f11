"""The normalising flow: invertible, its density exact, files, its prior."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from helpers import TINY_FLOW, along

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.priors.flow import fit, flow, load, pretrained, save
from kernelgan_jax.priors.flow.couplings import FLOOR

pytestmark = pytest.mark.quick_compilation


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
    return fit(jax.random.key(0), samples, **TINY_FLOW)


def test_training_raises_the_likelihood(tiny):
    _, history = tiny
    assert history.shape == (300,) and np.isfinite(history).all()
    assert history[-30:].mean() > history[:30].mean() + 1


@pytest.mark.parametrize("which", ["tiny", "pretrained"])
def test_latent_is_the_inverse_of_kernel(tiny, which):
    model = tiny[0] if which == "tiny" else pretrained()
    kernel = blur_kernels.random_gaussian(
        np.random.default_rng(1), model.shape[0], scale=model.scale
    )

    @jax.jit
    def there_and_back(kernel):
        latent, _ = model.latent(kernel)
        again = model.kernel(latent)
        return latent, again, model.latent(again)[0]

    with jax.enable_x64(True):
        latent, again, second = there_and_back(jnp.asarray(kernel))
    np.testing.assert_allclose(again, kernel, atol=1e-7)  # the basis is float32
    np.testing.assert_allclose(second, latent, atol=1e-4)


def test_every_latent_vector_gives_a_kernel(tiny):
    for model in (tiny[0], pretrained()):
        latents = 3 * jax.random.normal(jax.random.key(1), (5, model.size))
        made = jax.jit(jax.vmap(model.kernel))(latents)
        assert made.shape == (5, *model.shape) and made.min() >= 0
        np.testing.assert_allclose(made.sum((1, 2)), 1, rtol=1e-5)


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
        _, log_det = np.linalg.slogdet(jax.jit(jax.jacobian(latent))(ratios))
        normal = scipy.stats.norm.logpdf(latent(ratios)).sum()
        ours = model.log_prob(jnp.asarray(kernel))
    # The basis is stored in float32.
    np.testing.assert_allclose(ours, normal + log_det, rtol=1e-5)


def test_depth_may_exceed_the_bits_of_the_index():
    rng = np.random.default_rng(0)
    few = rng.random((50, 2, 2))
    model, history = fit(jax.random.key(0), few, steps=5, depth=6, hidden=4)
    assert np.isfinite(history).all()
    assert model.kernel(jnp.ones(3)).shape == (2, 2)


def test_scale_of_the_kernel_does_not_matter(tiny, samples):
    model, _ = tiny
    kernel = jnp.asarray(samples[1], np.float32)
    np.testing.assert_allclose(
        model.log_prob(3 * kernel), model.log_prob(kernel), rtol=1e-5
    )


def test_training_repeats_bit_for_bit(tiny, samples):
    again, _ = fit(jax.random.key(0), samples, **TINY_FLOW)
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


# --- The prior ---


@pytest.fixture(scope="module")
def model():
    return flow()


@functools.cache
def kernel_and_gradient():
    """A kernel of the pretrained flow and the gradient of its power, compiled."""

    def power(params):
        kernel = flow().kernel(params)
        return (kernel**2).sum(), kernel

    def swapped(params):
        (_, kernel), gradient = jax.value_and_grad(power, has_aux=True)(params)
        return kernel, gradient

    return jax.jit(swapped)


@functools.cache
def density():
    """The density of the pretrained flow, and its gradient, compiled."""
    return jax.jit(jax.value_and_grad(flow().log_prob))


def test_flow_draws_aligned_gaussians(model):
    keys = jax.random.split(jax.random.key(0), 200)
    drawn = jax.jit(jax.vmap(lambda key: model.kernel(model.init(key))))(keys)
    drawn = np.asarray(drawn, np.float64)
    np.testing.assert_allclose(
        np.mean([kernels.centre_of_mass(k) for k in drawn], axis=0), 6.5, atol=0.02
    )
    rng = np.random.default_rng(0)
    true = [
        blur_kernels.random_gaussian(rng, 13, scale=2, variances=(0.35, 5))
        for _ in range(200)
    ]
    ours, theirs = (np.array([kernels.widths(k)[:2] for k in x]) for x in (drawn, true))
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), rtol=0.1)
    np.testing.assert_allclose(ours.std(0), theirs.std(0), rtol=0.25)


def test_flow_only_looks_at_the_direction(model):
    params = model.init(jax.random.key(0))
    near, far = (kernel_and_gradient()(factor * params)[0] for factor in (1, 3))
    np.testing.assert_allclose(far, near, atol=1e-6)


def test_flow_is_finite_where_there_is_no_direction():
    found = kernel_and_gradient()(jnp.zeros(168))
    assert all(np.isfinite(x).all() for x in found)


def test_flow_starts_from_a_kernel():
    start = blur_kernels.gaussian(13, variances=(4.0, 1.5), angle=0.5, scale=2)
    model = flow(start=start)
    draw = jax.jit(lambda key: model.kernel(model.init(key)))
    near = [draw(jax.random.key(seed)) for seed in (0, 1)]
    for kernel in near:
        found = kernels.covariance(np.asarray(kernel, np.float64))
        np.testing.assert_allclose(found, kernels.covariance(start), atol=0.5)
    assert np.abs(near[0] - near[1]).max() > 1e-3


def test_flow_of_another_model(tiny):
    model = flow(model=tiny[0])
    assert model.kernel(model.init(jax.random.key(0))).shape == (4, 4)


def test_flow_prefers_its_own_family():
    own = blur_kernels.random_gaussian(np.random.default_rng(1), 13, scale=2)
    motion = np.eye(13)[:, ::-1] / 13
    shifted = np.roll(own, 3, axis=0)
    own, motion, shifted = (
        float(density()(jnp.asarray(k, np.float32))[0]) for k in (own, motion, shifted)
    )
    assert own > motion + 100 and own > shifted + 100


SPECIAL = {
    "zero": np.zeros((13, 13), np.float32),
    "one-hot": np.eye(13, dtype=np.float32)[:, 3:4] * np.eye(13, dtype=np.float32)[5],
}


@pytest.mark.parametrize("special", SPECIAL)
def test_density_is_finite_at_special_kernels(special):
    value, gradient = density()(SPECIAL[special])
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("value", [1e-37, 1e-30, 1e-20, 1e20])
def test_gradient_of_the_log_density_is_finite_at_all_sums(value):
    assert np.isfinite(density()(jnp.full((13, 13), value))[1]).all()


def test_derivatives_of_the_log_density_against_finite_differences(model):
    with jax.enable_x64(True):
        kernel = blur_kernels.random_gaussian(np.random.default_rng(0), 13, scale=2)
        kernel = jnp.asarray(kernel)
        direction = kernel * jax.random.normal(jax.random.key(1), (13, 13), np.float64)

        @jax.jit
        def derivatives(kernel):
            f = jax.value_and_grad(model.log_prob)
            (value, gradient), (_, curved) = jax.jvp(f, (kernel,), (direction,))
            return value, gradient, curved

        _, gradient, curved = derivatives(kernel)
        ahead, behind = (derivatives(kernel + s * direction) for s in (1e-5, -1e-5))
        expected = [(a - b) / 2e-5 for a, b in zip(ahead, behind, strict=True)]
        np.testing.assert_allclose(along(gradient, direction), expected[0], rtol=1e-6)
        np.testing.assert_allclose(curved, expected[1], rtol=1e-4, atol=1e-3)


# --- Refusals ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flow(weights={"total": 1.0}), "'total'; it must name some of"),
        (lambda: flow(start=np.eye(11)), "start has shape"),
        (lambda: flow(start=-np.eye(13)), "start is no kernel"),
        (lambda: flow(start=np.full((13, 13), np.nan)), "start is no kernel"),
        (lambda: flow().kernel(jnp.ones(100)), "latent has shape"),
        (
            lambda: flow().log_prob(jnp.zeros((11, 11))),
            r"kernel has shape \(11, 11\); it must be \(13, 13\)",
        ),
    ],
)
def test_bad_arguments_of_the_prior_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


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
