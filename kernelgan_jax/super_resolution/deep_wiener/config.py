"""Settings of the method `deep_wiener`. Needs no JAX."""

import dataclasses

from kernelgan_jax.settings import TEXT, TRUTH, check_settings, number, setting, whole

SCALES = (1, 2, 3, 4)
"""Scales that the network has a stem and a head for."""


def in_two_steps(scale: int) -> bool:
    """Whether a scale is reached by the network and bicubic enlargement by 2.

    Example:
      >>> [scale for scale in range(1, 10) if in_two_steps(scale)]
      [6, 8]
    """
    return scale not in SCALES and scale % 2 == 0 and scale // 2 in SCALES


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepWienerConfig:
    """Settings of super-resolution by the trained network.

    Raises:
      ValueError: If a value is not legal.

    Example:
      >>> from kernelgan_jax.super_resolution.deep_wiener import DeepWienerConfig
      >>> DeepWienerConfig(strength=0.5).strength
      0.5
    """

    strength: float = setting(
        1.0,
        check=number(least=0, most=1),
        about="From 0, the cautious Wiener filter, to 1, the network.",
    )
    kernel_std: float = setting(
        0.0,
        check=number(least=0, most=1),
        about="Relative uncertainty of the kernel's width that is assumed at least; "
        "the larger, the more cautious.",
    )
    refine: bool = setting(
        True,
        check=TRUTH,
        about="Whether an estimated kernel is refitted with the picture, where that "
        "explains the image better.",
    )
    self_ensemble: int = setting(
        1,
        check=whole(1, most=8),
        about="Results of the image mirrored and transposed that are averaged, up to "
        "8: a little more accurate, and as many times slower.",
    )
    weights: str = setting(
        "",
        check=TEXT,
        about="File of the network's weights; those of the package if empty.",
    )
    weights_digest: str = ""
    """SHA-256 of that file, so that results of other weights are not taken for these;
    the command sets it."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="config.deep_wiener.")

    def for_image(
        self, *, scale: int, noise_std: float, image_shape: tuple[int, int] | None
    ) -> tuple["DeepWienerConfig", tuple[str, ...]]:
        """The same settings for every image: the network is given the noise itself."""
        del noise_std, image_shape
        if scale in SCALES:
            return self, ()
        if in_two_steps(scale):
            return self, (f"by {scale // 2}, and from there by bicubic enlargement",)
        trained = ", ".join(map(str, SCALES))
        return self, (
            f"with a Wiener filter, as the network was trained for scale {trained}",
        )
