"""Checks of arguments: what passes, and errors that name argument, value and range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import checks, downscale
from kernelgan_jax.super_resolution import deep_wiener


def test_legal_values_pass():
    checks.whole("scale", 1)
    checks.whole("scale", np.int64(8))
    assert checks.scale(np.uint8(8), maximum=8) == 8
    checks.number("noise_std", 0)
    checks.number("noise_std", np.float32(0.5), positive=True)
    checks.number("noise_std", jnp.asarray(0.5), minimum=0.5)
    checks.finite("kernel", np.eye(3))
    checks.finite("kernel", jnp.eye(3))
    for dtype in ("float16", "bfloat16", "float32"):
        checks.floating("image", jnp.ones((2, 3), dtype), (2, 3))
        checks.unit_sum("kernel", jnp.full((5, 5), 0.04, dtype))
        checks.floating("image", np.ones((2, 3, 1), jnp.dtype(dtype)), (2, 3))


@pytest.mark.parametrize(
    "function",
    [
        lambda scale: downscale(jnp.ones((8, 8)), jnp.ones((1, 1)), scale),
        lambda scale: deep_wiener.apply(
            {}, jnp.ones((8, 8, 1)), jnp.ones((1, 1)), scale=scale
        ),
    ],
)
def test_a_traced_scale_says_how_to_make_it_static(function):
    with pytest.raises(ValueError, match="^scale is traced, .*static_argnames='scale'"):
        jax.jit(function)(2)


def test_traced_values_pass():
    """They are not known yet: that is all that is checked."""
    seen = []

    @jax.jit
    def f(x):
        seen.append(checks.traced(x))
        checks.number("weight", x[0], positive=True)
        checks.finite("kernel", x)
        checks.unit_sum("kernel", x)
        checks.floating("kernel", x, (1,))
        return x

    f(jnp.array([jnp.nan]))
    assert seen == [True] and not checks.traced(jnp.ones(1)) and not checks.traced(1.0)


MASKED = np.ma.masked_equal(np.array([[1.0, -9.0]]), -9.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: checks.whole("scale", 0), "scale is 0; .* a positive integer"),
        (lambda: checks.whole("scale", -2), "scale is -2"),
        (lambda: checks.whole("scale", 2.0), "scale is 2.0"),
        (lambda: checks.whole("scale", True), "scale is True"),
        (lambda: checks.whole("scale", "2"), "scale is '2'"),
        (lambda: checks.whole("scale", None), "scale is None"),
        (lambda: checks.scale(257), "scale is 257; .* at most 256"),
        (lambda: checks.scale(9, maximum=8), "scale is 9; .* at most 8"),
        (lambda: checks.number("rate", -1.0), "rate is -1.0; .* at least 0"),
        (lambda: checks.number("rate", np.nan), "rate is nan"),
        (lambda: checks.number("rate", np.inf), "rate is inf; .* a finite number"),
        (lambda: checks.number("rate", 0, positive=True), "rate is 0; .* positive"),
        (lambda: checks.number("rate", 0.1, minimum=0.5), "0.1; .* at least 0.5"),
        (lambda: checks.number("rate", "a"), "rate is 'a'"),
        (lambda: checks.number("rate", [1.0]), r"rate is \[1.0\]"),
        (lambda: checks.floating("image", [[1.0]], (2,)), "image is a list; .* array"),
        (lambda: checks.floating("image", 1.0, (2,)), "image is a float"),
        (lambda: checks.floating("image", np.ones(3), (2, 3)), "1 axes; .* 2 or 3"),
        (lambda: checks.floating("image", np.ones((2, 2), int), (2,)), "holds int64"),
        (lambda: checks.floating("image", np.ones((0, 2)), (2,)), "must not be empty"),
        (lambda: checks.floating("image", MASKED, (2,)), "image has masked values"),
        (lambda: checks.matrix("kernel", MASKED), "kernel has masked values"),
        (lambda: checks.finite("kernel", np.array([np.inf])), "kernel has values that"),
        (lambda: checks.finite("kernel", jnp.array([jnp.nan])), "are not finite"),
        (lambda: checks.unit_sum("kernel", jnp.ones(3)), "kernel sums to 3; .* be 1"),
        (lambda: checks.unit_sum("kernel", np.zeros(3)), "kernel sums to 0; .* be 1"),
    ],
)
def test_illegal_values_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
