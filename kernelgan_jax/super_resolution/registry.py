"""The super-resolution methods by name: the only list of them. Needs no JAX.

A method is a function of the method's name, in a file or a folder of its own, for a
batch of images (`Enlarge`), and one line in `METHODS`. Its settings, if it has any, are
a frozen dataclass in a file that needs no JAX.
"""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kernelgan_jax.super_resolution.zssr.config import ZSSRConfig

if TYPE_CHECKING:
    import jax
    import numpy as np

    from kernelgan_jax.estimate import ProgressCallback
    from kernelgan_jax.super_resolution.planning import Plan


class Enlarge(Protocol):
    """The function of a method."""

    def __call__(
        self,
        keys: "Sequence[jax.Array]",
        images: "Sequence[np.ndarray]",
        plans: "Sequence[Plan]",
        *,
        progress: "ProgressCallback | None" = None,
    ) -> "list[np.ndarray]":
        """Enlarges images, each by its plan.

        Args:
          keys: JAX random keys, one for each image.
          images: `H x W x C` float32 in [0, 1], C = 1 or 3, checked; sizes may differ.
          plans: What to do with each image, for this method, checked.
          progress: Called now and then.

        Returns:
          `sH x sW x C` float32 in [0, 1] for each image, s the scale of its plan.
        """


class MethodSettings(Protocol):
    """What the settings class of a method has besides its fields."""

    def for_image(
        self, *, noise_std: float, image_shape: tuple[int, int] | None
    ) -> tuple[Any, tuple[str, ...]]:
        """The settings adapted to one image.

        Args:
          noise_std: Standard deviation of the image's noise, as a fraction of the
            range; 0 if there is none or it is not known.
          image_shape: Height and width of the LR image, if known.

        Returns:
          The settings, and a note for each thing that is not done as usual: words that
          continue "super-resolved ...".
        """


class Method(NamedTuple):
    """One way to super-resolve."""

    name: str
    """The method's name, and that of its function in `module`."""
    config: type[Any] | None
    """Its settings class, a `MethodSettings`; None if it has no settings."""
    module: str
    """The module of its function, imported on first use."""
    uses_kernel: bool
    """Whether the result depends on the kernel."""
    least_side: int
    """Smallest legal side of an LR image, pixels, divided by the scale."""
    about: str
    """What the method does, in one line."""

    def load(self) -> Enlarge:
        """Imports the method's module and returns its function."""
        function: Enlarge = getattr(importlib.import_module(self.module), self.name)
        return function


_HERE = "kernelgan_jax.super_resolution"
_METHODS = (
    Method(
        "bicubic", None, f"{_HERE}.bicubic", False, 1,
        "bicubic enlargement, without the kernel",
    ),
    Method(
        "zssr", ZSSRConfig, f"{_HERE}.zssr.method", True, 8,
        "a network trained on the image alone, as published (Shocher et al. 2018)",
    ),
    Method(
        "zssr_fast", ZSSRConfig, f"{_HERE}.zssr.method", True, 8,
        "the same at the size of the LR image, on top of the best linear filter",
    ),
)  # fmt: skip

METHODS: dict[str, Method] = {method.name: method for method in _METHODS}
"""All methods by name."""
