"""Curved motions: those of `blur_kernels`, and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, kernels, metrics
from kernelgan_jax.priors.curved_motion import curved_motion, path_basis, usual_std

ARC = jnp.array([[0.0, 2.0, 0.0, 0.0], [4.0, 0.0, 0.5, 0.0]])


def test_a_path_is_that_of_blur_kernels():
    model = curved_motion(25)
    params = {"path": ARC, "width": 0.1, "shift": jnp.zeros(2)}
    found = np.asarray(jax.jit(model.kernel)(params))
    points = (np.asarray(ARC) @ path_basis(4)).T
    true = blur_kernels.path(25, points=points, scale=2)
    assert metrics.kernel_psnr(found, true, scale=2) > 60
    np.testing.assert_allclose(
        kernels.centre_of_mass(found), kernels.alignment((25, 25), 2), atol=0.05
    )


@pytest.mark.parametrize("width", [0.0, 0.5])
def test_derivatives_are_finite_and_no_motion_is_a_pixel(width):
    model = curved_motion(13, degree=2)
    still = {
        "path": jnp.zeros((2, 2)),
        "width": jnp.array(width),
        "shift": jnp.zeros(2),
    }
    slopes = jax.jit(jax.grad(lambda p: (model.kernel(p) ** 2).sum()))(still)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))
    kernel = np.asarray(model.kernel(still), np.float64)
    variance = kernels.widths(kernel).longer ** 2
    assert variance == pytest.approx(4 / 12 + width**2, abs=0.1)


@pytest.mark.parametrize("degree", [1, 4, 8])
def test_paths_have_their_middle_at_0(degree):
    basis = path_basis(degree)
    np.testing.assert_allclose(basis.mean(1), 0, atol=1e-12)
    assert basis.shape[0] == degree == len(usual_std(degree))
    params = curved_motion(9, degree=degree).init(jax.random.key(0))
    assert params["path"].shape == (2, degree)


@pytest.mark.parametrize("degree", [0, 9, 1.5])
def test_degree_out_of_range(degree):
    with pytest.raises(ValueError, match="degree is"):
        curved_motion(9, degree=degree)
