"""Settings of the spectral estimator. Needs no JAX."""

import dataclasses
import re

from kernelgan_jax.settings import Check, check_settings, setting

MAX_PARTS = 16
"""Largest number of parts along each axis."""

_LEGAL = re.compile(r"([1-9][0-9]?)x([1-9][0-9]?)")


def _is_grid(value: object) -> bool:
    if value == "":
        return True
    found = _LEGAL.fullmatch(value) if isinstance(value, str) else None
    return found is not None and max(map(int, found.groups())) <= MAX_PARTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpectralConfig:
    """Settings of the spectral estimator.

    Raises:
      ValueError: If a value is not legal.

    Example:
      >>> from kernelgan_jax.estimators.spectral import SpectralConfig
      >>> SpectralConfig(kernel_map="3x4").grid
      (3, 4)
    """

    kernel_map: str = setting(
        "",
        check=Check(
            f"empty, or ROWSxCOLUMNS, as 3x4, each from 1 to {MAX_PARTS}", _is_grid
        ),
        about="Blur that varies over the image: a kernel for each of ROWSxCOLUMNS "
        "parts, as 3x4; empty for one kernel.",
    )

    def __post_init__(self) -> None:
        check_settings(self, prefix="config.spectral.")

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the map; None for one kernel."""
        found = _LEGAL.fullmatch(self.kernel_map)
        return (int(found[1]), int(found[2])) if found else None
