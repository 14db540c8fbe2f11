"""What the network is asked for: an image, its kernel, and what is known of both."""

from typing import NamedTuple

import numpy as np

from kernelgan_jax import checks
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.super_resolution import wiener
from kernelgan_jax.super_resolution.deep_wiener.two_steps import half_kernel


class Request(NamedTuple):
    """An image to enlarge, and what is known of it."""

    image: np.ndarray
    """`H x W x C` float32 in [0, 1], C 1 or 3."""
    kernel: np.ndarray
    """`h x w` correlation kernel, aligned for `scale`, sum 1."""
    scale: int
    """Positive integer; 1 is deblurring."""
    noise_std: float = 0.0
    """Standard deviation of the noise of each channel, as a fraction of the range."""
    kernel_std: float = 0.0
    """Relative standard deviation of the kernel's widths (see `planning`)."""
    jpeg: float = 0.0
    """Strength of JPEG compression, `(100 - quality) / 100`; 0 if there is none."""
    strength: float = 1.0
    """From 0, the cautious Wiener filter, to 1, the network."""
    spectrum: Spectrum | None = None
    """The power spectrum that was fitted to the image at `scale`, for the Wiener
    filter."""
    bounds: tuple[float, float] = (0.0, 1.0)
    """The range of the result."""
    unusable: np.ndarray | None = None
    """`H x W` bool: pixels that say nothing about the kernel, as they are filled or
    drawn. For refitting alone."""

    def check(self) -> None:
        """Checks the values.

        Raises:
          ValueError: If one of them is out of range.
        """
        numbers = {name: getattr(self, name) for name in NUMBERS}
        wiener.check(self.image, self.kernel, self.scale, **numbers)
        checks.number("jpeg", self.jpeg, maximum=1)
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength is {self.strength}; it must be from 0 to 1")


NUMBERS = ("noise_std", "kernel_std", "jpeg")
"""Numbers that the network is given."""


def first_step(request: Request) -> Request:
    """What the first of two steps is asked for; see `two_steps`."""
    kernel = half_kernel(request.kernel, request.scale)
    spectrum = request.spectrum
    if spectrum is not None:
        # What the LR image shows is S / s^2 at every scale s (`likelihood.py`).
        log_amplitude = spectrum.log_amplitude - np.float32(2 * np.log(2))
        spectrum = spectrum._replace(log_amplitude=log_amplitude)
    return request._replace(kernel=kernel, scale=request.scale // 2, spectrum=spectrum)


def added_noise_std(noise_std: float) -> float:
    """What an estimated noise has beyond what every 8-bit image shows.

    The spectrum of an image without any noise but rounding (0.29 gray levels) is
    explained with 0.3 to 0.6. The network assumes rounding anyway, and is too cautious
    if it is told of it again.

    Args:
      noise_std: The estimate, as a fraction of the range.
    """
    return float(np.sqrt(max(noise_std**2 - (0.6 / 255) ** 2, 0)))
