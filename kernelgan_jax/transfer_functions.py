"""Transfer functions: what correlation with a kernel does to each frequency."""

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import kernels


def on_grid(kernel: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The transfer function on the frequencies of an image, in JAX.

    Phases are counted from the middle value of the kernel, `(h//2, w//2)`.

    Args:
      kernel: `h x w` correlation kernel, no larger than `shape`.
      shape: Height and width of the image.

    Returns:
      `H x W` complex, in the order of `jnp.fft.fft2`.

    Example:
      >>> import jax.numpy as jnp, numpy as np
      >>> from kernelgan_jax import transfer_functions
      >>> found = transfer_functions.on_grid(jnp.full((1, 2), 0.5), (1, 4))
      >>> np.abs(np.asarray(found, complex)).round(2).tolist()
      [[1.0, 0.71, 0.0, 0.71]]
    """
    pad = [(0, n - k) for n, k in zip(shape, kernel.shape, strict=True)]
    origin = [-(k // 2) for k in kernel.shape]
    return jnp.fft.fft2(jnp.roll(jnp.pad(kernel, pad), origin, (0, 1))).conj()


def at(
    kernel: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, scale: int
) -> np.ndarray:
    """The transfer function at any frequencies, in NumPy.

    Phases are counted from the point at which a kernel of the scale is centred.

    Args:
      kernel: `h x w` correlation kernel.
      rows: `m` vertical frequencies, cycles per pixel.
      columns: `n` horizontal frequencies, cycles per pixel.
      scale: The scale that the kernel is aligned for.

    Returns:
      `m x n` complex128.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax import transfer_functions
      >>> waves = np.array([0.0, 0.25])
      >>> found = transfer_functions.at(np.full((2, 2), 0.25), waves, waves, scale=2)
      >>> np.abs(found).round(2).tolist()
      [[1.0, 0.71], [0.71, 0.5]]
    """
    down, right = (
        np.arange(size) - middle
        for size, middle in zip(
            kernel.shape, kernels.alignment(kernel.shape, scale), strict=True
        )
    )
    turn = 2j * np.pi
    return (
        np.exp(turn * np.outer(rows, down))
        @ kernel
        @ np.exp(turn * np.outer(right, columns))
    )
