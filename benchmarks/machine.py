"""The arithmetic rate of this machine, and the operations of a training step.

The machine itself is named by `kernelgan_jax.app.resources.machine`.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.estimators.kernelgan.algorithm import kernelgan
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.state import Batch


def matmul_rate(size: int = 2048) -> float:
    """Floating-point operations a second of a large float32 matrix product."""
    x = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda x: jnp.dot(x, x, precision="default"))
    product(x).block_until_ready()
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        product(x).block_until_ready()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def step_operations(config: KernelGANConfig) -> float:
    """Floating-point operations of one training step of KernelGAN, as XLA counts."""
    init, step = kernelgan(config)
    key = jax.eval_shape(lambda: jax.random.key(0))
    sides = (config.generator_crop, config.discriminator_crop)
    shapes = [(config.crops, side, side, 3) for side in sides]
    batch = Batch(*(jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes))
    lowered = jax.jit(step).lower(key, jax.eval_shape(init, key), batch)
    # Before it is compiled, XLA counts for CPUs alone.
    found = lowered.cost_analysis() or lowered.compile().cost_analysis()
    return float(found["flops"])
