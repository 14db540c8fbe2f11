"""Products of JAX arrays in full precision: GPUs and TPUs round to fewer bits."""

import functools

import jax
import jax.numpy as jnp

EXACT = jax.lax.Precision.HIGHEST
"""Argument `precision` of other products."""

matmul = functools.partial(jnp.matmul, precision=EXACT)
einsum = functools.partial(jnp.einsum, precision=EXACT)
tensordot = functools.partial(jnp.tensordot, precision=EXACT)
