"""Finds the kernel of an HR/LR pair by gradient descent, with four kernel priors.

    python examples/recover_kernel.py [FOLDER]

An image is downscaled by 2 with a Gaussian and with a motion kernel. For each prior the
kernel that explains the pair best is found. Prints the PSNR of these kernels, and draws
them in FOLDER/recover_kernel.png (results/ by default).
"""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pictures

from kernelgan_jax import blur_kernels, downscale, metrics, priors
from kernelgan_jax.priors import KernelPrior

STEPS = 6000
# Priors, and Adam's first learning rate for its parameters.
PRIORS = {
    "deep_linear": (priors.deep_linear(channels=16), 0.005),
    "simplex": (priors.simplex(13), 0.05),
    "gaussian": (priors.gaussian(13), 0.02),
    "flow": (priors.flow(), 0.05),
}


def true_kernels() -> dict[str, np.ndarray]:
    motion = np.zeros((13, 13))
    motion[np.arange(10, 2, -1), np.arange(2, 10)] = 1  # a diagonal of 8 pixels
    motion[2:4, 10] = 1
    return {
        "gaussian": blur_kernels.gaussian(13, variances=(4.0, 1.5), angle=0.5, scale=2),
        "motion": motion / motion.sum(),
    }


@functools.partial(jax.jit, static_argnums=(0, 1))
def recover(model: KernelPrior, rate: float, hr, lr):
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, STEPS))

    def loss(params):
        return 1e4 * ((downscale(hr, model.kernel(params), 2) - lr) ** 2).mean()

    def step(state, _):
        params, memory = state
        update, memory = optimizer.update(jax.grad(loss)(params), memory)
        return (optax.apply_updates(params, update), memory), None

    params = model.init(jax.random.key(0))
    state = (params, optimizer.init(params))
    (params, _), _ = jax.lax.scan(step, state, length=STEPS)
    return model.kernel(params)


def main(folder: Path) -> dict[tuple[str, str], float]:
    hr = jnp.asarray(pictures.photo("camera")[60:156, 60:156])
    found, rows = {}, []
    for name, true in true_kernels().items():
        rows.append([(f"true: {name}", true)])
        lr = downscale(hr, jnp.asarray(true), 2)
        for prior_name, (model, rate) in PRIORS.items():
            kernel = np.asarray(recover(model, rate, hr, lr))
            psnr = found[name, prior_name] = metrics.kernel_psnr(kernel, true, scale=2)
            print(f"{name} kernel, {prior_name} prior: {psnr:.1f} dB")
            rows[-1].append((f"{prior_name}: {psnr:.1f} dB", kernel))
    pictures.save(folder / "recover_kernel.png", rows)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
