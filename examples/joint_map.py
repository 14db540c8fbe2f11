"""Blind super-resolution by joint MAP: image and kernel together, TV on the image.

    python examples/joint_map.py [FOLDER]

Minimises over the image x and the parameters of a kernel prior

    |downscale(x, k, 2) - lr|^2 / (2 sigma^2) + weight * TV(x)

Prints the PSNR of image and kernel, and draws FOLDER/joint_map.png (results/ by
default). With larger weights a kernel that does nothing wins (Levin et al., CVPR 2009);
a prior that knows usual widths of kernels, as the flow does, prevents that for longer.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pictures

from kernelgan_jax import blur_kernels, downscale, metrics, priors
from kernelgan_jax.priors import KernelPrior
from kernelgan_jax.resize import bicubic_resize

SIGMA = 1 / 255
TV_WEIGHT = 1.0
STEPS = 1500


def total_variation(x):
    rows, columns = jnp.diff(x[:, :-1], axis=0), jnp.diff(x[:-1], axis=1)
    return jnp.sqrt(rows**2 + columns**2 + 1e-6).sum()


def solve(lr: jax.Array, model: KernelPrior) -> tuple[jax.Array, jax.Array]:
    optimizer = optax.adam(optax.cosine_decay_schedule(0.01, STEPS))

    def loss(unknown):
        image, params = unknown
        misfit = downscale(image, model.kernel(params), 2) - lr
        energy = (misfit**2).sum() / (2 * SIGMA**2)
        return energy + TV_WEIGHT * total_variation(image)

    def step(state, _):
        unknown, memory = state
        update, memory = optimizer.update(jax.grad(loss)(unknown), memory)
        return (optax.apply_updates(unknown, update), memory), None

    unknown = bicubic_resize(lr, 2), model.init(jax.random.key(0))
    state = (unknown, optimizer.init(unknown))
    (unknown, _), _ = jax.jit(lambda s: jax.lax.scan(step, s, length=STEPS))(state)
    return unknown[0], model.kernel(unknown[1])


def psnr(image, hr) -> float:
    image = np.clip(np.asarray(image), 0, 1)
    return metrics.psnr_y(image[..., None], hr[..., None], scale=2)


def main(folder: Path) -> dict[str, float]:
    hr = pictures.photo("chelsea")[60:188, 120:248]
    true = blur_kernels.gaussian(13, variances=(5.0, 2.0), angle=0.8, scale=2)
    lr = downscale(jnp.asarray(hr), jnp.asarray(true), 2)
    bicubic = bicubic_resize(lr, 2)
    sharp, kernel = map(np.asarray, solve(lr, priors.flow()))
    found = {"bicubic": psnr(bicubic, hr), "joint MAP": psnr(sharp, hr)}
    found["kernel"] = metrics.kernel_psnr(kernel, true, scale=2)
    titles = [f"{name}: {value:.1f} dB" for name, value in found.items()]
    print(", ".join(titles))
    row = list(zip(titles, (bicubic, sharp, kernel), strict=True))
    row += [("HR", hr), ("true kernel", true)]
    pictures.save(folder / "joint_map.png", [row])
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
