"""A normalising flow on SR kernels: an invertible map between noise and kernels.

Trained on samples of a family of kernels, it makes of the normal distribution that
family's (Liang, Zhang, Gu, Van Gool, Timofte, "Flow-based Kernel Prior with Application
to Blind Super-Resolution", CVPR 2021), with couplings as in RealNVP (Dinh,
Sohl-Dickstein, Bengio, ICLR 2017). Kernels are positive and sum to 1, so the flow works
on their log-ratios (Aitchison, "The Statistical Analysis of Compositional Data", 1986),
and every latent vector gives a valid kernel. As kernels fade to 0, where log-ratios
have no end, a little of a uniform kernel is mixed in before, and taken out afterwards.

`shipped()` is the flow that comes with the package; `fit` trains one of your own.
"""

import dataclasses
import functools
import math
import zipfile
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import traverse_util

from kernelgan_jax import checks

FLOOR = 1e-3
"""Share of a uniform kernel that is mixed in, as no kernel value may be 0."""

EXACT = jax.lax.Precision.HIGHEST
"""The whitening is ill-conditioned; GPUs and TPUs round to fewer bits by default."""

DITHER = 0.05
"""Standard deviation of noise on the log-ratios in training; without it the density of
kernels that fade to nothing would grow without bounds."""


# --- The network ---


class MLP(nn.Module):
    """Three dense layers; the last starts at zero, so that a coupling is the identity.

    Attributes:
      hidden: Width of the two hidden layers.
      out: Number of outputs.
      relu: Whether the hidden units are ReLUs, else tanh.
    """

    hidden: int
    out: int
    relu: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        activation = nn.relu if self.relu else jnp.tanh
        for _ in range(2):
            x = activation(nn.Dense(self.hidden)(x))
        return nn.Dense(self.out, kernel_init=nn.initializers.zeros)(x)


