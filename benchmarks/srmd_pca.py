"""SRMD's matrix learned through the frozen network, beside the published one.

python benchmarks/srmd_pca.py --photos=FOLDER --weights=srmdnf_x2.bin --output=pca.npy
    [--steps=600] [--minutes=0] [--true_pca=srmd_pca.npy] [--data=PATH/kodakrk]

SRMD is given a kernel as 15 numbers, `P k`, with a matrix P of 15 x 225 that lies in a
file beside the weights. Here P is found without it: patches of photographs are blurred
with random Gaussians and downscaled bicubically, as the network was trained, and Adam
moves P so that the network restores them. The network stays as it is.

Kernels fill a few directions of the 225 only, and the later ones weakly. P is therefore
`C B`, where B (SPAN x 225) makes numbers of equal variance of the random kernels, and C
is learned. Prints how near P comes to the published one, and what that is in dB on a
test set with its true kernels.
"""

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.linalg
from absl import app, flags

from kernelgan_jax import blur_kernels, metrics
from kernelgan_jax.app.deep_wiener import photographs
from kernelgan_jax.benchmark.testset import common_part, read_test_set
from kernelgan_jax.kernel_export import SRMD_SIZE
from kernelgan_jax.pixels import to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import SRMDConfig, super_resolve
from kernelgan_jax.super_resolution.published import srmd

