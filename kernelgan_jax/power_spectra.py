"""Power spectra of HR images: that of photographs, and one that was fitted.

They are those of images in [0, 1], normalised so that their mean over all frequencies
is the variance of a pixel.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax.exact_products import tensordot


def natural_spectrum(shape: tuple[int, int]) -> np.ndarray:
    """Power spectrum of photographs in general: `2e-5 / (f^2 + 1/200^2)^1.5`.

    Args:
      shape: Height and width of the HR grid; f is in cycles per HR pixel.

    Returns:
      `shape` float32.
    """
    rows, columns = (np.fft.fftfreq(n) for n in shape)
    square = rows[:, None] ** 2 + columns**2
    return (2e-5 / (square + 1 / 200**2) ** 1.5).astype(np.float32)


def fitted_spectrum(spectrum: Any, shape: tuple[int, int], *, scale: int) -> jax.Array:
    """The power spectrum that the spectral likelihood has fitted to an image.

    `A r^-alpha exp(c cos 2t + d sin 2t + e cos 4t + f sin 4t)`, see the module of the
    likelihood.

    Args:
      spectrum: Has `log_amplitude`, `exponent` and `direction` (c, d, e, f), in gray
        levels^2 and cycles per LR pixel, as `Evidence.spectrum` has.
      shape: Height and width of the HR grid.
      scale: The scale at which it was fitted.

    Returns:
      `shape` float32, in units of images in [0, 1].
    """
    rows, columns = (np.fft.fftfreq(n) for n in shape)
    # The likelihood leaves out waves longer than its windows of 32 LR pixels.
    radius = np.maximum(np.hypot(rows[:, None], columns), 0.5 / 32 / scale)
    turn = np.arctan2(rows[:, None], columns)
    harmonics = np.stack([f(n * turn) for n in (2, 4) for f in (np.cos, np.sin)])
    log_power = (
        jnp.asarray(spectrum.log_amplitude, jnp.float32)
        - jnp.asarray(spectrum.exponent, jnp.float32)
        * jnp.asarray(np.log(scale * radius), jnp.float32)
        + tensordot(
            jnp.asarray(spectrum.direction, jnp.float32),
            jnp.asarray(harmonics, jnp.float32),
            1,
        )
    )
    return jnp.exp(log_power) / 255**2
