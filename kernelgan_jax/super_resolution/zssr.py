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
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from kernelgan_jax import crops
from kernelgan_jax.config import NOISE_UNIT, SRConfig
from kernelgan_jax.resize import bicubic_resize, downscale
from kernelgan_jax.super_resolution.tiles import apply_tiled

# --- Networks ---


class Conv3x3(nn.Module):
    """A 3 x 3 convolution without bias, `C x H x W`, zeros around.

    XLA runs convolutions in loops on CPU some 20 times slower than outside of them, and
    matrix products at full speed: `as_product` makes one of it.
    """

    features: int
    as_product: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels, height, width = x.shape
        # Weight variance 0.1 / fan_in.
        init = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
        shape = (3, 3, channels, self.features)
        kernel = self.param("kernel", init, shape, jnp.float32)
        if not self.as_product:
            return jax.lax.conv_general_dilated(
                x[None],
                kernel,
                (1, 1),
                "SAME",
                dimension_numbers=("NCHW", "HWIO", "NCHW"),
            )[0]
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1)))
        shifted = [
            padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)
        ]
        columns = jnp.concatenate(shifted).reshape(-1, height * width)
        product = kernel.reshape(-1, self.features).T @ columns
        return product.reshape(self.features, height, width)


class Layers(nn.Module):
    """Convolutions with ReLU between them, `C x H x W`."""

    layers: int
    channels: int
    out: int
    as_product: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.layers - 1):
            x = nn.relu(Conv3x3(self.channels, self.as_product)(x))
        return Conv3x3(self.out, self.as_product)(x)


