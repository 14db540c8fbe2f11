"""Do kernels of any form gain from the likelihood? They start at the spectral kernel.

python benchmarks/free_form.py --data=SET     (a test set, as kernelgan-benchmark makes)

Kernel and spectrum are fitted to the periodogram by L-BFGS, as the spectral estimator
does for its families, with a kernel of `priors.simplex`: of any form, up to its phase,
which the likelihood does not depend on. The penalty is the relative squared distance
from the start, times a weight. Prints kernel PSNR, mean and worst, and how much the
loss fell.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from kernelgan_jax import analyse, kernels, metrics, priors
from kernelgan_jax.benchmark.testset import read_test_set
from kernelgan_jax.estimators.spectral.likelihood import spectral_likelihood
from kernelgan_jax.estimators.spectral.observation import FREQUENCY_WEIGHTS
from kernelgan_jax.estimators.spectral.periodogram import mean_periodogram, to_gray
from kernelgan_jax.pixels import unit_image

_DATA = flags.DEFINE_string("data", None, "Test set.", required=True)
_SCALE = flags.DEFINE_integer("scale", 2, "Scale of the images.")
_STEPS = flags.DEFINE_integer("steps", 150, "Steps of L-BFGS.")
_IMAGES = flags.DEFINE_integer("images", None, "Only the first images, this many.")

WEIGHTS = (0.0, 0.01, 0.1, 0.3, 1.0)


@functools.cache
def search(scale: int, steps: int):
    """Kernel and fall of the loss, at the least loss near a start."""
    likelihood = spectral_likelihood(scale)
    model = priors.simplex(likelihood.size, scale=scale)
    weights = jnp.asarray(FREQUENCY_WEIGHTS / FREQUENCY_WEIGHTS.sum(), jnp.float32)

    @jax.jit
    def run(start, spectrum, measured, weight):
        def loss(parameters):
            kernel, spectrum = model.kernel(parameters[0]), parameters[1]
            misfit = (weights * likelihood.misfit(kernel, spectrum, measured)).sum()
            apart = ((kernel - start) ** 2).sum() / (start**2).sum()
            return misfit + likelihood.penalty(spectrum) + weight * apart

        solver = optax.lbfgs()
        value_and_grad = optax.value_and_grad_from_state(loss)

        def step(carry, _):
            parameters, state = carry
            value, gradient = value_and_grad(parameters, state=state)
            updates, state = solver.update(
                gradient, state, parameters, value=value, grad=gradient, value_fn=loss
            )
            return (optax.apply_updates(parameters, updates), state), None

        first = (jnp.log(jnp.maximum(start, 1e-5)), spectrum)
        (last, _), _ = jax.lax.scan(step, (first, solver.init(first)), length=steps)
        return model.kernel(last[0]), loss(first) - loss(last)

    return run


def main(_: list[str]) -> None:
    scale = _SCALE.value
    found: dict[str, list[tuple[float, float]]] = {}
    for case in read_test_set(Path(_DATA.value), scale).cases[: _IMAGES.value]:
        unit = unit_image(case.lr())
        evidence = analyse(unit, scale=scale)
        start = jnp.asarray(evidence.raw_kernel, jnp.float32)
        spectrum = jax.tree.map(jnp.asarray, evidence.spectrum)
        measured = jnp.asarray(mean_periodogram(to_gray(unit)), jnp.float32)
        run = functools.partial(search(scale, _STEPS.value), start, spectrum, measured)
        made = {"spectral": (start, 0.0)}
        made |= {f"any form, weight {weight}": run(weight) for weight in WEIGHTS}
        for name, (kernel, gain) in made.items():
            kernel = kernels.normalise(np.asarray(kernel, np.float64))
            psnr = metrics.kernel_psnr(kernel, case.kernel(), scale=scale)
            found.setdefault(name, []).append((psnr, float(gain)))
    print(f"| {_DATA.value} | mean, dB | worst, dB | loss falls by |")
    print("| --- | --- | --- | --- |")
    for name, values in found.items():
        psnr, gain = np.array(values).T
        print(f"| {name} | {psnr.mean():.2f} | {psnr.min():.2f} | {gain.mean():.4f} |")


if __name__ == "__main__":
    app.run(main)
