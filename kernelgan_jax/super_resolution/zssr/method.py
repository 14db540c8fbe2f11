"""ZSSR: a small network for one image, trained on the image alone.

Shocher, Cohen, Irani, "Zero-Shot Super-Resolution using Deep Internal Learning", CVPR
2018, with a given kernel (SPEC section 2). A crop of the image (the "father") is
downscaled with the kernel (its "son"); the network learns to undo that, and then
enlarges the image itself.

`zssr` is the published network, which works at the size of the result. `zssr_fast`
learns from the same pairs and works at the size of its input, with a pixel shuffle at
the end, on top of the best linear filter, which a least-squares fit gives at once.

Nothing above `_compiled` is jitted, batched or placed.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.config import NOISE_UNIT, SRConfig
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import textured_window
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.tiles import apply_tiled
from kernelgan_jax.super_resolution.zssr.algorithm import CHUNK, State, zero_shot
from kernelgan_jax.super_resolution.zssr.linear_filter import (
    FILTER_RADIUS,
    FOLDS,
    RIDGE_FACTORS,
    fit_linear,
    linear_enlargement,
)
from kernelgan_jax.super_resolution.zssr.network import Architecture
from kernelgan_jax.super_resolution.zssr.pairs import blur, make_father


@functools.lru_cache(maxsize=8)
def _compiled(
    network: Architecture, config: SRConfig, crop: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    on_cpu = jax.default_backend() == "cpu"
    algorithm = zero_shot(network, config, crop=crop, as_product=on_cpu)

    def train(key: jax.Array, state: State, fathers: Any, until: Any) -> State:
        def body(state: State, _: None) -> tuple[State, None]:
            step_key = jax.random.fold_in(key, state.step)
            return algorithm.step(step_key, state, fathers), None

        def chunk(state: State) -> State:
            state, _ = jax.lax.scan(body, state, None, length=CHUNK)
            return algorithm.policy(state, fathers)

        def go_on(state: State) -> jax.Array:
            return algorithm.running(state) & (state.step < until)

        return jax.lax.while_loop(go_on, chunk, state)

    return jax.jit(algorithm.init), jax.jit(train, donate_argnames="state")


@functools.lru_cache(maxsize=8)
def _enlarger(network: Architecture, back_projections: int) -> Callable[..., jax.Array]:
    """Network and back-projection on one tile, jitted."""
    scale, module = network.scale, network.module()

    def enlarge(
        params: Any, linear: Any, kernel: jax.Array, lr: jax.Array
    ) -> jax.Array:
        base = linear_enlargement(lr, linear, scale).transpose(2, 0, 1)
        hr = network.apply(module, params, lr.transpose(2, 0, 1), base)
        hr = jnp.clip(hr.transpose(1, 2, 0), 0, 1)
        for _ in range(back_projections):
            missing = lr - downscale(hr, kernel, scale)
            hr = jnp.clip(hr + bicubic_resize(missing, scale), 0, 1)
        return hr

    return jax.jit(enlarge)


def _run(
    network: Architecture,
    key: jax.Array,
    image: np.ndarray,
    kernels: tuple[np.ndarray, ...],
    fathers: tuple[np.ndarray, ...],
    config: SRConfig,
    progress: Callable[[int, int, float], None] | None,
) -> np.ndarray:
    scale = network.scale
    kernels = tuple(kernel.astype(np.float32) for kernel in kernels)
    noise = NOISE_UNIT * config.noise_scale
    noise_key, init_key, train_key = jax.random.split(key, 3)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(noise_key)))

    smallest = min(min(father.shape[:2]) for father in fathers)
    crop = min(config.crop, smallest) // scale * scale
    windows = [
        f[textured_window(f, 0, config.max_pixels, crop // 2 * 2)] for f in fathers
    ]
    pairs = [
        (window, blur(rng, window, kernel, noise))
        for window in windows
        for kernel in kernels
    ]
    linear = None
    if network.fast:
        linear = fit_linear(pairs, scale, config.quantisation)
    data = tuple(make_father(*pair, linear, scale) for pair in pairs)
    crop = min(crop, *(int(n) // scale * scale for d in data for n in d.size))

    init, train = _compiled(network, config, crop)
    state, on_device, done = init(init_key), jax.device_put(data), -1
    while done < int(state.step):  # until the policy stops it
        done = int(state.step)
        state = train(train_key, state, on_device, done + 10 * CHUNK)
        if progress is not None:
            progress(int(state.step), config.iterations, float(state.loss))
    if not np.isfinite(float(state.loss)):
        raise ValueError("the training of the super-resolution diverged")

    # What agrees with an uncertain kernel is not right.
    back_projections = config.back_projections if len(kernels) == 1 else 0
    # Each back-projection looks through the kernel and then through bicubic.
    reach = -(-max(kernels[0].shape) // (2 * scale)) + 4
    margin = network.radius + back_projections * reach
    enlarge = _enlarger(network, back_projections)
    constants = jax.device_put((state.params, linear, kernels[0]))
    return apply_tiled(
        lambda tile: enlarge(*constants, jnp.asarray(tile)),
        image,
        scale=scale,
        margin=margin,
        tile=max(config.tile, 4 * margin),
    )


def zssr(
    key: jax.Array,
    image: np.ndarray,
    kernels: tuple[np.ndarray, ...],
    *,
    scale: int,
    fathers: tuple[np.ndarray, ...],
    config: SRConfig,
    progress: Callable[[int, int, float], None] | None = None,
) -> np.ndarray:
    """ZSSR as published; see `Method`."""
    config = config.complete(layers=8, channels=64, iterations=3000, schedule="plateau")
    size = (scale, config.layers, config.channels, image.shape[-1])
    return _run(
        Architecture(False, *size), key, image, kernels, fathers, config, progress
    )


_STEPS = (60, 120, 250, 500, 1000)
"""Few numbers, as each is compiled anew."""


SETTINGS = (FILTER_RADIUS, FOLDS, RIDGE_FACTORS, _STEPS)
"""What the figures of a benchmark depend on."""


def zssr_fast(
    key: jax.Array,
    image: np.ndarray,
    kernels: tuple[np.ndarray, ...],
    *,
    scale: int,
    fathers: tuple[np.ndarray, ...],
    config: SRConfig,
    progress: Callable[[int, int, float], None] | None = None,
) -> np.ndarray:
    """The same idea at LR size, from the best linear filter on; see `Method`."""
    # On few pixels many steps learn what is there by chance.
    pixels = sum(f.shape[0] * f.shape[1] for f in fathers) // scale**2
    steps = max((n for n in _STEPS if n <= pixels // 20), default=_STEPS[0])
    config = config.complete(layers=6, channels=32, iterations=steps, schedule="cosine")
    size = (scale, config.layers, config.channels, image.shape[-1])
    return _run(
        Architecture(True, *size), key, image, kernels, fathers, config, progress
    )
