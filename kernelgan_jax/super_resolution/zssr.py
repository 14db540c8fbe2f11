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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from kernelgan_jax import crops
from kernelgan_jax.config import SRConfig
from kernelgan_jax.resize import bicubic_resize, downscale
from kernelgan_jax.super_resolution.tiles import apply_tiled

# --- Networks: LR (h x w x C) -> HR (sh x sw x C) ---

_INIT = nn.initializers.variance_scaling(0.1, "fan_in", "normal")


class ZSSRNet(nn.Module):
    """The network of ZSSR: 3 x 3 convolutions on the bicubic enlargement, no bias."""

    scale: int
    layers: int = 8
    channels: int = 64

    @property
    def radius(self) -> int:
        """Receptive radius in LR pixels: the convolutions, then the enlargement."""
        return -(-self.layers // self.scale) + 3

    @nn.compact
    def __call__(self, lr: jax.Array) -> jax.Array:
        enlarged = bicubic_resize(lr, self.scale)
        x = enlarged
        for i in range(self.layers):
            last = i == self.layers - 1
            features = lr.shape[-1] if last else self.channels
            x = nn.Conv(features, (3, 3), use_bias=False, kernel_init=_INIT)(x)
            x = x if last else nn.relu(x)
        return enlarged + x


class FastNet(nn.Module):
    """Bicubic enlargement + a linear filter + convolutions, all at LR size."""

    scale: int
    layers: int = 6
    channels: int = 32
    reach: int = 5
    """Radius of the linear filter."""

    @property
    def radius(self) -> int:
        """Receptive radius in LR pixels."""
        return max(self.layers, self.reach, 3)

    @nn.compact
    def __call__(self, lr: jax.Array) -> jax.Array:
        phases, channels = self.scale**2, lr.shape[-1]
        linear = self.param(
            "linear", nn.initializers.zeros, (2 * self.reach + 1,) * 2 + (1, phases)
        )
        # The filter is the same for all colours: they are the batch.
        planes = jnp.moveaxis(lr, -1, 0)[..., None]
        pad = ((0, 0), (self.reach, self.reach), (self.reach, self.reach), (0, 0))
        linear = jax.lax.conv_general_dilated(
            jnp.pad(planes, pad, mode="symmetric"),
            linear,
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = lr
        for _ in range(self.layers - 1):
            x = nn.relu(
                nn.Conv(self.channels, (3, 3), use_bias=False, kernel_init=_INIT)(x)
            )
        x = nn.Conv(channels * phases, (3, 3), use_bias=False, kernel_init=_INIT)(x)
        x = x.reshape(*x.shape[:-1], channels, phases)
        x = x + jnp.moveaxis(linear, 0, 2)
        return bicubic_resize(lr, self.scale) + pixel_shuffle(x, self.scale)


def pixel_shuffle(x: jax.Array, scale: int) -> jax.Array:
    """`h x w x C x s*s` to `s*h x s*w x C`: the last axis becomes s x s pixels."""
    height, width, channels, _ = x.shape
    x = x.reshape(height, width, channels, scale, scale)
    x = x.transpose(0, 3, 1, 4, 2)
    return x.reshape(scale * height, scale * width, channels)


# --- What is learned from ---


class Father(NamedTuple):
    """An image to learn from, padded so that few sizes need to be compiled.

    With the image blurred by the kernel at full size, the son of any crop is every
    `scale`-th pixel of the same crop of `blurred`.
    """

    image: Any
    """`H x W x C` in [0, 1]."""
    blurred: Any
    """`H x W x C`: the image correlated with the kernel."""
    weight: Any
    """`H x W`: the gradient map, by which the loss is weighted, mean 1."""
    size: Any
    """Height and width without the padding, int32."""


_BUCKET = 128


def make_father(image: np.ndarray, kernel: np.ndarray, config: SRConfig) -> Father:
    """Prepares an image: `H x W x C` float32 in [0, 1]; arrays are NumPy's."""
    side = min(config.crop, *image.shape[:2]) // 2 * 2
    image = crops.training_window(image, 0, config.max_pixels, side)
    blurred = np.clip(downscale(image, kernel, 1), 0, 1).astype(np.float32)
    weight = crops.gradient_map(image).astype(np.float32)
    size = np.array(image.shape[:2], np.int32)
    pad = [(0, -n % _BUCKET) for n in size]
    return Father(
        np.pad(image, (*pad, (0, 0))),
        np.pad(blurred, (*pad, (0, 0))),
        np.pad(weight, pad),
        size,
    )


def fit_linear(
    fathers: tuple[Father, ...], scale: int, reach: int, noise: float
) -> np.ndarray:
    """The linear filter that best predicts fathers from sons, beyond bicubic.

    Ridge regression of each of the s x s pixels under an LR pixel on the LR patch
    around it: the Wiener filter of the image's own statistics.

    Args:
      fathers: What to learn from.
      scale: s.
      reach: Radius of the patch.
      noise: Standard deviation of the LR image's noise, in [0, 1] units. Sons have less
        of it than the LR image, so that without it the filter would amplify noise.

    Returns:
      `(2*reach + 1) x (2*reach + 1) x 1 x s*s` float32.
    """
    side = 2 * reach + 1
    products = np.zeros((side**2, side**2))
    targets = np.zeros((side**2, scale**2))
    count = 0
    for father in fathers:
        height, width = father.size
        for top, left in np.ndindex(scale, scale):
            high, wide = (height - top) // scale, (width - left) // scale
            if min(high, wide) < side:
                continue
            inside = (
                slice(top, top + scale * high),
                slice(left, left + scale * wide),
            )
            son = father.blurred[inside][::scale, ::scale]
            residual = father.image[inside] - bicubic_resize(son, scale)
            residual = residual.reshape(high, scale, wide, scale, -1)
            residual = residual.transpose(0, 2, 4, 1, 3)
            patches = np.lib.stride_tricks.sliding_window_view(son, (side, side), (0, 1))
            # In strips: the patches are side^2 times as large as the image.
            for row in range(0, len(patches), 64):
                x = patches[row : row + 64].reshape(-1, side**2)
                strip = slice(reach + row, reach + row + len(patches[row : row + 64]))
                y = residual[strip, reach : wide - reach].reshape(-1, scale**2)
                products += x.T @ x
                targets += x.T @ y
                count += len(x)
    products += (count * noise**2 + 1e-9) * np.eye(side**2)
    solution = np.linalg.solve(products, targets)
    return solution.reshape(side, side, 1, scale**2).astype(np.float32)


# --- The algorithm for one image ---


class State(NamedTuple):
    """All that the next step needs."""

    step: jax.Array
    params: Any
    optimizer: Any
    learning_rate: jax.Array
    errors: jax.Array
    """Reconstruction errors, one every `EVERY_ERROR` steps; 0 where not yet known."""
    dropped: jax.Array
    """Step at which the learning rate was last dropped."""
    loss: jax.Array
    """Of the last step."""


EVERY_ERROR, EVERY_FIT, WINDOW = 50, 60, 256
"""Steps between errors, between fits, and the steps that a fit looks back on."""

_CHUNK = 10  # divides the first two


class ZSSR(NamedTuple):
    """The algorithm as pure functions for one image."""

    init: Callable[..., State]
    """`init(key, linear=None) -> state`"""
    step: Callable[..., State]
    """`step(key, state, fathers) -> state`"""
    policy: Callable[..., State]
    """`policy(state, fathers) -> state`: looks at the errors, sets the rate."""
    running: Callable[[State], jax.Array]
    """`running(state)`: whether to go on."""


def zero_shot(network: Any, config: SRConfig, *, crop: int, channels: int) -> ZSSR:
    """ZSSR's training as pure functions.

    Args:
      network: A Flax module that enlarges by `network.scale`.
      config: Settings, complete (`iterations` set).
      crop: Side of a father crop, a multiple of the scale.
      channels: Channels of the image.
    """
    scale = network.scale
    adam = optax.scale_by_adam()
    cosine = config.schedule == "cosine"
    noise = 0.0125 * config.noise_scale

    def init(key: jax.Array, linear: Any = None) -> State:
        son = jnp.zeros((crop // scale, crop // scale, channels))
        params = network.init(key, son)
        if linear is not None:
            params = {"params": params["params"] | {"linear": linear}}
        return State(
            jnp.int32(0),
            params,
            adam.init(params),
            jnp.float32(config.learning_rate),
            jnp.zeros(config.iterations // EVERY_ERROR + 1),
            jnp.int32(0),
            jnp.float32(0),
        )

    def cut(father: Father, corner: jax.Array) -> tuple[jax.Array, ...]:
        def crop_of(x: jax.Array) -> jax.Array:
            start = (*corner, *(0 for _ in x.shape[2:]))
            return jax.lax.dynamic_slice(x, start, (crop, crop, *x.shape[2:]))

        son = crop_of(father.blurred)[::scale, ::scale]
        return son, crop_of(father.image), crop_of(father.weight)

    def step(key: jax.Array, state: State, fathers: tuple[Father, ...]) -> State:
        which, where, noise_key = jax.random.split(key, 3)
        place = jax.random.uniform(where, (2,))

        def sample(father: Father) -> tuple[jax.Array, ...]:
            room = father.size - crop + 1
            corner = jnp.minimum((place * room).astype(jnp.int32), room - 1)
            return cut(father, corner)

        branch = jax.random.randint(which, (), 0, len(fathers))
        branches = [functools.partial(sample, father) for father in fathers]
        son, target, weight = jax.lax.switch(branch, branches)
        if noise:
            disturbance = noise * jax.random.normal(noise_key, son.shape)
            son = jnp.clip(son + disturbance, 0, 1)

        def loss_of(params: Any) -> jax.Array:
            difference = jnp.abs(network.apply(params, son) - target)
            return (weight[..., None] * difference).mean()

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        updates, optimizer = adam.update(gradient, state.optimizer)
        rate = state.learning_rate
        if cosine:
            part = state.step.astype(jnp.float32) / config.iterations
            rate = rate * 0.5 * (1 + jnp.cos(jnp.pi * part))
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        return state._replace(
            step=state.step + 1, params=params, optimizer=optimizer, loss=loss
        )

    def reconstruction_error(params: Any, father: Father) -> jax.Array:
        """Mean squared error on five fixed crops: the corners and the middle."""
        places = jnp.array([[0.0, 0.0], [0, 1], [0.5, 0.5], [1, 0], [1, 1]])
        room = (father.size - crop).astype(jnp.float32)

        def error(place: jax.Array) -> jax.Array:
            son, target, _ = cut(father, (place * room).astype(jnp.int32))
            return ((jnp.clip(network.apply(params, son), 0, 1) - target) ** 2).mean()

        return jax.lax.map(error, places).mean()

    def policy(state: State, fathers: tuple[Father, ...]) -> State:
        if cosine:
            return state
        error = jax.lax.cond(
            state.step % EVERY_ERROR == 0,
            lambda: reconstruction_error(state.params, fathers[0]),
            lambda: state.errors[state.step // EVERY_ERROR],
        )
        state = state._replace(
            errors=state.errors.at[state.step // EVERY_ERROR].set(error)
        )
        drop = (
            (state.step % EVERY_FIT == 0)
            & (state.step - state.dropped > WINDOW)
            & stalled(state.errors, state.step)
        )
        return state._replace(
            learning_rate=jnp.where(
                drop, state.learning_rate / 10, state.learning_rate
            ),
            dropped=jnp.where(drop, state.step, state.dropped),
        )

    def running(state: State) -> jax.Array:
        return (state.step < config.iterations) & (
            state.learning_rate >= config.least_learning_rate
        )

    return ZSSR(init, step, policy, running)


def stalled(errors: jax.Array, step: jax.Array) -> jax.Array:
    """Whether the errors of the last `WINDOW` steps fall no longer, beyond doubt.

    A line is fitted to them; they do not if -1.5 times its slope is under the slope's
    standard error.

    Args:
      errors: The errors at steps 0, `EVERY_ERROR`, ...
      step: The present step.
    """
    at = jnp.arange(len(errors)) * EVERY_ERROR
    seen = ((at <= step) & (at > step - WINDOW) & (at > 0)).astype(errors.dtype)
    count = jnp.maximum(seen.sum(), 3)
    x = (at - (seen * at).sum() / count) * seen
    y = (errors - (seen * errors).sum() / count) * seen
    spread = jnp.maximum((x**2).sum(), 1e-12)
    slope = (x * y).sum() / spread
    residual = ((y - slope * x) ** 2).sum() / (count - 2)
    return -1.5 * slope < jnp.sqrt(residual / spread)


# --- Running it ---


@functools.lru_cache(maxsize=8)
def _compiled(
    network: Any, config: SRConfig, crop: int, channels: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    algorithm = zero_shot(network, config, crop=crop, channels=channels)

    def train(key: jax.Array, state: State, fathers: Any, until: Any) -> State:
        def body(state: State, _: None) -> tuple[State, None]:
            step_key = jax.random.fold_in(key, state.step)
            return algorithm.step(step_key, state, fathers), None

        def chunk(state: State) -> State:
            state, _ = jax.lax.scan(body, state, None, length=_CHUNK)
            return algorithm.policy(state, fathers)

        def go_on(state: State) -> jax.Array:
            return algorithm.running(state) & (state.step < until)

        return jax.lax.while_loop(go_on, chunk, state)

    return jax.jit(algorithm.init), jax.jit(train, donate_argnames="state")


@functools.lru_cache(maxsize=8)
def _enlarger(network: Any, config: SRConfig) -> Callable[..., jax.Array]:
    """Network and back-projection on one tile, jitted."""
    scale = network.scale

    def enlarge(params: Any, lr: jax.Array, kernel: jax.Array) -> jax.Array:
        hr = jnp.clip(network.apply(params, lr), 0, 1)
        for _ in range(config.back_projections):
            missing = lr - downscale(hr, kernel, scale)
            hr = jnp.clip(hr + bicubic_resize(missing, scale), 0, 1)
        return hr

    return jax.jit(enlarge)


def _radius(network: Any, kernel: np.ndarray, config: SRConfig) -> int:
    """Receptive radius in LR pixels of what `_enlarger` does."""
    back_projection = -(-max(kernel.shape) // (2 * network.scale)) + 1 + 3
    return network.radius + config.back_projections * back_projection


def _run(
    network: Any,
    key: jax.Array,
    image: np.ndarray,
    kernel: np.ndarray,
    fathers: tuple[np.ndarray, ...],
    config: SRConfig,
    progress: Callable[[int, int, float], None] | None,
) -> np.ndarray:
    scale, channels = network.scale, image.shape[-1]
    kernel = kernel.astype(np.float32)
    data = tuple(make_father(father, kernel, config) for father in fathers)
    smallest = min(int(n) for father in data for n in father.size)
    crop = min(config.crop, smallest) // scale * scale
    init_key, train_key = jax.random.split(key)
    init, train = _compiled(network, config, crop, channels)
    linear = None
    if isinstance(network, FastNet):
        noise = max(config.quantisation, 0.0125 * config.noise_scale)
        linear = fit_linear(data, scale, network.reach, noise)
    state = init(init_key, linear)
    on_device = jax.device_put(data)
    done = -1
    while done < int(state.step):  # until the policy stops it
        done = int(state.step)
        state = train(train_key, state, on_device, done + 10 * _CHUNK)
        if progress is not None:
            progress(int(state.step), config.iterations, float(state.loss))
    if not np.isfinite(float(state.loss)):
        raise ValueError("the training of the super-resolution diverged")
    enlarge = _enlarger(network, config)
    on_device_kernel = jnp.asarray(kernel)
    radius = _radius(network, kernel, config)
    return apply_tiled(
        lambda tile: enlarge(state.params, jnp.asarray(tile), on_device_kernel),
        image,
        scale=scale,
        margin=radius,
        tile=max(config.tile, 4 * radius),
    )


def zssr(
    key: jax.Array,
    image: np.ndarray,
    kernel: np.ndarray,
    *,
    scale: int,
    fathers: tuple[np.ndarray, ...],
    config: SRConfig,
    progress: Callable[[int, int, float], None] | None = None,
) -> np.ndarray:
    """ZSSR as published; see `Method`."""
    config = config.complete(layers=8, channels=64, iterations=3000, schedule="plateau")
    network = ZSSRNet(scale, config.layers, config.channels)
    return _run(network, key, image, kernel, fathers, config, progress)


def zssr_fast(
    key: jax.Array,
    image: np.ndarray,
    kernel: np.ndarray,
    *,
    scale: int,
    fathers: tuple[np.ndarray, ...],
    config: SRConfig,
    progress: Callable[[int, int, float], None] | None = None,
) -> np.ndarray:
    """The same idea at LR size, from the best linear filter on; see `Method`."""
    config = config.complete(layers=6, channels=32, iterations=1000, schedule="cosine")
    network = FastNet(scale, config.layers, config.channels)
    return _run(network, key, image, kernel, fathers, config, progress)
