"""Settings of the method `deep_wiener`."""

import dataclasses

from kernelgan_jax.settings import check_settings, number, setting


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

    def __post_init__(self) -> None:
        check_settings(self, prefix="config.deep_wiener.")

    def for_image(
        self, *, noise_std: float, image_shape: tuple[int, int] | None
    ) -> tuple["DeepWienerConfig", tuple[str, ...]]:
        """The same settings for every image: the network is given the noise itself."""
        del noise_std, image_shape
        return self, ()