_PHOTOS = flags.DEFINE_string("photos", None, "Folder of photographs.", required=True)
_WEIGHTS = flags.DEFINE_string("weights", None, "SRMDNF's .bin.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "File for the matrix.", required=True)
_STEPS = flags.DEFINE_integer("steps", 600, "Steps of Adam.")
_MINUTES = flags.DEFINE_float("minutes", 0, "Ends after so many minutes; 0: never.")
_RATE = flags.DEFINE_float("learning_rate", 5e-3, "Of Adam, at the start.")
_TRUE = flags.DEFINE_string("true_pca", "", "The published matrix, to compare with.")
_DATA = flags.DEFINE_string("data", "", "Test set, to measure both matrices on.")
_IMAGES = flags.DEFINE_list("images", ["01", "08", "16", "24"], "Images of it.")

VARIANCES = (0.1, 6.0)
"""Of the random Gaussians along their axes, HR pixels squared."""

SPAN = 24
"""Directions of kernels that P is made of."""

LR_SIZE = 24
BATCH = 8
EDGE = 4
"""LR pixels at the border of a patch that are not compared."""

KERNELS = 4096
CHECKED = 1024
"""Kernels that matrices are compared on; others than those learned from."""


def random_kernels(rng: np.random.Generator, count: int) -> np.ndarray:
    """Gaussians as SRMD has them: `count x 15 x 15`, centred on a pixel."""
    return np.stack(
        [
            blur_kernels.random_gaussian(
                rng, SRMD_SIZE, scale=1, variances=VARIANCES, noise=0
            )
            for _ in range(count)
        ]
    )


def columns(kernels: np.ndarray) -> np.ndarray:
    """Each kernel as SRMD reads it, column by column: `N x 225`."""
    return kernels.transpose(0, 2, 1).reshape(len(kernels), -1)


def whitening(kernels: np.ndarray) -> np.ndarray:
    """B: it makes SPAN numbers of a kernel, whose mean square is 1 over the kernels."""
    _, sizes, directions = np.linalg.svd(columns(kernels), full_matrices=False)
    scale = np.sqrt(len(kernels)) / sizes[:SPAN, None]
    return (scale * directions[:SPAN]).astype(np.float32)


def pairs(hr: jax.Array, kernels: jax.Array, scale: int) -> tuple[jax.Array, jax.Array]:
    """LR and HR patches; the blur takes half a kernel of each border.

    Args:
      hr: `N x H x W x 3` uint8.
      kernels: `N x 15 x 15`.
      scale: Of the network.
    """

    def one(patch: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        planes = patch.astype(jnp.float32).transpose(2, 0, 1)[:, None] / 255
        blurred = jax.lax.conv(planes, kernel[None, None], (1, 1), "VALID")[:, 0]
        lr = bicubic_resize(blurred.transpose(1, 2, 0), 1 / scale)
        half = SRMD_SIZE // 2
        return lr, planes[:, 0, half:-half, half:-half].transpose(1, 2, 0)

    return jax.vmap(one)(hr, kernels)


def learn(paths: Sequence[Path], weights: srmd.Weights) -> np.ndarray:
    """P, from photographs and the frozen network."""
    scale = weights.network.scale
    rng = np.random.default_rng(0)
    drawn = random_kernels(rng, KERNELS)
    basis = whitening(drawn)
    size = scale * LR_SIZE + SRMD_SIZE - 1
    photos = photographs.load(paths, least=size, sizes=(0.5,), pages=0)
    rates = optax.cosine_decay_schedule(_RATE.value, max(_STEPS.value, 1))
    optimiser = optax.adam(rates)

    def loss(code: jax.Array, numbers: jax.Array, lr: jax.Array, hr: jax.Array) -> Any:
        enlarge = functools.partial(srmd.apply, weights, noise_std=0.0)
        found = jax.vmap(enlarge)(lr, numbers @ code.T)
        edge = EDGE * scale
        error = (found - hr)[:, edge:-edge, edge:-edge]
        return jnp.abs(error).mean()

    @jax.jit
    def step(key: Any, code: Any, state: Any, kernels: Any, numbers: Any) -> Any:
        patches = photographs.draw(key, photos, size=size, count=BATCH)
        lr, hr = pairs(patches, kernels, scale)
        value, gradient = jax.value_and_grad(loss)(code, numbers, lr, hr)
        update, state = optimiser.update(gradient, state)
        return optax.apply_updates(code, update), state, value

    code = jnp.zeros((srmd.CODE, SPAN), jnp.float32)
    state, values = optimiser.init(code), []
    flat = columns(drawn) @ basis.T
    begun = time.perf_counter()
    for number in range(_STEPS.value):
        some = rng.integers(KERNELS, size=BATCH)
        key = jax.random.key(number)
        code, state, value = step(
            key, code, state, drawn[some].astype(np.float32), flat[some]
        )
        values.append(float(value))
        seconds = time.perf_counter() - begun
        ends = number + 1 == _STEPS.value or 0 < 60 * _MINUTES.value < seconds
        if (number + 1) % 50 == 0 or ends:
            mean = 255 * np.mean(values[-50:])
            print(f"step {number + 1}: {mean:.3f} gray levels, {seconds:.0f} s", flush=True)
        if ends:
            break
    return np.asarray(code) @ basis


def compare(found: np.ndarray, true: np.ndarray) -> None:
    """Prints how near a matrix is to the published one."""
    kernels = columns(random_kernels(np.random.default_rng(1), CHECKED))
    ours, theirs = kernels @ found.T, kernels @ true.T
    error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    spread = np.linalg.norm((ours - theirs)) / np.linalg.norm(theirs - theirs.mean(0))
    angles = np.degrees(scipy.linalg.subspace_angles(found.T, true.T))[::-1]
    print(
        f"numbers of {CHECKED} kernels: error {100 * error:.1f} % of their norm, "
        f"{100 * spread:.1f} % of their spread\nangles of the subspaces: "
        + ", ".join(f"{angle:.1f}" for angle in angles)
        + " degrees"
    )


def measure(folder: Path, matrices: dict[str, str], scale: int) -> None:
    """Prints PSNR-Y with the true kernels of a test set, for each matrix."""
    rows: dict[str, list[float]] = {name: [] for name in matrices}
    cases = read_test_set(folder, scale, names=_IMAGES.value).cases
    for case in cases:
        for name, pca in matrices.items():
            sr = super_resolve(
                jax.random.key(0),
                case.lr(),
                case.kernel(),
                scale=scale,
                method="srmd",
                config=SRMDConfig(weights=_WEIGHTS.value, pca=pca),
            )
            sr, hr = common_part(sr, to_unit(case.hr()))
            rows[name].append(metrics.psnr_y(sr, hr, scale=scale))
    for name, values in rows.items():
        print(
            f"| {name} | "
            + " | ".join(f"{value:.2f}" for value in [*values, np.mean(values)])
            + " |"
        )


def main(argv: Sequence[str]) -> None:
    del argv
    weights = srmd.load(Path(_WEIGHTS.value))
    output = Path(_OUTPUT.value)
    np.save(output, learn(photographs.find(Path(_PHOTOS.value)), weights))
    matrices = {"learned": str(output)}
    if _TRUE.value:
        compare(np.load(output), srmd.load_pca(Path(_TRUE.value)))
        matrices["published"] = _TRUE.value
    if _DATA.value:
        measure(Path(_DATA.value), matrices, weights.network.scale)


if __name__ == "__main__":
    app.run(main)
