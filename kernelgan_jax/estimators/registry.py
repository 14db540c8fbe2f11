"""The kernel estimators: one line each, read by the library, the command and the
benchmark.

An estimator is a module with two functions, and optionally two more:

    check(image, *, scale, config)
        Raises ValueError, before anything is compiled, for an image or a setting that
        it cannot use. The image is `H x W x C` float32 in [0, 1], which is its own
        range (`levels.py`).
    estimate(keys, images, *, scale, config, evidence, progress) -> list[KernelEstimate]
        Estimates the kernels of several images. `evidence` has one `Evidence`, or None,
        for each image.
    device_bytes(config) -> int
        Memory of a GPU or TPU that one image of a batch takes, if the estimator works
        on a batch as one program; without it, images are taken one per CPU core.
    preload(config)
        Loads what it will need for one image, if an earlier run has kept it, while the
        image is read. It may be missing, too.

This module and the settings classes need no JAX, so that the command can read its flags
before it starts to work.
"""

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, cast

from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.spectral.config import SpectralConfig
from kernelgan_jax.settings import (
    check_settings,
    number,
    setting,
    settings_of,
    shown,
    whole,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatchRecurrenceConfig:
    """Settings of the estimator of Michaeli and Irani (ICCV 2013)."""

    iterations: int = setting(
        15, check=whole(1), about="Iterations; the kernel hardly changes after 15."
    )

    def __post_init__(self) -> None:
        check_settings(self, prefix="config.patch_recurrence.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConstantConfig:
    """Settings of the constant Gaussian."""

    variance: float = setting(
        2.8,
        check=number(above=0),
        about="Variance of the kernel at scale 2, pixels^2; at scale s it is (s^2 - 1) "
        "/ 3 times as much. 2.8 is the mean of DIV2KRK's.",
    )

    def __post_init__(self) -> None:
        check_settings(self, prefix="config.constant.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenConfig:
    """A kernel that is known, in place of an estimated one.

    The kernel is kept as nested tuples, so that settings can be compared, hashed and
    written like all others.

    Raises:
      ValueError: If the kernel is no matrix of finite numbers.
    """

    kernel: tuple[tuple[float, ...], ...] = ()
    """`h x w` correlation kernel; any array is converted. It need not be aligned."""
    source: str = "given"
    """Where the kernel comes from, for reports: the name of a file."""

    def __post_init__(self) -> None:
        if isinstance(self.kernel, tuple) and not self.kernel:
            return  # The default: there is none.
        from kernelgan_jax import checks  # It imports NumPy, which flags do without.

        kernel = checks.matrix("config.given.kernel", self.kernel)
        object.__setattr__(self, "kernel", tuple(map(tuple, kernel.tolist())))


@dataclasses.dataclass(frozen=True)
class Estimator:
    """An entry of the registry."""

    name: str
    module: str
    """The module with its functions, below `kernelgan_jax.estimators`; or, after a
    colon, an object in it with these functions as methods."""
    about: str
    """One line for the user."""
    scales: Sequence[int] = range(1, 9)
    """The scales that it knows."""
    config: type | None = None
    """Class of its settings; None if it has none."""
    seeded: bool = False
    """Whether its kernels depend on the random key."""
    largest_batch: int = 256
    """Most images of a batch for each GPU or TPU."""
    estimates: bool = True
    """Whether it estimates at all: a kernel that is known beforehand needs no
    confidence, and is not written again."""

    def check_scale(self, scale: Any) -> int:
        """Checks that the estimator knows a scale, and converts it.

        Returns:
          The scale as a Python integer.

        Raises:
          ValueError: If it does not.
        """
        # NumPy's integers, too; its times count as integers, but are no index.
        is_whole = isinstance(scale, Integral) and hasattr(scale, "__index__")
        is_whole &= not isinstance(scale, bool)
        if not (is_whole and scale in self.scales):
            if self.scales == range(self.scales[0], self.scales[-1] + 1):
                legal = f"a whole number from {self.scales[0]} to {self.scales[-1]}"
            else:
                legal = " or ".join(map(str, self.scales))
            raise ValueError(
                f"scale is {shown(scale)}; it must be {legal} for the estimator "
                f"{self.name}"
            )
        return int(scale)

    def default_config(self, config: Any = None) -> Any:
        """The settings that are given, checked for their type, or the default ones.

        Raises:
          ValueError: If they are those of another estimator.
        """
        return settings_of(f"the estimator {self.name}", config, self.config)

    @property
    def implementation(self) -> Any:
        """The module or object with its functions, imported on first use."""
        name, _, attribute = self.module.partition(":")
        module = importlib.import_module(f"kernelgan_jax.estimators.{name}")
        return getattr(module, attribute) if attribute else module

    @property
    def takes_batches(self) -> bool:
        """Whether it works on a batch as one program, and not image by image."""
        return hasattr(self.implementation, "device_bytes")

    def device_bytes(self, config: Any) -> int | None:
        """Device memory of one image of a batch; None if it works image by image."""
        if not self.takes_batches:
            return None
        return cast(Callable[[Any], int], self.implementation.device_bytes)(config)

    def preload(self, config: Any) -> None:
        """Loads what one image will need, where an earlier run has kept it."""
        function = getattr(self.implementation, "preload", None)
        if function is not None:
            function(config)


ESTIMATORS: dict[str, Estimator] = {
    entry.name: entry
    for entry in (
        Estimator(
            "spectral",
            "spectral.estimator",
            "likelihood of the power spectrum",
            config=SpectralConfig,
            largest_batch=32,
        ),
        Estimator(
            "kernelgan",
            "kernelgan.estimator",
            "KernelGAN (Bell-Kligler et al. 2019)",
            scales=(2, 4),
            config=KernelGANConfig,
            seeded=True,
        ),
        Estimator(
            "patch_recurrence",
            "patch_recurrence",
            "recurrence of patches across scales (Michaeli, Irani 2013)",
            scales=range(2, 9),
            config=PatchRecurrenceConfig,
        ),
        Estimator(
            "constant",
            "fixed:constant",
            "the same round Gaussian for every image",
            scales=range(2, 9),
            config=ConstantConfig,
        ),
        Estimator(
            "bicubic", "fixed:bicubic", "the ideal bicubic kernel", estimates=False
        ),
        Estimator(
            "given",
            "fixed:given",
            "a known kernel",
            config=GivenConfig,
            estimates=False,
        ),
    )
}
"""The estimators by name, the default first."""


def find_estimator(name: str) -> Estimator:
    """The estimator of a name.

    Raises:
      ValueError: If there is none.

    Example:
      >>> find_estimator("kernelgan").scales
      (2, 4)
    """
    if not isinstance(name, str) or name not in ESTIMATORS:
        raise ValueError(f"estimator is {name!r}; it must be {' or '.join(ESTIMATORS)}")
    return ESTIMATORS[name]
