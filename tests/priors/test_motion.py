"""Straight motions: those of `blur_kernels`, their variances, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, kernels, metrics
from kernelgan_jax.priors.motion import motion, principal_variances


def test_a_motion_is_that_of_blur_kernels():
    """A line blurred by about a pixel of the camera."""
    model = motion(25)
    params = {"line": jnp.array([-3.0, 5.0]), "width": 0.48, "shift": jnp.zeros(2)}
    draw = jax.jit(model.kernel)
    found = np.asarray(draw(params))
    length, angle = np.hypot(3, 5), np.arctan2(3, 5)
    true = blur_kernels.motion(25, length=length, angle=angle, scale=2)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert metrics.kernel_psnr(found, true, scale=2) > 50
    np.testing.assert_allclose(
        kernels.centre_of_mass(found), kernels.alignment((25, 25), 2), atol=0.02
    )
    # Backwards it is the same; and without any length it has derivatives, too.
    back = np.asarray(draw(params | {"line": -params["line"]}))
    np.testing.assert_allclose(back, found, atol=1e-7)
    still = params | {"line": jnp.zeros(2)}
    slope = jax.jit(jax.grad(lambda p: (model.kernel(p) ** 2).sum()))(still)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope))


@pytest.mark.parametrize("line", [(0.0, 7.0), (5.0, -5.0)])
def test_principal_variances_are_those_of_the_kernel(line):
    params = {"line": jnp.array(line), "width": 1.0, "shift": jnp.zeros(2)}
    kernel = np.asarray(jax.jit(motion(33).kernel)(params), np.float64)
    along, across = principal_variances(np.array(line), 1.0)
    np.testing.assert_allclose(
        kernels.widths(kernel)[:2], np.sqrt([along, across]), rtol=2e-3
    )