class Couplings(nn.Module):
    """A chain of affine couplings, from data to noise, or backwards.

    Each scales and shifts one part of the vector by functions of the other part: tanh
    networks give the logarithm of the scale, ReLU networks the shift.

    Attributes:
      depth: Number of couplings.
      hidden: Hidden units of their networks.
    """

    depth: int
    hidden: int

    @nn.compact
    def __call__(self, x: jax.Array, *, backwards: bool) -> tuple[jax.Array, jax.Array]:
        """Maps a vector, `d`; also gives the log-determinant of the map."""
        log_det = jnp.zeros((), x.dtype)
        order, bits = range(self.depth), (len(x) - 1).bit_length()
        for i in reversed(order) if backwards else order:
            # Parted by the bits of the index, lowest first: the first components, which
            # vary most, are soon parted from each other.
            bit = (np.arange(len(x)) >> (i // 2 % bits)) & 1
            given, changed = (np.flatnonzero(bit == (i + n) % 2) for n in (0, 1))
            size, condition, part = len(changed), x[given], x[changed]
            log_scale = MLP(self.hidden, size, False, name=f"scale_{i}")(condition)
            shift = MLP(self.hidden, size, True, name=f"shift_{i}")(condition)
            if backwards:
                part, log_scale = (part - shift) * jnp.exp(-log_scale), -log_scale
            else:
                part = part * jnp.exp(log_scale) + shift
            x = x.at[changed].set(part)
            log_det += log_scale.sum()
        return x, log_det


# --- The flow ---


@dataclasses.dataclass(frozen=True, eq=False)
class Flow:
    """A trained flow. Its methods are pure functions of one vector or kernel.

    They compute in the precision of what they are given.

    Attributes:
      shape: (h, w) of its kernels.
      scale: The scale that they are aligned for.
      mean: `h*w`, mean of the logarithms of the (floored) kernels.
      basis: `h*w x d`, d = h*w - 1: their principal directions, orthonormal.
      deviations: `d`, standard deviations along these.
      params: Parameters of the couplings.
    """

    shape: tuple[int, int]
    scale: int
    mean: np.ndarray
    basis: np.ndarray
    deviations: np.ndarray
    params: Any

    @property
    def size(self) -> int:
        """Number d of components of a latent vector."""
        return len(self.deviations)

    def kernel(self, latent: jax.Array) -> jax.Array:
        """The kernel of a latent vector.

        Args:
          latent: `d`.

        Returns:
          `h x w`, non-negative, sum 1.

        Raises:
          ValueError: If the vector has another length.
        """
        if latent.shape != (self.size,):
            raise ValueError(
                f"latent has shape {latent.shape}; it must be {(self.size,)}"
            )
        white, _ = self._couplings(latent, backwards=True)
        mean, basis, deviations = self._whitening(latent.dtype)
        logits = mean + jnp.matmul(basis, white * deviations, precision=EXACT)
        values = nn.relu(nn.softmax(logits) - FLOOR / logits.size)
        return (values / values.sum()).reshape(self.shape)

    def latent(self, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The latent vector whose `kernel` is the given one.

        Args:
          kernel: `h x w`. Negative values count as 0, and it is divided by its sum.

        Returns:
          `d`, and the log-determinant of the map from log-ratios to it.

        Raises:
          ValueError: If the kernel has another shape than the flow's.
        """
        return self._from_logarithms(_floored_logarithms(kernel, self.shape))

    def log_prob(self, kernel: jax.Array) -> jax.Array:
        """Logarithm of the density of a kernel.

        The density is that of its log-ratios (with a little of a uniform kernel mixed
        in): with respect to Aitchison's measure on positive vectors of sum 1, not
        Lebesgue's. Gradients are finite everywhere.

        Args:
          kernel: `h x w`. Negative values count as 0, and it is divided by its sum.

        Raises:
          ValueError: If the kernel has another shape than the flow's.
        """
        return self._log_density(_floored_logarithms(kernel, self.shape))

    def _log_density(self, logarithms: jax.Array) -> jax.Array:
        latent, log_det = self._from_logarithms(logarithms)
        normal = -0.5 * (latent @ latent) - 0.5 * self.size * math.log(2 * math.pi)
        return normal + log_det

    def _from_logarithms(self, logarithms: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean, basis, deviations = self._whitening(logarithms.dtype)
        # The basis is orthogonal to (1, ..., 1): the kernel's sum does not matter.
        ratios = jnp.matmul(basis.T, logarithms - mean, precision=EXACT)
        white = ratios / deviations
        latent, log_det = self._couplings(white, backwards=False)
        return latent, log_det - jnp.log(deviations).sum()

    def _whitening(self, dtype: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean, basis, deviations = (
            jnp.asarray(x, dtype) for x in (self.mean, self.basis, self.deviations)
        )
        return mean, basis, deviations

    def _couplings(
        self, x: jax.Array, *, backwards: bool
    ) -> tuple[jax.Array, jax.Array]:
        depth = len(self.params) // 2
        hidden = self.params["scale_0"]["Dense_0"]["bias"].shape[-1]
        params = jax.tree.map(lambda p: jnp.asarray(p, x.dtype), self.params)
        network = Couplings(depth, hidden)
        mapped = network.apply({"params": params}, x, backwards=backwards)
        return cast(tuple[jax.Array, jax.Array], mapped)


def _floored_logarithms(kernel: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Logarithms, `h*w`, of a kernel with a little of a uniform one mixed in."""
    if kernel.shape != shape:
        raise ValueError(f"kernel has shape {kernel.shape}; it must be {shape}")
    positive = jnp.maximum(kernel.reshape(-1), 0)
    total = positive.sum()
    # A kernel of next to nothing counts as uniform: its gradients would overflow.
    counts = total > jnp.finfo(positive.dtype).eps ** 2
    positive = positive / jnp.where(counts, total, 1)
    return jnp.log((1 - FLOOR) * positive + FLOOR / positive.size)


# --- Training ---


def fit(
    key: jax.Array,
    kernels: np.ndarray,
    *,
    scale: int = 2,
    steps: int = 20_000,
    depth: int = 6,
    hidden: int = 32,
    batch: int = 256,
    learning_rate: float = 1e-3,
) -> tuple[Flow, np.ndarray]:
    """Trains a flow on samples of a family of kernels, by maximum likelihood.

    Args:
      key: JAX random key.
      kernels: `N x h x w`, `N > h*w >= 3`, of values at least 0, all aligned alike. A
        few thousand are learned by heart: take tens of thousands.
      scale: The scale that they are aligned for.
      steps: Training steps, positive.
      depth: Number of couplings, positive.
      hidden: Hidden units of their networks, positive.
      batch: Kernels a step, positive.
      learning_rate: Adam's first rate, positive; it falls to 0 along a cosine.

    Returns:
      The flow, and the mean log-density of each step's batch, `steps`.

    Raises:
      ValueError: If an argument is out of range.
    """
    kernels = np.asarray(kernels)
    if kernels.ndim != 3 or not 3 <= math.prod(kernels.shape[1:]) < len(kernels):
        raise ValueError(
            f"kernels has shape {kernels.shape}; it must be N x h x w with N over h*w, "
            "and h*w at least 3"
        )
    if not 0 <= kernels.min() <= kernels.max() < math.inf:
        raise ValueError("kernels has values that are not at least 0 and finite")
    numbers = {"scale": scale, "steps": steps, "depth": depth, "hidden": hidden}
    for name, value in {**numbers, "batch": batch}.items():
        checks.whole(name, value)
    checks.number("learning_rate", learning_rate, positive=True)
    shape = kernels.shape[1:]
    init_key, train_key = jax.random.split(key)
    logarithms = jax.vmap(lambda k: _floored_logarithms(k, shape))(
        jnp.asarray(kernels, jnp.float32)
    )
    whitening = _whitening(np.asarray(logarithms, np.float64))
    params = Couplings(depth, hidden).init(
        init_key, jnp.zeros(len(whitening[2])), backwards=False
    )["params"]
    optimizer = optax.chain(
        optax.clip_by_global_norm(10.0),
        optax.adam(optax.cosine_decay_schedule(learning_rate, steps)),
    )

    def loss(params: Any, x: jax.Array) -> jax.Array:
        return -jax.vmap(Flow(shape, scale, *whitening, params)._log_density)(x).mean()

    def step(state: Any, i: jax.Array) -> Any:
        params, opt_state = state
        pick_key, noise_key = jax.random.split(jax.random.fold_in(train_key, i))
        rows = jax.random.randint(pick_key, (batch,), 0, len(logarithms))
        noise = DITHER * jax.random.normal(noise_key, (batch, logarithms.shape[1]))
        value, gradient = jax.value_and_grad(loss)(params, logarithms[rows] + noise)
        update, opt_state = optimizer.update(gradient, opt_state)
        return (optax.apply_updates(params, update), opt_state), -value

    state = (params, optimizer.init(params))
    (params, _), history = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(steps)))(
        state
    )
    flow = Flow(shape, scale, *whitening, jax.tree.map(np.asarray, params))
    return flow, np.asarray(history)


def _whitening(logarithms: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, principal directions and standard deviations of the dithered log-ratios."""
    ratios = logarithms - logarithms.mean(1, keepdims=True)
    variance, basis = np.linalg.eigh(np.cov(ratios.T))
    order = slice(None, 0, -1)  # all but (1, ..., 1), along which nothing varies
    deviations = np.sqrt(variance[order] + DITHER**2)
    single = np.float32
    return (
        ratios.mean(0).astype(single),
        basis[:, order].astype(single),
        deviations.astype(single),
    )


# --- Files ---


def save(path: str | Path, flow: Flow) -> None:
    """Writes a flow to an `.npz` file, under exactly that name."""
    arrays = {name: getattr(flow, name) for name in _FIXED}
    arrays |= traverse_util.flatten_dict(flow.params, sep="/")
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)


def load(path: str | Path) -> Flow:
    """Reads a flow that `save` wrote.

    Raises:
      ValueError: If the file holds no flow.
      OSError: If it cannot be read.
    """
    try:
        with np.load(path) as file:
            arrays = dict(file)
        shape, scale, mean, basis, deviations = (arrays.pop(n) for n in _FIXED)
        params = traverse_util.unflatten_dict(arrays, sep="/")
        params["scale_0"]["Dense_0"]["bias"]  # or there are no couplings
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no flow; save writes one ({error})") from error
    sides = (int(shape[0]), int(shape[1]))
    return Flow(sides, int(scale), mean, basis, deviations, params)


_FIXED = ("shape", "scale", "mean", "basis", "deviations")


@functools.cache
def shipped() -> Flow:
    """The flow that comes with the package: see `kernelgan_jax.prior.flow`."""
    return load(Path(__file__).parent / "data" / "flow_x2.npz")
