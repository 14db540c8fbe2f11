"""The spectra of many images: an image a core on a CPU, one program on other devices.

A fit is a long row of small operations, for which a GPU takes as long as for those of
many images. There all fits of a batch are one program by `vmap`, sharded over the
devices; what is done to pixels before, and to kernels after, runs in threads, as do the
further searches in images whose camera may have shaken.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from kernelgan_jax import checks, kernels, programs
from kernelgan_jax.estimate import Evidence, ProgressCallback
from kernelgan_jax.estimators.spectral import paths
from kernelgan_jax.estimators.spectral.analysis import analyse, evidence
from kernelgan_jax.estimators.spectral.best import Fits
from kernelgan_jax.estimators.spectral.drawn_steps import steps_were_drawn
from kernelgan_jax.estimators.spectral.measured import Measured, measure
from kernelgan_jax.estimators.spectral.observation import Observation
from kernelgan_jax.estimators.spectral.resamplers import resampler_kernels
from kernelgan_jax.estimators.spectral.search import fit_families, fit_spectra
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
) -> list[Evidence | None]:
    """Analyses the power spectra of several images.

    Args:
      images: Images as `analyse` takes them; or None, for which None is returned.
      scale: As `analyse` takes it.
      rare: As `analyse` takes it.
      vectorised: Whether all fits are one `vmap`ped program; by default on GPUs and
        TPUs only.

    Returns:
      For each image what `analyse` returns, or None where it raises a ValueError.

    Raises:
      ValueError: If the scale is out of range.

    Example:
      >>> import numpy as np
      >>> from kernelgan_jax.estimators.spectral import analyse_images
      >>> noise = np.random.default_rng(0).random((48, 64))
      >>> images = [noise.cumsum(0).cumsum(1) / noise.sum(), np.zeros((48, 64)), None]
      >>> [found is not None for found in analyse_images(images, scale=2)]
      [True, False, False]
    """
    scale = checks.scale(scale, maximum=kernels.MAX_SCALE)

    def each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The results of the items; None where there is none, or an error."""

        def one(_: int, item: Any, __: ProgressCallback) -> Any:
            try:
                return None if item is None else function(item)
            except ValueError:
                return None

        return map_images(one, items)

    if vectorised is None:
        vectorised = jax.default_backend() != "cpu" and len(images) > 1
    if not vectorised:
        alone = functools.partial(analyse, scale=scale, rare=rare)
        return each(alone, images)
    measured: list[Measured | None] = []

    def measure_some() -> Iterator[list[Measured]]:
        for some in _chunks(images):
            found = each(measure, some)
            measured.extend(found)
            yield [m for m in found if m is not None]

    fits = _fits(measure_some(), scale, rare)
    without = [None if m is None else (m, next(fits)) for m in measured]
    pairs = _with_steps(without, scale, rare)
    return each(lambda pair: evidence(*pair, scale=scale), pairs)


def _with_steps(
    without: Sequence[tuple[Measured, Fits] | None], scale: int, rare: bool
) -> list[tuple[Measured, Fits] | None]:
    """Measurements with their fits, with unblurred steps where these belong to them."""
    others = [pair and pair[0].with_steps for pair in without]
    fits = _fits(_chunks([m for m in others if m is not None]), scale, rare)
    pairs: list[tuple[Measured, Fits] | None] = []
    for old, other in zip(without, others, strict=True):
        new = None if other is None else (other, next(fits))
        if old and new and not steps_were_drawn(*old, new[1], scale=scale):
            pairs.append(new)
        else:
            pairs.append(old)
    return pairs


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Items for one program at a time: up to `BATCH` for each device."""
    most = BATCH * len(jax.local_devices())
    return (items[first : first + most] for first in range(0, len(items), most))


def _fits(
    chunks: Iterable[Sequence[Measured]], scale: int, rare: bool
) -> Iterator[Fits]:
    """The fits of all images; the device is at work while the next chunk is made."""
    started = [(len(some), _start_fits(some, scale, rare)) for some in chunks if some]
    return itertools.chain.from_iterable(itertools.starmap(_rows, started))


def _start_fits(measured: Sequence[Measured], scale: int, rare: bool) -> Fits:
    """The fits of images, up to `BATCH` for each device, as the devices' arrays.

    What it returns has a leading axis, at least as long as there are images; it is not
    computed yet.
    """
    devices = jax.local_devices()
    mesh = jax.sharding.Mesh(np.array(devices), ("image",))
    sharding = jax.sharding.NamedSharding(mesh, jax.P("image"))
    each_device = -(-len(measured) // len(devices))
    size = len(devices) * 2 ** (each_device - 1).bit_length()
    rows = [*measured, *measured[-1:] * (size - len(measured))]
    spectra = jax.tree.map(
        lambda *x: np.stack(x), *[(m.power, m.observation) for m in rows]
    )
    with programs.single_precision():
        return compiled(scale, rare)(*jax.device_put(spectra, sharding))


def _rows(count: int, fits: Fits) -> Iterator[Fits]:
    """The fits of the first images of a program, as NumPy arrays."""
    computed = jax.device_get(fits)
    for row in range(count):
        yield jax.tree.map(lambda x, row=row: x[row], computed)


def fit_all(
    power: jax.Array, observation: Observation, *, scale: int, rare: bool = True
) -> Fits:
    """Fits all families and rare kernels to a periodogram; pure, for one image.

    What `analysis.fit_measured` does by several programs, as one.
    """
    fits, samples = fit_families(power, observation, scale=scale)
    if not rare:
        return Fits(fits, samples)
    first = paths.starts(power, scale=scale)
    found = paths.search(first, power, observation, scale=scale)
    if scale == 1:  # Nothing was resampled.
        return Fits(fits, samples, None, found)
    several = resampler_kernels(scale)
    resampled = fit_spectra(power, observation, several, scale=scale)
    return Fits(fits, samples, resampled, found)


@functools.lru_cache(maxsize=16)
def compiled(scale: int, rare: bool) -> Callable[[jax.Array, Observation], Fits]:
    """The compiled fits of a scale, with a leading axis of images."""
    return jax.jit(jax.vmap(functools.partial(fit_all, scale=scale, rare=rare)))
