"""The self-ensemble: the mean of the results for an image seen in several directions.

The image is mirrored and transposed, enlarged, and turned back. The network was not
built to give the same result each time; the errors that differ average out. What EDSR+
and RCAN+ are to EDSR and RCAN.

References:
  Timofte, Rothe, Van Gool, "Seven ways to improve example-based single image super
    resolution", CVPR 2016, section 3.7 (enhanced prediction).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.super_resolution.deep_wiener.enlarge import enlarge_images
from kernelgan_jax.super_resolution.deep_wiener.request import Request
from kernelgan_jax.super_resolution.deep_wiener.weights import Weights


class View(NamedTuple):
    """A direction in which an image is seen: mirrored first, then transposed."""

    rows: int
    """-1 if the order of the rows is reversed, else 1."""
    columns: int
    """The same for the columns."""
    transposed: bool


VIEWS = tuple(
    View(rows, columns, transposed)
    for transposed in (False, True)
    for rows, columns in ((1, 1), (-1, -1), (1, -1), (-1, 1))
)
"""All of them. The first is the image as it is; the second, turned by half a turn,
differs most from it."""


def enlarge_averaged(
    weights: Weights, requests: Sequence[Request], *, views: int
) -> list[np.ndarray]:
    """Enlarges images as `enlarge_images` does, as the mean over views.

    Args:
      weights: As `weights.load` gives them.
      requests: The images, with what is known of each.
      views: Number of views, 1 to 8; it takes as many times as long.
    """

    def each() -> Iterator[list[np.ndarray]]:
        for view in VIEWS[:views]:
            found = enlarge_images(weights, [seen(r, view) for r in requests])
            yield [seen_back(image, view) for image in found]

    results = each()
    means = next(results)
    for number, images in enumerate(results, 2):
        for mean, image in zip(means, images, strict=True):
            mean += (image - mean) / number
    return means


def seen(request: Request, view: View) -> Request:
    """What is asked for if the image is seen in another direction."""
    if view == VIEWS[0]:
        return request
    # What is mirrored is no longer aligned, by a pixel at most.
    turned = _turned(request.kernel, view)
    moved = kernels.centre(turned, request.scale)
    margin = (len(moved) - len(turned)) // 2
    kernel = kernels.normalise(moved[margin:-margin, margin:-margin])
    spectrum = request.spectrum
    if spectrum is not None:
        # A direction t, in (1) of the likelihood, becomes -t if one axis is reversed,
        # and pi / 2 - t if the axes change places.
        mirrored = view.rows * view.columns
        transposed = -1 if view.transposed else 1
        signs = np.array([transposed, mirrored, 1, mirrored * transposed])
        spectrum = spectrum._replace(direction=signs * np.asarray(spectrum.direction))
    return request._replace(
        image=_turned(request.image, view),
        kernel=kernel.astype(np.float32),
        spectrum=spectrum,
    )


def seen_back(image: np.ndarray, view: View) -> np.ndarray:
    """An image that is seen in a direction, as it was."""
    if view.transposed:
        image = image.swapaxes(0, 1)
    return np.ascontiguousarray(image[:: view.rows, :: view.columns])


def _turned(array: np.ndarray, view: View) -> np.ndarray:
    """The rows and columns of an array in another direction."""
    turned = array[:: view.rows, :: view.columns]
    return np.ascontiguousarray(turned.swapaxes(0, 1) if view.transposed else turned)
