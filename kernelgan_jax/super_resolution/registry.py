"""The super-resolution methods: one line each, read by the library, the command and the
benchmark.

A method is a module with a function `enlarge` for a batch of images (`Enlarge`); the
methods of one module are told apart by their plans. Its settings, if it has any, are a
frozen dataclass (`MethodSettings`). This module and the settings classes need no JAX,
so that the command can read its flags before it starts to work.
"""

import dataclasses
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from kernelgan_jax.settings import settings_of
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig
from kernelgan_jax.super_resolution.published.config import (
    EDSRConfig,
    ONNXConfig,
    RCANConfig,
    RDNConfig,
    SRMDConfig,
    USRNetConfig,
)
from kernelgan_jax.super_resolution.zssr.config import HEADROOM, ZSSRConfig

if TYPE_CHECKING:
    import jax
    import numpy as np

    from kernelgan_jax.estimate import ProgressCallback
    from kernelgan_jax.super_resolution.planning import Plan


class Enlarge(Protocol):
    """The function `enlarge` of a method's module."""

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
            The image's own range is mapped to `[headroom, 1 - headroom]` (`levels.py`),
            unless the method uses no kernel.
          plans: What to do with each image, checked; all are for the same method. Noise
            and spectrum are those of the mapped image.
          progress: Called now and then.

        Returns:
          `sH x sW x C` float32 for each image, s the scale of its plan, in the bounds
          of its plan or, with headroom, in [0, 1].
        """


class MethodSettings(Protocol):
    """What a method's settings class has besides its fields."""

    def for_image(
        self, *, scale: int, noise_std: float, image_shape: tuple[int, int] | None
    ) -> tuple[Any, tuple[str, ...]]:
        """The settings adapted to one image.

        Args:
          scale: The scale of the result.
          noise_std: Standard deviation of the image's noise, as a fraction of the
            image's own range; 0 if there is none or it is not known.
          image_shape: Height and width of the LR image, if known.

        Returns:
          The settings, and a note for each thing that is not done as usual: words that
          continue "super-resolved ...".
        """


@dataclasses.dataclass(frozen=True)
class Method:
    """An entry of the registry."""

    name: str
    module: str
    """The module of its function, below `kernelgan_jax.super_resolution`."""
    about: str
    """One line for the user."""
    title: str
    """Its name in tables."""
    config: type | None = None
    """Class of its settings, a `MethodSettings`; None if it has none."""
    uses_kernel: bool = True
    """Whether the result depends on the kernel."""
    seeded: bool = False
    """Whether the result depends on the random key."""
    learns: bool = False
    """Whether it learns from the image, which it downscales with the kernel."""
    prepares: bool = False
    """Whether its module has `prepare(name, image_shape, scale=, config=)`, which loads
    what an image will need while its kernel is estimated."""
    refines: bool = False
    """Whether its module has `refine(image, plan, usable)`, which improves kernels."""
    headroom: float = 0.0
    """What it needs free at both ends of the range, as it clips to [0, 1]."""
    least_side: int = 0
    """Smallest legal side of an LR image, pixels, divided by the scale; 0: any side."""

    def default_config(self, config: Any = None) -> Any:
        """The settings that are given, checked for their type, or the default ones.

        Raises:
          ValueError: If they are those of another method.
        """
        return settings_of(f"the method {self.name}", config, self.config)

    def check_image_size(self, image_shape: Sequence[int], *, scale: int) -> None:
        """Checks that an image is large enough for the method to learn from.

        Args:
          image_shape: Height and width of the LR image; more numbers are ignored.
          scale: The scale of the result.

        Raises:
          ValueError: If the image is too small.

        Example:
          >>> METHODS["zssr_fast"].check_image_size((16, 16), scale=2)
          >>> METHODS["bicubic"].check_image_size((1, 1), scale=1)
        """
        height, width = image_shape[:2]
        least = self.least_side * scale
        if min(height, width) < least:
            raise ValueError(
                f"image is {width}x{height} pixels; the method {self.name} needs at "
                f"least {least} at each side for scale {scale}; the method bicubic "
                "takes any size"
            )

    def load(self, function: str = "enlarge") -> Any:
        """Imports the method's module and returns a function of it."""
        module = importlib.import_module(
            f"kernelgan_jax.super_resolution.{self.module}"
        )
        return getattr(module, function)


METHODS: dict[str, Method] = {
    entry.name: entry
    for entry in (
        Method(
            "bicubic",
            "bicubic",
            "bicubic enlargement, without the kernel",
            "bicubic",
            uses_kernel=False,
        ),
        Method(
            "wiener",
            "closed_form",
            "a Wiener filter with the image's own spectrum: at once, without training",
            "Wiener filter",
            least_side=4,
        ),
        Method(
            "deep_wiener",
            "deep_wiener.method",
            "a network trained on photographs, on top of Wiener filters",
            "trained network",
            config=DeepWienerConfig,
            prepares=True,
            refines=True,
            least_side=4,
        ),
        Method(
            "deep_wiener_fast",
            "deep_wiener.method",
            "a smaller one, for large images: a third of the time",
            "smaller trained network",
            config=DeepWienerConfig,
            prepares=True,
            refines=True,
            least_side=4,
        ),
        Method(
            "zssr",
            "zssr.method",
            "a network trained on the image alone (Shocher et al. 2018)",
            "ZSSR as published",
            config=ZSSRConfig,
            seeded=True,
            learns=True,
            headroom=HEADROOM,
            least_side=8,
        ),
        Method(
            "zssr_fast",
            "zssr.method",
            "the same at the size of the LR image, on top of a linear filter",
            "ZSSR",
            config=ZSSRConfig,
            seeded=True,
            learns=True,
            headroom=HEADROOM,
            least_side=8,
        ),
        Method(
            "usrnet",
            "published.methods",
            "USRNet (Zhang et al. 2020), with weights of your own",
            "USRNet",
            config=USRNetConfig,
            least_side=4,
        ),
        Method(
            "srmd",
            "published.methods",
            "SRMD or SRMDNF (Zhang et al. 2018), with weights of your own",
            "SRMD",
            config=SRMDConfig,
            least_side=4,
        ),
        Method(
            "rdn",
            "published.methods",
            "RDN (Zhang et al. 2018), for bicubic kernels, with weights of your own",
            "RDN",
            config=RDNConfig,
            uses_kernel=False,
        ),
        Method(
            "edsr",
            "published.methods",
            "EDSR (Lim et al. 2017), for bicubic kernels, with weights of your own",
            "EDSR",
            config=EDSRConfig,
            uses_kernel=False,
        ),
        Method(
            "rcan",
            "published.methods",
            "RCAN (Zhang et al. 2018), for bicubic kernels, with weights of your own",
            "RCAN",
            config=RCANConfig,
            uses_kernel=False,
        ),
        Method(
            "onnx",
            "published.methods",
            "a network of your own in a file of ONNX, without the kernel",
            "ONNX",
            config=ONNXConfig,
            uses_kernel=False,
        ),
    )
}
"""The methods by name."""


def find_method(name: str) -> Method:
    """The method of a name.

    Raises:
      ValueError: If there is none.

    Example:
      >>> find_method("zssr_fast").config.__name__
      'ZSSRConfig'
    """
    if not isinstance(name, str) or name not in METHODS:
        raise ValueError(f"method is {name!r}; it must be {' or '.join(METHODS)}")
    return METHODS[name]
