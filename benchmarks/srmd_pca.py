"""SRMD's matrix learned through the frozen network, beside the published one.

python benchmarks/srmd_pca.py --photos=FOLDER --weights=srmdnf_x2.bin --output=pca.npy
    [--steps=400] [--minutes=0] [--true_pca=srmd_pca.npy] [--data=PATH/kodakrk]

SRMD is given a kernel as 15 numbers, `P k`, with a matrix P of 15 x 225 that lies in a
file beside the weights. Here P is found without it: patches of photographs are blurred
with random Gaussians and downscaled bicubically, as the network was trained, and P is
sought with which the network restores them. The network stays as it is.

P is that of a principal component analysis (section 3.2 of the paper), so its rows are
nearly orthonormal and nearly the principal directions of the random kernels. Their
order and signs are found first, one after the other; then Adam turns P, as `R V` with V
the first SPAN directions, and a penalty keeps R orthonormal. Prints how near P comes to
the published one, and what that is in dB on a test set with its true kernels.
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
from kernelgan_jax.app import photographs
from kernelgan_jax.benchmark.testset import common_part, read_test_set
from kernelgan_jax.kernel_export import SRMD_SIZE
from kernelgan_jax.pixels import to_unit
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import SRMDConfig, super_resolve
from kernelgan_jax.super_resolution.published import srmd

_PHOTOS = flags.DEFINE_string("photos", None, "Folder of photographs.", required=True)
_WEIGHTS = flags.DEFINE_string("weights", None, "SRMDNF's .bin.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "File for the matrix.", required=True)
_STEPS = flags.DEFINE_integer("steps", 400, "Steps of Adam.")
_MINUTES = flags.DEFINE_float("minutes", 0, "Ends after so many minutes; 0: never.")
_RATE = flags.DEFINE_float("learning_rate", 5e-3, "Of Adam, at the start.")
_TRUE = flags.DEFINE_string("true_pca", "", "The published matrix, to compare with.")
_DATA = flags.DEFINE_string("data", "", "Test set, to measure both matrices on.")
_IMAGES = flags.DEFINE_list("images", ["01", "08", "16", "24"], "Images of it.")

VARIANCES = (0.1, 6.0)
"""Variances of the random Gaussians along their axes, HR pixels squared."""

SPAN = 24
"""Directions of kernels that P is made of."""

LR_SIZE = 20
BATCH = 8
LOOKS = 4
"""Batches that orders and signs are judged by."""

PENALTY = 0.02
"""On the distance of `R R'` from the identity."""

KERNELS = 4096
CHECKED = 1024
"""Kernels that matrices are compared on; others than those learned from."""


def random_kernels(rng: np.random.Generator, count: int) -> np.ndarray:
    """Gaussians as SRMD has them: `count x 15 x 15`, centred on a pixel."""
    options: dict[str, Any] = {"scale": 1, "variances": VARIANCES, "noise": 0}
    draw = functools.partial(blur_kernels.random_gaussian, rng, SRMD_SIZE, **options)
    return np.stack([draw() for _ in range(count)])


def columns(kernels: np.ndarray) -> np.ndarray:
    """Each kernel as SRMD reads it, column by column: `N x 225`."""
    return kernels.transpose(0, 2, 1).reshape(len(kernels), -1)


def directions(kernels: np.ndarray) -> np.ndarray:
    """V: the first SPAN principal directions of kernels, turned and mirrored too."""
    turned = np.concatenate([np.rot90(kernels, i, (1, 2)) for i in range(4)])
    every = columns(np.concatenate([turned, turned[:, ::-1]]))
    _, found = np.linalg.eigh(every.T @ every)
    return found[:, ::-1][:, :SPAN].T.astype(np.float32)


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


class Problem:
    """Patches, kernels, and the loss of a matrix R."""

    def __init__(self, paths: Sequence[Path], weights: srmd.Weights):
        """Reads the photographs and draws the kernels."""
        self.weights = weights
        scale = weights.network.scale
        self.size = scale * LR_SIZE + SRMD_SIZE - 1
        self.photos = photographs.load(paths, least=self.size, sizes=(0.5,), pages=0)
        found = random_kernels(np.random.default_rng(0), KERNELS)
        self.directions = directions(found)
        self.kernels = found.astype(np.float32)
        self.numbers = columns(self.kernels) @ self.directions.T
        self.measure = jax.jit(self.loss)

    def loss(self, turn: jax.Array, key: jax.Array, numbers: Any, kernels: Any) -> Any:
        """Mean absolute error of restored patches, with R; and without penalty."""
        patches = photographs.draw(key, self.photos, size=self.size, count=BATCH)
        lr, hr = pairs(patches, kernels, self.weights.network.scale)
        enlarge = functools.partial(srmd.apply, self.weights, noise_std=0.0)
        error = jnp.abs(jax.vmap(enlarge)(lr, numbers @ turn.T) - hr).mean()
        apart = turn @ turn.T - jnp.eye(srmd.CODE)
        return error + PENALTY * (apart**2).sum(), error

    def batch(self, seed: int) -> tuple[Any, ...]:
        """What a loss needs beside R."""
        some = np.random.default_rng(seed).integers(KERNELS, size=BATCH)
        return jax.random.key(seed), self.numbers[some], self.kernels[some]

    def error(self, turn: np.ndarray) -> float:
        """The error on the batches that orders and signs are judged by."""
        used = jnp.asarray(turn, jnp.float32)
        looks = [self.measure(used, *self.batch(10**6 + i)) for i in range(LOOKS)]
        return 255 * float(np.mean([error for _, error in looks]))


def start(problem: Problem) -> np.ndarray:
    """R of the best order and signs of the principal directions."""
    results = []
    for places in (range(srmd.CODE), reversed(range(srmd.CODE))):
        turn = np.zeros((srmd.CODE, SPAN))
        error = problem.error(turn)
        for direction, place in enumerate(places):  # from the strongest direction on
            for sign in (1, -1):
                tried = turn.copy()
                tried[place, direction] = sign
                value = problem.error(tried)
                if sign == 1 or value < error:
                    error, best = value, tried
            turn = best
        results.append((error, turn))
        print(f"start: {error:.3f} gray levels", flush=True)
    return min(results, key=lambda result: result[0])[1]


def learn(problem: Problem) -> np.ndarray:
    """P, from photographs and the frozen network."""
    optimiser = optax.adam(optax.cosine_decay_schedule(_RATE.value, _STEPS.value))

    @jax.jit
    def step(turn: Any, state: Any, *batch: Any) -> Any:
        gradient, error = jax.grad(problem.loss, has_aux=True)(turn, *batch)
        update, state = optimiser.update(gradient, state)
        return optax.apply_updates(turn, update), state, error

    turn = jnp.asarray(start(problem), jnp.float32)
    state, errors, begun = optimiser.init(turn), [], time.perf_counter()
    for number in range(_STEPS.value):
        turn, state, error = step(turn, state, *problem.batch(number))
        errors.append(float(error))
        seconds = time.perf_counter() - begun
        ends = number + 1 == _STEPS.value or 0 < 60 * _MINUTES.value < seconds
        if (number + 1) % 50 == 0 or ends:
            mean = 255 * np.mean(errors[-50:])
            print(f"step {number + 1}: {mean:.3f}, {seconds:.0f} s", flush=True)
        if ends:
            break
    print(f"end: {problem.error(np.asarray(turn)):.3f} gray levels")
    return np.asarray(turn) @ problem.directions


def compare(found: np.ndarray, true: np.ndarray) -> None:
    """Prints how near a matrix is to the published one."""
    kernels = columns(random_kernels(np.random.default_rng(1), CHECKED))
    error = np.linalg.norm(kernels @ (found - true).T) / np.linalg.norm(
        kernels @ true.T
    )
    angles = np.degrees(scipy.linalg.subspace_angles(found.T, true.T))[::-1]
    print(f"numbers of {CHECKED} kernels: {100 * error:.1f} % of their norm apart")
    print("angles of the subspaces, degrees:", *(f"{angle:.1f}" for angle in angles))


def measure(folder: Path, matrices: dict[str, str], scale: int) -> None:
    """Prints PSNR-Y with the true kernels of a test set, for each matrix."""
    cases = read_test_set(folder, scale, names=_IMAGES.value).cases
    for name, pca in matrices.items():
        config = SRMDConfig(weights=_WEIGHTS.value, pca=pca)
        options: dict[str, Any] = {"scale": scale, "method": "srmd", "config": config}
        values = []
        for case in cases:
            key, kernel = jax.random.key(0), case.kernel()
            sr = super_resolve(key, case.lr(), kernel, **options)
            sr, hr = common_part(sr, to_unit(case.hr()))
            values.append(metrics.psnr_y(sr, hr, scale=scale))
        cells = " | ".join(f"{value:.2f}" for value in [*values, np.mean(values)])
        print(f"| {name} | {cells} |", flush=True)


def main(argv: Sequence[str]) -> None:
    del argv
    weights = srmd.load(Path(_WEIGHTS.value))
    output = Path(_OUTPUT.value)
    problem = Problem(photographs.find(Path(_PHOTOS.value)), weights)
    if _TRUE.value:
        theirs = srmd.load_pca(Path(_TRUE.value)) @ problem.directions.T
        print(f"published matrix: {problem.error(theirs):.3f} gray levels", flush=True)
    np.save(output, learn(problem))
    matrices = {"learned": str(output)}
    if _TRUE.value:
        compare(np.load(output), srmd.load_pca(Path(_TRUE.value)))
        matrices["published"] = _TRUE.value
    if _DATA.value:
        measure(Path(_DATA.value), matrices, weights.network.scale)


if __name__ == "__main__":
    app.run(main)
