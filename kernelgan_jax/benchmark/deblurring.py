"""Deblurring by scikit-image with kernels of the benchmark: rows at scale 1.

Each channel is deblurred by itself. The image is extended by mirroring, as the
functions of scikit-image take what lies beyond its borders for black or for the other
side.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from kernelgan_jax.benchmark.systems import System, UserMethod
from kernelgan_jax.kernel_export import export
from kernelgan_jax.pixels import to_unit

BALANCE = 1e-4
"""Weight of the smoothness in the Wiener filter, which has no usual value: the best for
images without noise (`benchmarks/deblurring.md`)."""

ITERATIONS = 50
"""Number of iterations of Richardson and Lucy, scikit-image's default."""

_MARGIN = 32

Deblur = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""`deblur(channel, psf, seed)` for one channel in [0, 1] and a convolution kernel."""


def wiener(channel: np.ndarray, psf: np.ndarray, seed: int) -> np.ndarray:
    """The Wiener filter with a Laplacian, of a fixed weight."""
    from skimage import restoration

    del seed
    found: np.ndarray = restoration.wiener(channel, psf, BALANCE)
    return found


def unsupervised_wiener(channel: np.ndarray, psf: np.ndarray, seed: int) -> np.ndarray:
    """The same with the weight as the image says it (Orieux et al. 2010)."""
    from skimage import restoration

    found: np.ndarray = restoration.unsupervised_wiener(channel, psf, rng=seed)[0]
    return found


def richardson_lucy(channel: np.ndarray, psf: np.ndarray, seed: int) -> np.ndarray:
    """Richardson and Lucy's iteration (1972, 1974)."""
    from skimage import restoration

    del seed
    found: np.ndarray = restoration.richardson_lucy(channel, psf, num_iter=ITERATIONS)
    return found


METHODS = {
    "skimage_wiener": ("Wiener filter of scikit-image", wiener),
    "unsupervised_wiener": ("unsupervised Wiener filter", unsupervised_wiener),
    "richardson_lucy": ("Richardson-Lucy", richardson_lucy),
}
"""Titles and functions by the ends of the systems' names."""

_SEEDED = (unsupervised_wiener,)
"""Those that draw: the others make the same image of any seed."""


def with_deblurring(systems: Sequence[System]) -> list[System]:
    """Systems with the kernels of others, which deblur by scikit-image, at scale 1.

    Args:
      systems: Those with an estimator and no method of their own are taken.

    Example:
      >>> from kernelgan_jax.benchmark.systems import SYSTEMS
      >>> [system.name for system in with_deblurring([SYSTEMS["true"]])][2]
      'true-richardson_lucy'
    """
    return [
        dataclasses.replace(
            own,
            name=f"{own.kernel_name}-{name}",
            title=f"{own.title} + {title}",
            kernel_title=own.kernel_title,
            method=UserMethod(
                _of_image(deblur), name, scales=(1,), seeded=deblur in _SEEDED
            ),
        )
        for own in systems
        if own.estimator is not None and own.method is None
        for name, (title, deblur) in METHODS.items()
    ]


def _of_image(
    deblur: Deblur,
) -> Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]:
    """The method for a whole image, as a `UserMethod` has it."""

    def method(
        image: np.ndarray, kernel: np.ndarray, scale: int, seed: int
    ) -> np.ndarray:
        psf = export(kernel, to="skimage", scale=scale)
        margins = [(min(_MARGIN, side),) * 2 for side in image.shape[:2]]
        inside = tuple(slice(first, -last) for first, last in margins)
        wide = np.pad(to_unit(image), [*margins, (0, 0)], mode="symmetric")
        channels = np.moveaxis(wide.astype(np.float64), -1, 0)
        found = np.stack([deblur(channel, psf, seed) for channel in channels], -1)
        return np.clip(found[inside], 0, 1).astype(np.float32)

    return method
