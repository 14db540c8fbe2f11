"""How the kernels of test sets are drawn: the protocols of published test sets.

Lengths are in HR pixels. `kernel_draws` draws the kernels; this table needs no JAX.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Protocol(NamedTuple):
    """One way to draw the kernels of a test set."""

    name: str
    """Name of the protocol."""
    about: str
    """The kernels in one line; `s` is the scale."""
    shared: bool = False
    """Whether the kernels of one image at different scales come from the same draw."""

    def draw(
        self, rng: "np.random.Generator", scale: int, noise: float | None
    ) -> "np.ndarray":
        """Draws one kernel; of `varying`, a map of `varying_blur`.

        Args:
          rng: Source of the numbers.
          scale: Scale of the kernel.
          noise: The kernel's noise; None for that of the protocol.
        """
        from kernelgan_jax.benchmark.kernel_draws import DRAWS

        return DRAWS[self.name](rng, scale, noise)


_ALL = (
    Protocol(
        "div2krk",
        "anisotropic Gaussians, variances U(0.6, 5) at x2, in proportion to the square "
        "of other scales, with 25 % kernel noise (Bell-Kligler et al. 2019, section 5)",
    ),
    Protocol(
        "div2krk_composed",
        "as div2krk at x2; at x4 the x2 kernel of the image applied twice",
        shared=True,
    ),
    Protocol(
        "liang",
        "anisotropic Gaussians, variances U(0.175 s, 2.5 s), side 4 s + 3 (Liang et "
        "al. 2021); without its noises, which are options",
    ),
    Protocol(
        "motion", "straight motion over U(1, 4) s pixels while LR pixels collect light"
    ),
    Protocol("disk", "out of focus: even circles of radius U(0.75, 2) s"),
    Protocol(
        "narrow",
        "anisotropic Gaussians that are narrower than most, variances U(0.35, 1) at "
        "x2, in proportion to the square of other scales",
    ),
    Protocol(
        "shake",
        "the curved path of a camera that shakes, up to U(1, 2.5) s from its middle, "
        "while LR pixels collect light",
    ),
    Protocol(
        "unsharp",
        "the Gaussians of div2krk without their noise, sharpened: unsharp masking of "
        "U(0.3, 1) with a Gaussian of width s",
    ),
    Protocol(
        "varying",
        "blur that varies: Gaussians of width U(0.35, 0.55) s that grow by as much, "
        "from the middle to the corners or in one direction; evaluate does not take it",
    ),
    Protocol("bicubic", "the antialiased bicubic kernel, as of imresize"),
    Protocol("lanczos", "the Lanczos kernel"),
    Protocol("box", "the average of s x s pixels"),
    Protocol("nearest", "the middle pixel of s x s, or the mean of the middle four"),
)

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ALL}
"""The protocols by name."""
