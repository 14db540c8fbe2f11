"""The spectra of many images: an image a core on a CPU, one program on other devices.

A fit is a long row of small operations, for which a GPU takes as long as for those of
many images. There all fits of a batch are one program by `vmap`, sharded over the
devices; what is done to pixels before, and to kernels after, runs in threads.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from kernelgan_jax.estimate import Evidence, ProgressCallback
from kernelgan_jax.estimators.spectral.analysis import analyse, evidence, fit_all
from kernelgan_jax.estimators.spectral.best import Fits
from kernelgan_jax.estimators.spectral.drawn_steps import were_drawn, with_steps
from kernelgan_jax.estimators.spectral.measured import Measured, measure
from kernelgan_jax.parallel import map_images

BATCH = 32
"""Images of a program for each device; batches of fewer are filled up to a power of
two, so that few programs are compiled."""


def analyse_images(
    images: Sequence[Any],
    *,
    scale: int,
    rare: bool = True,
    vectorised: bool | None = None,
    progress: ProgressCallback | None = None,
) -> list[Evidence | None]:
    """Analyses the power spectra of several images.

    Args:
      images: Images as `analyse` takes them; or None, for which None is returned.
      scale: As `analyse` takes it.
      rare: As `analyse` takes it.
      vectorised: Whether all fits are one `vmap`ped program; by default on GPUs and
        TPUs only.
      progress: An exception that it raises ends the work on all images.

    Returns:
      For each image what `analyse` returns, or None where it raises a ValueError.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.estimators.spectral import analyse_images
      >>> noise = np.random.default_rng(0).random((48, 64))
      >>> images = [noise.cumsum(0).cumsum(1) / noise.sum(), np.zeros((48, 64)), None]
      >>> [found is not None for found in analyse_images(images, scale=2)]
      [True, False, False]
    """

    def each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The results of the items; None where there is none, or an error."""

        def one(_: int, item: Any, __: ProgressCallback) -> Any:
            try:
                return None if item is None else function(item)
            except ValueError:
                return None

        return map_images(one, items, progress=progress)

    if vectorised is None:
        vectorised = jax.default_backend() != "cpu" and len(images) > 1
    if not vectorised:
        alone = functools.partial(analyse, scale=scale, rare=rare)
        return each(alone, images)
    measured = each(functools.partial(measure, scale=scale), images)
    without = _fitted(measured, scale, rare)
    others = [both and with_steps(*both, scale=scale) for both in without]
    found = [
        old
        if old is None or new is None or were_drawn(old[1], new[1], scale=scale)
        else new
        for old, new in zip(without, _fitted(others, scale, rare), strict=True)
    ]
    return each(lambda both: evidence(*both, scale=scale, rare=rare), found)


def _fitted(
    measured: Sequence[Measured | None], scale: int, rare: bool
) -> list[tuple[Measured, Fits] | None]:
    """Measurements with their fits; None where there are none."""
    fits = iter(_fits([m for m in measured if m is not None], scale, rare))
    return [None if m is None else (m, next(fits)) for m in measured]


def _fits(measured: Sequence[Measured], scale: int, rare: bool) -> list[Fits]:
    """The fits of any number of images, as NumPy arrays."""
    devices = jax.local_devices()
    mesh = jax.sharding.Mesh(np.array(devices), ("image",))
    sharding = jax.sharding.NamedSharding(mesh, jax.P("image"))
    found: list[Fits] = []
    most = BATCH * len(devices)
    for first in range(0, len(measured), most):
        some = measured[first : first + most]
        each_device = -(-len(some) // len(devices))
        size = len(devices) * 2 ** (each_device - 1).bit_length()
        rows = [*some, *some[-1:] * (size - len(some))]
        spectra = np.stack([m.power for m in rows]), np.stack([m.weights for m in rows])
        placed = jax.device_put(spectra, sharding)
        fits = jax.device_get(_compiled(scale, rare)(*placed))
        found += [
            jax.tree.map(lambda x, row=row: x[row], fits) for row in range(len(some))
        ]
    return found


@functools.lru_cache(maxsize=16)
def _compiled(scale: int, rare: bool) -> Callable[[jax.Array, jax.Array], Fits]:
    """The compiled fits of a scale, with a leading axis of images."""
    return jax.jit(jax.vmap(functools.partial(fit_all, scale=scale, rare=rare)))
