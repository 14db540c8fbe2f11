"""A network of your own, whose loss includes the kernel penalty: jit, vmap and optax.

    python examples/train_network.py [FOLDER]

A small Flax network estimates the kernel from a patch of an LR image. It is trained on
two photographs and tested on a third; FOLDER/train_network.png shows its kernels.
"""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pictures
from flax import linen as nn

from kernelgan_jax import blur_kernels, downscale, metrics
from kernelgan_jax.priors import penalty

PATCH, BATCH, STEPS = 96, 16, 1500


class KernelNet(nn.Module):  # an LR patch, by its power spectrum, to a 13 x 13 kernel
    @nn.compact
    def __call__(self, patch):
        windowed = (patch - patch.mean()) * jnp.outer(*[jnp.hanning(len(patch))] * 2)
        power = jnp.log(jnp.abs(jnp.fft.rfft2(windowed)) ** 2 + 1e-5)
        x = nn.relu(nn.Dense(128)(0.1 * power.reshape(-1)))
        logits = nn.Dense(13 * 13)(nn.relu(nn.Dense(128)(x)))
        return nn.softmax(logits).reshape(13, 13)


def sample(rng: np.random.Generator, photos, count: int):
    patches = []
    for i in rng.integers(len(photos), size=count):
        row, column = rng.integers(np.array(photos[i].shape) - PATCH)
        patches.append(photos[i][row:, column:][:PATCH, :PATCH])
    made = [blur_kernels.random_gaussian(rng, 13, scale=2) for _ in range(count)]
    return np.stack(patches), np.stack(made).astype(np.float32)


def main(folder: Path) -> dict[str, float]:
    network, optimizer = KernelNet(), optax.adam(1e-3)

    def loss(params, patch, true):
        kernel = network.apply(params, downscale(patch, true, 2))
        terms = penalty(kernel, weights={"boundary": 1.0, "centre": 0.1})
        return 1e3 * ((kernel - true) ** 2).sum() + sum(terms.values())

    @jax.jit
    def step(params, memory, patches, true):
        losses = jax.vmap(loss, (None, 0, 0))
        gradient = jax.grad(lambda p: losses(p, patches, true).mean())(params)
        update, memory = optimizer.update(gradient, memory)
        return optax.apply_updates(params, update), memory

    params = network.init(jax.random.key(0), jnp.zeros((PATCH // 2, PATCH // 2)))
    memory = optimizer.init(params)
    rng, photos = np.random.default_rng(0), [*map(pictures.photo, ("camera", "coffee"))]
    for _ in range(STEPS):
        params, memory = step(params, memory, *sample(rng, photos, BATCH))

    patches, true = sample(np.random.default_rng(1), [pictures.photo("chelsea")], 64)
    estimate = jax.vmap(lambda x, k: network.apply(params, downscale(x, k, 2)))
    ours = np.asarray(estimate(patches, true))
    psnr = functools.partial(metrics.kernel_psnr, scale=2)
    names = {"network": ours, "mean": [true.mean(0)] * len(true)}
    found = {name: np.mean([*map(psnr, x, true)]) for name, x in names.items()}
    print(f"network: {found['network']:.1f} dB, mean kernel: {found['mean']:.1f} dB")
    rows = [[(n, k) for k in x[:8]] for n, x in (("true", true), ("network", ours))]
    pictures.save(folder / "train_network.png", rows)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