def pixel_shuffle(x: jax.Array, scale: int) -> jax.Array:
    """`C*s*s x h x w` to `C x s*h x s*w`: s x s channels become s x s pixels."""
    channels, height, width = x.shape
    x = x.reshape(channels // scale**2, scale, scale, height, width)
    x = x.transpose(0, 3, 1, 4, 2)
    return x.reshape(-1, scale * height, scale * width)


class Network(NamedTuple):
    """Which of the two networks, and its size; hashable."""

    fast: bool
    scale: int
    layers: int
    channels: int
    colours: int

    def module(self, *, as_product: bool = False) -> Layers:
        """The Flax module."""
        out = self.colours * (self.scale**2 if self.fast else 1)
        return Layers(self.layers, self.channels, out, as_product)

    def apply(
        self, module: Layers, params: Any, son: jax.Array, base: jax.Array
    ) -> jax.Array:
        """Enlarges `son` (`C x h x w`), given its linear enlargement `base`."""
        residual: Any = module.apply(params, son if self.fast else base)
        return base + (pixel_shuffle(residual, self.scale) if self.fast else residual)

    @property
    def radius(self) -> int:
        """Receptive radius in LR pixels of the network and of its base."""
        if self.fast:
            return max(self.layers, REACH, 3)
        return -(-self.layers // self.scale) + 3


REACH = 5
"""Radius of the linear filter of `zssr_fast`, LR pixels."""

FOLDS, HELD_BACK = 4, (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Of its cross-validation: parts of the image, and factors on the ridge."""


def linear_enlargement(image: Any, linear: Any | None, scale: int) -> Any:
    """What the network adds to: bicubic enlargement, plus a linear filter's output.

    Args:
      image: `H x W x C`, NumPy or JAX.
      linear: `n x n x 1 x s*s` filter of `fit_linear`, or None.
      scale: s.

    Returns:
      `sH x sW x C`.
    """
    enlarged = bicubic_resize(image, scale)
    if linear is None:
        return enlarged
    xp: Any = jnp if isinstance(image, jax.Array) else np
    planes = jnp.moveaxis(jnp.asarray(image), -1, 0)[:, None]
    pad = linear.shape[0] // 2
    planes = jnp.pad(planes, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="symmetric")
    # The filter is the same for all colours: they are the batch.
    more = jax.lax.conv_general_dilated(
        planes,
        jnp.asarray(linear),
        (1, 1),
        "VALID",
        dimension_numbers=("NCHW", "HWIO", "NCHW"),
    )
    more = more.reshape(-1, *more.shape[2:])
    return enlarged + xp.moveaxis(xp.asarray(pixel_shuffle(more, scale)), 0, -1)


# --- What is learned from ---


class Father(NamedTuple):
    """An image to learn from, padded so that few sizes need to be compiled.

    With the image blurred by the kernel at full size, the son of any crop is every
    `scale`-th pixel of the same crop of `blurred`. So sons and their linear
    enlargements are made once; the loop cuts them out.
    """

    image: Any
    """`C x H x W` in [0, 1]."""
    blurred: Any
    """`C x H x W`: the image correlated with the kernel; with noise, if asked for."""
    base: Any
    """`s*s x C x H x W`: the enlarged sons, by the crop's corner modulo s."""
    weight: Any
    """`H x W`: the gradient map, by which the loss is weighted, mean 1."""
    size: Any
    """Height and width without the padding, int32."""


_BUCKET = 128


def blur(
    rng: np.random.Generator, image: np.ndarray, kernel: np.ndarray, noise: float
) -> np.ndarray:
    """All sons of an image, interleaved: `H x W x C` float32 in [0, 1]."""
    blurred = downscale(image, kernel, 1)
    if noise:
        blurred = blurred + noise * rng.standard_normal(blurred.shape)
    return np.clip(blurred, 0, 1).astype(np.float32)


def make_father(
    image: np.ndarray, blurred: np.ndarray, linear: np.ndarray | None, scale: int
) -> Father:
    """Prepares an image, `H x W x C` float32 in [0, 1]; arrays are NumPy's."""
    height, width, channels = image.shape
    base = np.zeros((scale, scale, height, width, channels), np.float32)
    for top, left in np.ndindex(scale, scale):
        son = blurred[top::scale, left::scale]
        enlarged = linear_enlargement(son, linear, scale)
        base[top, left, top:, left:] = enlarged[: height - top, : width - left]
    pad = [(0, -height % _BUCKET), (0, -width % _BUCKET)]
    bases = base.reshape(-1, height, width, channels)
    return Father(
        np.pad(image.transpose(2, 0, 1), ((0, 0), *pad)),
        np.pad(blurred.transpose(2, 0, 1), ((0, 0), *pad)),
        np.pad(bases.transpose(0, 3, 1, 2), ((0, 0), (0, 0), *pad)),
        np.pad(crops.gradient_map(image).astype(np.float32), pad),
        np.array([height, width], np.int32),
    )


def _patches(
    image: np.ndarray, blurred: np.ndarray, scale: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """What `fit_linear` learns from: of `FOLDS` parts, one below the other, in strips.

    Yields:
      The part; sons' patches, a row each; what bicubic lacks of the father under them.
    """
    side = 2 * REACH + 1
    height, width = image.shape[:2]
    for top, left in np.ndindex(scale, scale):
        high, wide = (height - top) // scale, (width - left) // scale
        if min(high, wide) < side:
            continue
        rows = slice(top, top + scale * high)
        columns = slice(left, left + scale * wide)
        son = blurred[rows, columns][::scale, ::scale]
        residual = image[rows, columns] - bicubic_resize(son, scale)
        residual = residual.reshape(high, scale, wide, scale, -1)
        residual = residual.transpose(0, 2, 4, 1, 3)[:, REACH : wide - REACH]
        patches = np.lib.stride_tricks.sliding_window_view(son, (side, side), (0, 1))
        ends = np.linspace(0, len(patches), FOLDS + 1).astype(int)
        for part, (first, last) in enumerate(itertools.pairwise(ends)):
            # In strips: the patches are side^2 times as large as the image.
            for row in range(first, last, 64):
                strip = patches[row : min(row + 64, last)]
                y = residual[REACH + row : REACH + row + len(strip)]
                yield part, strip.reshape(-1, side**2), y.reshape(-1, scale**2)


def fit_linear(
    pairs: list[tuple[np.ndarray, np.ndarray]], scale: int, noise: float
) -> np.ndarray:
    """The linear filter that best predicts fathers from sons, beyond bicubic.

    Ridge regression of each of the s x s pixels under an LR pixel on the LR patch
    around it: the Wiener filter of the image's own statistics. Small images have too
    few patches for it: how far it is held back is chosen by cross-validation over
    `FOLDS` parts of the image, one below the other.

    Args:
      pairs: Images, `H x W x C`, and the same blurred.
      scale: s.
      noise: Standard deviation of the LR image's noise, in [0, 1] units. Sons have less
        of it than the LR image, so that without it the filter would amplify noise.

    Returns:
      `(2*REACH + 1) x (2*REACH + 1) x 1 x s*s` float32.
    """
    side = 2 * REACH + 1
    # Of each part: the patches' products, those with the targets, the targets' squares.
    products = np.zeros((FOLDS, side**2, side**2))
    targets = np.zeros((FOLDS, side**2, scale**2))
    squares = np.zeros(FOLDS)
    count = 0
    for image, blurred in pairs:
        for part, x, y in _patches(image, blurred, scale):
            products[part] += x.T @ x
            targets[part] += x.T @ y
            squares[part] += (y**2).sum()
            count += len(x)

    def solution(held_back: float, without: int | None = None) -> np.ndarray:
        used = [part for part in range(FOLDS) if part != without]
        ridge = held_back * (count * noise**2 + 1e-6) * np.eye(side**2)
        return np.linalg.solve(products[used].sum(0) + ridge, targets[used].sum(0))

    def error(held_back: float) -> float:
        total = 0.0
        for part in range(FOLDS):
            w = solution(held_back, without=part)
            cross, square = (w * targets[part]).sum(), (w * (products[part] @ w)).sum()
            total += squares[part] - 2 * cross + square
        return total

    # Of equal errors, as where one part has all patches, the one that does least.
    chosen = solution(min(reversed(HELD_BACK), key=error))
    return chosen.reshape(side, side, 1, scale**2).astype(np.float32)


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
    """`init(key) -> state`"""
    step: Callable[..., State]
    """`step(key, state, fathers) -> state`"""
    policy: Callable[..., State]
    """`policy(state, fathers) -> state`: looks at the errors, sets the rate."""
    running: Callable[[State], jax.Array]
    """`running(state)`: whether to go on."""


def zero_shot(
    network: Network, config: SRConfig, *, crop: int, as_product: bool = False
) -> ZSSR:
    """ZSSR's training as pure functions.

    Args:
      network: What is trained.
      config: Settings, complete (`SRConfig.complete`).
      crop: Side of a father crop, a multiple of the scale.
      as_product: See `Conv3x3`.
    """
    scale, module = network.scale, network.module(as_product=as_product)
    adam = optax.scale_by_adam()
    cosine = config.schedule == "cosine"

    def init(key: jax.Array) -> State:
        side = crop // scale if network.fast else crop
        shape = (network.colours, side, side)
        params = module.init(key, jnp.zeros(shape, jnp.float32))
        return State(
            jnp.int32(0),
            params,
            adam.init(params),
            jnp.float32(config.learning_rate),
            jnp.zeros(config.iterations // EVERY_ERROR + 1, jnp.float32),
            jnp.int32(0),
            jnp.float32(0),
        )

    def cut(father: Father, corner: jax.Array) -> tuple[jax.Array, ...]:
        """Son, its linear enlargement, father and weight at a corner."""

        def crop_of(x: jax.Array) -> jax.Array:
            start = (*(jnp.int32(0) for _ in x.shape[:-2]), *corner)
            return jax.lax.dynamic_slice(x, start, (*x.shape[:-2], crop, crop))

        phase = corner % scale
        base = jax.lax.dynamic_slice(
            father.base,
            (phase[0] * scale + phase[1], jnp.int32(0), *corner),
            (1, network.colours, crop, crop),
        )[0]
        son = crop_of(father.blurred)[:, ::scale, ::scale]
        return son, base, crop_of(father.image), crop_of(father.weight)

    def step(key: jax.Array, state: State, fathers: tuple[Father, ...]) -> State:
        which, where = jax.random.split(key)
        place = jax.random.uniform(where, (2,), jnp.float32)

        def sample(father: Father) -> tuple[jax.Array, ...]:
            room = father.size - crop + 1
            corner = jnp.minimum((place * room).astype(jnp.int32), room - 1)
            return cut(father, corner)

        branch = jax.random.randint(which, (), 0, len(fathers), jnp.int32)
        branches = [functools.partial(sample, father) for father in fathers]
        son, base, target, weight = jax.lax.switch(branch, branches)

        def loss_of(params: Any) -> jax.Array:
            difference = jnp.abs(network.apply(module, params, son, base) - target)
            return (weight[None] * difference).mean()

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
        places = jnp.float32([[0, 0], [0, 1], [0.5, 0.5], [1, 0], [1, 1]])
        room = (father.size - crop).astype(jnp.float32)

        def error(place: jax.Array) -> jax.Array:
            son, base, target, _ = cut(father, (place * room).astype(jnp.int32))
            enlarged = network.apply(module, params, son, base)
            return ((jnp.clip(enlarged, 0, 1) - target) ** 2).mean()

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
    at = jnp.arange(len(errors), dtype=errors.dtype) * EVERY_ERROR
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
    network: Network, config: SRConfig, crop: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    on_cpu = jax.default_backend() == "cpu"
    algorithm = zero_shot(network, config, crop=crop, as_product=on_cpu)

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
def _enlarger(network: Network, back_projections: int) -> Callable[..., jax.Array]:
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
    network: Network,
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
        f[crops.training_window(f, 0, config.max_pixels, crop // 2 * 2)]
        for f in fathers
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
        state = train(train_key, state, on_device, done + 10 * _CHUNK)
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
    return _run(Network(False, *size), key, image, kernels, fathers, config, progress)


_STEPS = (60, 120, 250, 500, 1000)
"""Few numbers, as each is compiled anew."""

SETTINGS = (REACH, FOLDS, HELD_BACK, _STEPS)
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
    return _run(Network(True, *size), key, image, kernels, fathers, config, progress)
