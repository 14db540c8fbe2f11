"""Does KernelGAN improve the spectral kernel? It starts there, and is held there.

python benchmarks/fusion.py --data=SET        (a test set, as kernelgan-benchmark makes)

The generator is any kernel (`priors.simplex`). It starts at the spectral kernel or, to
see where the training itself leads, at the true one; the penalty is the relative
squared distance from the spectral kernel, times a weight. Prints kernel PSNR, mean and
worst, before and after.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from kernelgan_jax import estimate_spectral, kernels, metrics, priors
from kernelgan_jax.benchmark.testset import read_test_set
from kernelgan_jax.estimators.kernelgan.algorithm import generator_kernel, kernelgan
from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.crops import prepare
from kernelgan_jax.estimators.kernelgan.state import Batch
from kernelgan_jax.estimators.kernelgan.train import CHUNK
from kernelgan_jax.pixels import unit_image

_DATA = flags.DEFINE_string("data", None, "Test set with x2 images.", required=True)
_IMAGES = flags.DEFINE_integer("images", None, "Only the first images, this many.")
_STEPS = flags.DEFINE_integer("steps", 400, "Steps of training, a multiple of 100.")
_RATE = flags.DEFINE_float("rate", 0.01, "Learning rate of the generator.")

WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0)


@functools.cache
def training(config: KernelGANConfig):
    """A chunk of steps, for any start, target and weight."""

    @jax.jit
    def chunk(state, batches, key, target, weight):
        def distance(kernel):
            apart = ((kernel - target) ** 2).sum() / (target**2).sum()
            return {"distance": weight * apart}

        model = priors.simplex(config.kernel_size)
        _, step = kernelgan(config, generator=model, penalty=distance)

        def body(state, batch):
            key_of_step = jax.random.fold_in(key, state.step)
            return step(key_of_step, state, batch)[0], None

        return jax.lax.scan(body, state, batches)[0]

    return chunk


def generator_sized(kernel: np.ndarray, config: KernelGANConfig) -> np.ndarray:
    """A kernel at the generator's size, aligned, positive, sum 1."""
    size = config.kernel_size
    frame = metrics.pad_to_frame(kernel, scale=2)
    first = (len(frame) - size) // 2
    inner = frame[first : first + size, first : first + size]
    return kernels.normalise(np.maximum(inner, 1e-6))


def train(
    lr: np.ndarray,
    start: np.ndarray,
    target: np.ndarray,
    weight: float,
    config: KernelGANConfig,
) -> np.ndarray:
    """The kernel after training from `start`, held at `target`."""
    (prepared,) = prepare(jax.random.key(0), unit_image(lr), config)
    model = priors.simplex(config.kernel_size)
    fixed = model._replace(init=lambda _: jnp.log(jnp.asarray(start, jnp.float32)))
    init, _ = kernelgan(config, generator=fixed)
    state = init(prepared.init_key)
    chunk = training(config)
    target_array = jnp.asarray(target, jnp.float32)
    for step in range(0, config.iterations, CHUNK):
        batches = Batch(*prepared.crops(step, step + CHUNK, config))
        state = chunk(state, batches, prepared.train_key, target_array, weight)
    raw = np.asarray(generator_kernel(state, config=config), np.float64)
    return kernels.normalise(kernels.centre(raw, 2))


def main(_: list[str]) -> None:
    config = KernelGANConfig(
        prior="simplex",
        iterations=_STEPS.value,
        decay_every=max(_STEPS.value // 2, 1),
        generator_learning_rate=_RATE.value,
        bicubic_weight=0.0,
        min_bicubic_weight=0.0,
        sum_weight=0.0,
        boundary_weight=0.0,
        centre_weight=0.0,
        sparsity_weight=0.0,
    )
    found: dict[str, list[float]] = {}
    for case in read_test_set(Path(_DATA.value), 2).cases[: _IMAGES.value]:
        lr, true = case.lr(), case.kernel()
        spectral = generator_sized(estimate_spectral(lr).kernel, config)
        made = {"spectral": spectral}
        for weight in WEIGHTS:
            kernel = train(lr, spectral, spectral, weight, config)
            made[f"from there, weight {weight}"] = kernel
        start = generator_sized(true, config)
        made["from the true one, weight 0"] = train(lr, start, spectral, 0.0, config)
        for name, kernel in made.items():
            psnr = metrics.kernel_psnr(kernel, true, scale=2)
            found.setdefault(name, []).append(psnr)
    print(f"| {_DATA.value}, {len(found['spectral'])} images | mean, dB | worst, dB |")
    print("| --- | --- | --- |")
    for name, values in found.items():
        print(f"| {name} | {np.mean(values):.2f} | {min(values):.2f} |")


if __name__ == "__main__":
    app.run(main)
