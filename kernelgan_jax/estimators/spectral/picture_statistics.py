"""Statistics of a picture that tell what a wrong kernel has made of it.

A kernel that is too wide leaves halos and waves beside edges, and noise between them;
one that is too narrow leaves edges soft. The statistics are those of slopes: how large
and how sparse they are at three sizes of the picture, how slopes that are next to each
other belong together, and what the slopes beside the steepest ones are.

References:
  Liu, Wang, Cho, Finkelstein, Rusinkiewicz, "A no-reference metric for evaluating the
    quality of motion deblurring", SIGGRAPH Asia 2013 (features of restored pictures
    that predict their quality).
"""

import numpy as np

SIZES = (1, 2, 4)
"""The picture is averaged over squares of these sides first."""

LAGS = 6
"""Slopes are compared with others up to so many pixels away."""

STEEP = 0.98
"""Share of the slopes that are less steep than those whose surroundings are seen."""

FLOOR = 1e-3
"""Smallest slope, gray levels, so that logarithms are finite."""

COUNT = 8 * len(SIZES) + 2 * LAGS * 2
"""Number of the statistics."""


def statistics(picture: np.ndarray) -> np.ndarray:
    """Statistics of a picture.

    Args:
      picture: `H x W` gray levels, at least 64 pixels a side; NaN where it is no
        picture, at most about half of it.

    Returns:
      `COUNT` float32.

    Example:
      >>> import numpy as np
      >>> statistics(np.eye(64)).shape
      (48,)
    """
    picture = np.asarray(picture, np.float32)
    found: list[float] = []
    for size in SIZES:
        slopes = _slopes(_averaged(picture, size))
        found += _sparsity(slopes)
        found += _sparsity([np.diff(s, axis=axis) for axis, s in enumerate(slopes)])
        if size <= 2:
            along = [slopes[0].T, slopes[1]]
            found += list(np.mean([_together(s) for s in along], 0))
            found += list(np.mean([_beside(s) for s in along], 0))
    return np.array(found, np.float32)


def _averaged(picture: np.ndarray, size: int) -> np.ndarray:
    """The picture, averaged over squares."""
    height, width = (n // size for n in picture.shape)
    part = picture[: height * size, : width * size]
    return part.reshape(height, size, width, size).mean((1, 3))


def _slopes(picture: np.ndarray) -> list[np.ndarray]:
    return [np.diff(picture, axis=axis) for axis in (0, 1)]


def _sparsity(slopes: list[np.ndarray]) -> list[float]:
    """Logarithms of the root mean square, and of three other means relative to it."""
    sizes = np.abs(np.concatenate([s.ravel() for s in slopes])) + FLOOR
    sizes = sizes[~np.isnan(sizes)]
    rms = np.sqrt((sizes**2).mean())
    relative = sizes / rms
    means = relative.mean(), np.sqrt(relative).mean() ** 2, (relative**4).mean() ** 0.25
    return [float(np.log(value)) for value in (rms, *means)]


def _together(slopes: np.ndarray) -> np.ndarray:
    """Correlations of slopes with those further along the rows, `LAGS`.

    Of their square roots with a sign, so that few steep ones do not decide.
    """
    roots = np.sign(slopes) * np.sqrt(np.abs(slopes))
    power = _mean(roots**2) + FLOOR
    width = roots.shape[1]
    pairs = ((roots[:, n:], roots[:, : width - n]) for n in range(1, LAGS + 1))
    return np.array([_mean(a * b) for a, b in pairs]) / power


def _beside(slopes: np.ndarray) -> np.ndarray:
    """Slopes beside the steepest ones, relative to these: medians at `LAGS` distances.

    They are negative where edges have halos.
    """
    inner = np.abs(slopes[:, LAGS:-LAGS])
    before = np.abs(slopes[:, LAGS - 1 : -LAGS - 1])
    after = np.abs(slopes[:, LAGS + 1 : slopes.shape[1] - LAGS + 1])
    least = np.nanquantile(inner, STEEP)
    steep = inner >= max(float(least), FLOOR)
    rows, columns = np.nonzero(steep & (inner >= before) & (inner >= after))
    columns = columns + LAGS
    lags = np.arange(1, LAGS + 1)[:, None]
    both = slopes[rows, columns + lags] + slopes[rows, columns - lags]
    relative = both / (2 * slopes[rows, columns])
    relative = relative[:, ~np.isnan(relative).any(axis=0)]
    return np.median(relative, axis=1) if relative.size else np.zeros(LAGS)


def _mean(values: np.ndarray) -> np.floating:
    """`np.nanmean`, without its copies where there is no NaN."""
    found = values.mean()
    return np.nanmean(values) if np.isnan(found) else found
