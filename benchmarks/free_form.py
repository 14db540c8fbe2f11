"""Do kernels of any form gain from the likelihood? They start at the spectral kernel.

python benchmarks/free_form.py --data=SET     (a test set, as kernelgan-benchmark makes)

Kernel and spectrum are fitted by L-BFGS to the periodogram, as `spectral.fit` does for
its families, with a kernel of `prior.simplex`: any, up to its phase, which the
likelihood does not see. The penalty is the relative squared distance from the start,
times a weight. Prints kernel PSNR, mean and worst, and how much the loss fell.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from kernelgan_jax.estimators.spectral.estimator import analyse
from kernelgan_jax.estimators.spectral.likelihood import FREQUENCY_WEIGHTS, spectral_likelihood
from kernelgan_jax.estimators.spectral.periodogram import periodogram, to_gray
from kernelgan_jax.pixels import to_unit
from kernelgan_jax.priors.simplex import simplex
from kernelgan_jax.benchmark import testset
from kernelgan_jax import kernels
from kernelgan_jax import metrics

_DATA = flags.DEFINE_string("data", None, "test set", required=True)
_SCALE = flags.DEFINE_integer("scale", 2, "of the images")
_STEPS = flags.DEFINE_integer("steps", 150, "of L-BFGS")

WEIGHTS = (0.0, 0.01, 0.1, 0.3, 1.0)


@functools.cache
def search(scale, steps):
    """Kernel and spectrum at the least loss, from a start."""
    likelihood = spectral_likelihood(scale)
    model = simplex(likelihood.size, scale=scale)
    used = jnp.asarray(FREQUENCY_WEIGHTS / FREQUENCY_WEIGHTS.sum(), jnp.float32)

    @jax.jit
    def run(start, spectrum, measured, weight):
        def loss(parameters):
            kernel, spectrum = model.kernel(parameters[0]), parameters[1]
            misfit = (used * likelihood.misfit(kernel, spectrum, measured)).sum()
            apart = ((kernel - start) ** 2).sum() / (start**2).sum()
            return misfit + likelihood.priors(spectrum) + weight * apart

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


def main(_):
    scale = _SCALE.value
    found: dict[str, list[tuple[float, float]]] = {}
    for case in testset.read(Path(_DATA.value), scale).cases:
        gray = to_gray(to_unit(case.lr()))
        analysis = analyse(gray, scale=scale)
        start, spectrum = analysis.fit.kernel, analysis.evidence.spectrum
        measured = jnp.asarray(periodogram(gray), jnp.float32)
        run = functools.partial(
            search(scale, _STEPS.value), jnp.asarray(start), spectrum, measured
        )
        kernels_found = {"spectral": (start, 0.0)}
        kernels_found |= {f"any form, weight {w}": run(w) for w in WEIGHTS}
        for name, (kernel, gain) in kernels_found.items():
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
