"""KernelGAN's two networks as Flax modules (paper, sections 4.1 and 4.2, figure 4).

Both work on one image, on some crops of it at a time: `B x C x H x H` in, channels
first, because on CPUs the matrix products of the discriminator are then fastest in both
directions. Parameters have Flax's layout (`h x w x in x out`).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from kernelgan_jax.priors.linear_network import XAVIER


def downscale_x2(image: jax.Array, kernel: jax.Array) -> jax.Array:
    """The generator's output: an image correlated with its kernel, every second pixel.

    Args:
      image: `[...] x H x H`.
      kernel: `n x n`.

    Returns:
      `[...] x h x h` with `h = (H - n)//2 + 1`: only where the kernel fits inside.
    """
    *leading, height, width = image.shape
    image = image.reshape(-1, height, width)
    n = kernel.shape[0]
    size = (height - n) // 2 + 1
    # As one matrix product: the image rows under the kernel, end to end, times the
    # kernel's rows, end to end, shifted by 2 for each output column. A longer row,
    # repeated, cut short and folded again gives these shifts without a gather.
    rows = jnp.stack([image[:, u : u + 2 * size - 1 : 2] for u in range(n)], axis=2)
    length = n * width
    flat = jnp.pad(kernel, ((0, 0), (0, width - n))).reshape(length)
    repeated = jnp.broadcast_to(jnp.pad(flat, (0, 2)), (size, length + 2))
    shifted = repeated.reshape(-1)[: size * length].reshape(size, length)
    output = shifted @ rows.reshape(-1, length).T
    return output.T.reshape(*leading, size, size)


class PatchDiscriminator(nn.Module):
    """Tells for each patch of some crops how probable it is that it is real.

    One `kernel_size`-square convolution, then 1x1 convolutions with batch normalisation
    and ReLU, a last 1x1 convolution and a sigmoid, all convolutions under spectral
    normalisation (Miyato et al. 2018). Batch statistics are those of all crops.

    The collection `singular_vectors` holds estimates of the left singular vectors. Each
    call refines them by one power iteration, so apply it with
    `mutable=["singular_vectors"]`.

    Attributes:
      channels: Hidden channels.
      kernel_size: Side of the first filter: the size of the patches.
      blocks: Number of hidden 1x1 convolutions.
    """

    channels: int = 64
    kernel_size: int = 7
    blocks: int = 5

    @nn.compact
    def __call__(self, crops: jax.Array) -> jax.Array:
        """Maps `B x C x H x H` crops in [-1, 1] to `B x h x h`, h = H - n + 1."""
        count, colours, height, _ = crops.shape
        size = height - self.kernel_size + 1
        x = _patches(crops, self.kernel_size)
        shape = (self.kernel_size, self.kernel_size, colours, self.channels)
        x = SpectralConv(shape, name="first")(x)
        for i in range(self.blocks):
            shape = (1, 1, self.channels, self.channels)
            x = SpectralConv(shape, name=f"conv_{i}")(x)
            x = nn.relu(BatchNorm(name=f"norm_{i}")(x))
        x = SpectralConv((1, 1, self.channels, 1), name="last")(x)
        return nn.sigmoid(x).reshape(count, size, size)


def _patches(images: jax.Array, size: int) -> jax.Array:
    """All patches of `B x C x H x W` images as columns: `(size*size*C) x (B*N)`."""
    colours, *sides = images.shape[1:]
    height, width = (side - size + 1 for side in sides)
    x = jnp.stack([images[..., v : v + width] for v in range(size)])
    x = jnp.stack([x[..., u : u + height, :] for u in range(size)])
    return jnp.moveaxis(x, 3, 2).reshape(size * size * colours, -1)


class SpectralConv(nn.Module):
    """A convolution, as a matrix product on patches, divided by its spectral norm.

    Attributes:
      shape: Shape of its kernel, `h x w x in x out`.
    """

    shape: tuple[int, int, int, int]

    @nn.compact
    def __call__(self, patches: jax.Array) -> jax.Array:
        """Maps `(h*w*in) x N` to `out x N`."""
        out = self.shape[-1]
        kernel = self.param("kernel", XAVIER, self.shape)
        bias = self.param("bias", nn.initializers.zeros, (out,))
        u = self.variable("singular_vectors", "u", self._random_direction, out)

        weight = kernel.reshape(-1, out)
        fixed = jax.lax.stop_gradient(weight)
        right = _unit(fixed @ u.value)
        left = _unit(right @ fixed)
        if not self.is_initializing():
            u.value = left
        norm = right @ weight @ left
        # A product, not a division: its gradient is one dot instead of a tree of sums.
        weight = jnp.einsum("io,->io", weight, 1 / norm)
        return _project(weight, patches) + bias[:, None]

    def _random_direction(self, size: int) -> jax.Array:
        return _unit(jax.random.normal(self.make_rng("params"), (size,)))


@jax.custom_vjp
def _project(weight: jax.Array, x: jax.Array) -> jax.Array:
    """`weight.T @ x`.

    On CPUs XLA shares out matrix products of this size to the cores only if both are
    contracted over their first axis. So the gradient is written out in that form too,
    with a barrier against the folding of its transpose: training is a tenth faster.
    """
    return jax.lax.dot_general(weight, x, (((0,), (0,)), ((), ())))


def _project_forward(weight: jax.Array, x: jax.Array) -> Any:
    return _project(weight, x), (weight, x)


def _project_backward(residuals: Any, gradient: jax.Array) -> Any:
    weight, x = residuals
    transposed = jax.lax.optimization_barrier(weight.T)
    of_weight, of_x = x @ gradient.T, _project(transposed, gradient)
    # They differ where float32 crops meet the float64 weights of JAX's 64 bits.
    return of_weight.astype(weight.dtype), of_x.astype(x.dtype)


_project.defvjp(_project_forward, _project_backward)


class BatchNorm(nn.Module):
    """Batch normalisation of `C x N` features by the statistics of these N columns."""

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def around_one(key: jax.Array, shape: Any, dtype: Any = jnp.float32) -> Any:
            return 1 + 0.02 * jax.random.normal(key, shape, dtype)

        scale = self.param("scale", around_one, (x.shape[0], 1))
        shift = self.param("shift", nn.initializers.zeros, (x.shape[0], 1))
        x = x - x.mean(1, keepdims=True)
        variance = (x * x).mean(1, keepdims=True)
        return x * (scale * jax.lax.rsqrt(variance + self.epsilon)) + shift


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
