"""The network as a compiled program for a batch of tiles."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from kernelgan_jax import programs
from kernelgan_jax.super_resolution.deep_wiener.model import apply
from kernelgan_jax.super_resolution.deep_wiener.network import DeepWiener

ACCELERATOR_BATCH, CPU_BATCH, CPU_WORKERS = 8, 4, 2
"""Tiles that a GPU or TPU works on at once; tiles that a worker of a CPU is given, and
works on in turn, in the same memory; and workers of a CPU: the transforms of one use
one core while the convolutions of the other use the rest."""


def size(count: int) -> int:
    """How many of so many tiles make up a batch that suits the device."""
    if not on_cpu():
        return min(count, ACCELERATOR_BATCH)
    return CPU_BATCH if count >= CPU_BATCH * CPU_WORKERS else 1


def on_cpu() -> bool:
    """Whether JAX works on a CPU."""
    return jax.default_backend() == "cpu"


@functools.lru_cache(maxsize=8)
def compiled(network: DeepWiener, scale: int) -> programs.Program[jax.Array]:
    """The compiled network for a batch of tiles with a kernel each.

    Returns:
      A program of the parameters, how many tiles of the batch are wanted (a GPU or TPU
      works on all), and, with a leading axis: tiles, `MAX_KERNEL x MAX_KERNEL` kernels,
      and the `NUMBERS` of a request.
    """
    in_turn = on_cpu()

    def program(params: Any, wanted: jax.Array, *batch: jax.Array) -> jax.Array:
        def one(*known: jax.Array) -> jax.Array:
            image, kernel, noise, uncertainty, strength = known
            return apply(
                params,
                image,
                kernel,
                scale=scale,
                noise_std=noise,
                kernel_std=uncertainty,
                jpeg=strength,
                network=network,
            )

        if not in_turn:
            return jax.vmap(one)(*batch)

        def add(i: jax.Array, results: jax.Array) -> jax.Array:
            return results.at[i].set(one(*(values[i] for values in batch)))

        count, *shape = batch[0].shape
        sides = [scale * side for side in shape[:2]]
        empty = jnp.zeros((count, *sides, shape[2]), batch[0].dtype)
        return jax.lax.fori_loop(0, wanted, add, empty)

    return programs.jit(program, name=f"{network} x{scale}")
