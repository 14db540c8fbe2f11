"""The methods `zssr` and `zssr_fast`: ZSSR's training compiled and run, image by image.

`zssr` is the published network, which works at the size of the result. `zssr_fast`
learns from the same pairs, but works at the size of the LR input, with a pixel shuffle
at the end. It adds to the best linear enlargement, which a least-squares fit gives at
once (`linear_filter.py`).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import Progress, ProgressCallback
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution.planning import Plan
from kernelgan_jax.super_resolution.stage import Stage
from kernelgan_jax.super_resolution.tiles import apply_tiled
from kernelgan_jax.super_resolution.zssr.algorithm import (
    STEPS_PER_CHUNK,
    State,
    Training,
    zero_shot,
)
from kernelgan_jax.super_resolution.zssr.config import ZSSRConfig
from kernelgan_jax.super_resolution.zssr.linear_filter import (
    base_radius,
    linear_enlargement,
)
from kernelgan_jax.super_resolution.zssr.network import Architecture
from kernelgan_jax.super_resolution.zssr.pairs import training_pairs

FAST_STEPS = (60, 120, 250, 500, 1000)
"""Training steps that `zssr_fast` chooses from. They are few, as each number is
compiled anew."""

PIXELS_PER_STEP = 20
"""LR pixels of the images to learn from for each step of `zssr_fast`: many steps on few
pixels learn what is there by chance."""

Report = Callable[[int, int, float], None]
"""Called with the steps done, the steps at most and the last loss."""


def enlarge(
    keys: Sequence[jax.Array],
    images: Sequence[np.ndarray],
    plans: Sequence[Plan],
    *,
    progress: ProgressCallback | None = None,
) -> list[np.ndarray]:
    """Enlarges one image after the other in the stages of its plan; see `Enlarge`.

    References:
      Shocher, Cohen, Irani, "Zero-Shot Super-Resolution using Deep Internal Learning",
      CVPR 2018.
    """

    def report(index: int, name: str, step: int, total: int, loss: float) -> None:
        if progress is not None:
            progress(Progress(index, name, step, total, {"loss": loss}))

    results = []
    rows = zip(keys, images, plans, strict=True)
    for index, (key, image, planned) in enumerate(rows):
        fast = planned.method == "zssr_fast"
        settings = fast_settings if fast else _zssr_settings
        sources: tuple[np.ndarray, ...] = (image,)
        for i, stage in enumerate(planned.stages):
            pixels = sum(source[..., 0].size for source in sources) // stage.scale**2
            result = _run_stage(
                jax.random.fold_in(key, i),
                sources,
                stage,
                settings(planned.config, pixels),
                fast,
                functools.partial(report, index, planned.method),
            )
            sources = (*sources, result)
        results.append(sources[-1])
    return results


def _zssr_settings(config: ZSSRConfig, lr_pixels: int) -> ZSSRConfig:
    """The settings of `zssr`, complete."""
    del lr_pixels
    return config.complete(layers=8, channels=64, iterations=3000, schedule="plateau")


def fast_settings(config: ZSSRConfig, lr_pixels: int) -> ZSSRConfig:
    """The settings of `zssr_fast`, complete, for so many LR pixels to learn from."""
    fitting = [n for n in FAST_STEPS if n <= lr_pixels // PIXELS_PER_STEP]
    steps = max(fitting, default=FAST_STEPS[0])
    return config.complete(layers=6, channels=32, iterations=steps, schedule="cosine")


def _run_stage(
    key: jax.Array,
    sources: Sequence[np.ndarray],
    stage: Stage,
    config: ZSSRConfig,
    fast: bool,
    report: Report,
) -> np.ndarray:
    """Trains a network on the image and the results of earlier stages, and enlarges the
    image with it."""
    image, scale = sources[0], stage.scale
    aligned = stage.aligned_kernels(image_shape=image.shape)
    kernels = tuple(kernel.astype(np.float32) for kernel in aligned)
    size = (scale, config.layers, config.channels, image.shape[-1])
    network = Architecture(fast, *size)
    noise_key, init_key, train_key = jax.random.split(key, 3)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(noise_key)))
    pairs, linear, crop = training_pairs(
        rng, sources, kernels, scale=scale, config=config, fit_filter=fast
    )
    training = Training(
        config.iterations,
        config.schedule,
        config.learning_rate,
        config.min_learning_rate,
        crop,
    )

    init, train = compiled(network, training)
    state, on_device, done = (
        init(_initial(network)(init_key)),
        jax.device_put(pairs),
        -1,
    )
    while done < int(state.step):  # until the policy stops it
        done = int(state.step)
        state = train(train_key, state, on_device, done + 10 * STEPS_PER_CHUNK)
        if int(state.step) > done:
            report(int(state.step), config.iterations, float(state.loss))
    if not np.isfinite(float(state.loss)):
        raise ValueError(
            f"the training of the super-resolution diverged; learning_rate is "
            f"{config.learning_rate}: try a smaller one"
        )

    # Agreement with an uncertain kernel is no gain.
    back_projections = config.back_projections if len(kernels) == 1 else 0
    # Each back-projection reaches through the kernel and then through bicubic.
    reach = -(-max(kernels[0].shape) // (2 * scale)) + 4
    margin = network.radius(base_radius(linear)) + back_projections * reach
    one_tile = _enlarger(network, back_projections)
    constants = jax.device_put((state.params, linear, kernels[0]))
    return apply_tiled(
        lambda tile: one_tile(*constants, jnp.asarray(tile)),
        image,
        scale=scale,
        margin=margin,
        tile=max(config.tile, 4 * margin),
    )


@functools.lru_cache(maxsize=32)
def _initial(network: Architecture) -> Callable[[jax.Array], Any]:
    """`params(key)`, jitted; apart, as it takes longest to compile."""
    return jax.jit(network.init)


@functools.lru_cache(maxsize=32)
def compiled(
    network: Architecture, training: Training
) -> tuple[Callable[..., State], Callable[..., State]]:
    """`init(params)` and `train(key, state, pairs, until)`, jitted."""
    on_cpu = jax.default_backend() == "cpu"
    algorithm = zero_shot(network, training, as_product=on_cpu)

    def train(key: jax.Array, state: State, pairs: Any, until: Any) -> State:
        def body(state: State, _: None) -> tuple[State, None]:
            step_key = jax.random.fold_in(key, state.step)
            return algorithm.step(step_key, state, pairs), None

        def chunk(state: State) -> State:
            state, _ = jax.lax.scan(body, state, None, length=STEPS_PER_CHUNK)
            return algorithm.policy(state, pairs)

        def go_on(state: State) -> jax.Array:
            return algorithm.running(state) & (state.step < until)

        return jax.lax.while_loop(go_on, chunk, state)

    return jax.jit(algorithm.init), jax.jit(train, donate_argnames="state")


@functools.lru_cache(maxsize=32)
def _enlarger(network: Architecture, back_projections: int) -> Callable[..., jax.Array]:
    """The network and back-projection on one tile, jitted."""
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
