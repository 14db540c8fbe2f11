"""A user's code, which mypy checks: it finds mistyped keywords and wrong types.

A comment that mypy does not need is an error, so each of these mistakes is found.
"""

import jax
import numpy as np

import kernelgan_jax

key, image = jax.random.key(0), np.zeros((48, 64, 3))

estimate = kernelgan_jax.estimate_kernel(key, image, scale=2)
kernelgan_jax.estimate_kernel(key, image, scal=2)  # type: ignore[call-arg]
kernelgan_jax.estimate_kernel(key, image, 2)  # type: ignore[call-arg]
kernelgan_jax.super_resolve(key, image, estimate, metod="zssr")  # type: ignore[call-arg]
missing = kernelgan_jax.no_such_function  # type: ignore[attr-defined]
typo = estimate.kernal  # type: ignore[attr-defined]
level: int = estimate.scale
wrong: str = estimate.scale  # type: ignore[assignment]
