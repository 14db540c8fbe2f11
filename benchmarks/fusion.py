"""Does KernelGAN add to the spectral kernel? It starts there, and is held there.

python benchmarks/fusion.py --data=SET        (a test set, as kernelgan-benchmark makes)

The generator is any kernel (`prior.simplex`). It starts at the spectral kernel or, to
see where the game itself wants to go, at the true one; the penalty is the relative
squared distance from the spectral kernel, times a weight. Prints kernel PSNR, mean and
worst, before and after.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from kernelgan_jax.config import Config
from kernelgan_jax.estimators.kernelgan.algorithm import Batch, generator_kernel
from kernelgan_jax.estimators.kernelgan.train import CHUNK
from kernelgan_jax.estimators.run import prepare
from kernelgan_jax.priors.simplex import simplex
from kernelgan_jax.benchmark import testset
from kernelgan_jax.estimators.kernelgan import algorithm
from kernelgan_jax import kernels
from kernelgan_jax import metrics
from kernelgan_jax import estimate_spectral

_DATA = flags.DEFINE_string("data", None, "test set with x2 images", required=True)
_IMAGES = flags.DEFINE_integer("images", None, "the first ones only")
_STEPS = flags.DEFINE_integer("steps", 400, "of training, in hundreds")
_RATE = flags.DEFINE_float("rate", 0.01, "the generator's learning rate")

WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0)


@functools.cache
def training(config):
    """A chunk of steps, for any start, target and weight."""

    @jax.jit
    def chunk(state, batches, key, target, weight):
        def distance(kernel):
            apart = ((kernel - target) ** 2).sum() / (target**2).sum()
            return weight * apart

        model = simplex(config.kernel_size)
        _, step = algorithm(config, generator=model, penalty=distance)

        def body(state, batch):
            key_of_step = jax.random.fold_in(key, state.step)
            return step(key_of_step, state, batch)[0], None

        return jax.lax.scan(body, state, batches)[0]

    return chunk


def framed(kernel, config):
    """A kernel on the generator's frame, aligned, positive, sum 1."""
    size = config.kernel_size
    first = (metrics.pad_to_frame(kernel, scale=2).shape[0] - size) // 2
    inner = metrics.pad_to_frame(kernel, scale=2)[first : first + size, first : first + size]
    return kernels.normalise(np.maximum(inner, 1e-6))


def train(lr, start, target, weight, config):
    prepared = prepare(jax.random.key(0), lr, config)
    model = simplex(config.kernel_size)
    fixed = model._replace(init=lambda _: jnp.log(jnp.asarray(start, jnp.float32)))
    init, _ = algorithm(config, generator=fixed)
    state = init(prepared.init_key)
    chunk = training(config)
    for step in range(0, config.iterations, CHUNK):
        batches = Batch(*prepared.crops(step, config))
        target_ = jnp.asarray(target, jnp.float32)
        state = chunk(state, batches, prepared.train_key, target_, weight)
    raw = np.asarray(generator_kernel(state, config=config), np.float64)
    return kernels.normalise(kernels.centre(raw, 2))


def main(_):
    config = Config(
        prior="simplex",
        iterations=_STEPS.value,
        decay_every=max(_STEPS.value // 2, 1),
        generator_learning_rate=_RATE.value,
        bicubic_weight=0.0,
        bicubic_floor=0.0,
        sum_weight=0.0,
        boundary_weight=0.0,
        centre_weight=0.0,
        sparsity_weight=0.0,
    )
    found: dict[str, list[float]] = {}
    for case in testset.read(Path(_DATA.value), 2).cases[: _IMAGES.value]:
        lr, true = case.lr(), case.kernel()
        spectral = framed(estimate_spectral(lr).kernel, config)

        def add(name, kernel, true=true):
            psnr = metrics.kernel_psnr(kernel, true, scale=2)
            found.setdefault(name, []).append(psnr)

        add("spectral", spectral)
        for weight in WEIGHTS:
            kernel = train(lr, spectral, spectral, weight, config)
            add(f"from there, weight {weight}", kernel)
        add(
            "from the true one, weight 0",
            train(lr, framed(true, config), spectral, 0.0, config),
        )
    print(f"| {_DATA.value}, {len(found['spectral'])} images | mean, dB | worst, dB |")
    print("| --- | --- | --- |")
    for name, psnr in found.items():
        print(f"| {name} | {np.mean(psnr):.2f} | {min(psnr):.2f} |")


if __name__ == "__main__":
    app.run(main)
