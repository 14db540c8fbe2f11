"""The settings of `zssr` and `zssr_fast`. Needs no JAX."""

import dataclasses

from kernelgan_jax.settings import check_settings, choice, number, setting, whole

HEADROOM = 0.2
"""Room that is free at both ends of the range, as the training clips to [0, 1]:
super-resolved edges go beyond the image's own range."""

OWN_SPAN = 1 - 2 * HEADROOM
"""What is left for the image's own range (`levels.py`)."""

MIN_NOISE_STD = 1.0 / 255
"""Least noise of an image, as a fraction of the range, to which training is adapted;
rounding to 8 bits alone makes 0.3 times as much."""

MAX_NOISE_STD = 0.1125
"""Most noise that training inputs are given because of the image's noise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZSSRConfig:
    """Settings of `zssr` and `zssr_fast`; what each is about is in its field.

    Example:
      >>> from kernelgan_jax.super_resolution import ZSSRConfig
      >>> ZSSRConfig(iterations=500).channels
      0
      >>> ZSSRConfig(iterations=5)
      Traceback (most recent call last):
      kernelgan_jax.settings.SettingError: config.zssr.iterations is 5; it must be a \
multiple of 10, at least 0
    """

    iterations: int = setting(
        0,
        check=whole(0, multiple_of=10),
        about="Training steps at most; 0: the method's own number.",
    )
    layers: int = setting(
        0,
        check=whole(0),
        about="Convolutions of the network; 0: the method's own number.",
    )
    channels: int = setting(
        0,
        check=whole(0),
        about="Hidden channels of the network; 0: the method's own number.",
    )
    schedule: str = setting(
        "",
        check=choice("", "plateau", "cosine"),
        about="Schedule of the learning rate: plateau (ZSSR's: divided by 10 whenever "
        "the reconstruction error stalls), cosine, or empty: the method's own.",
    )
    learning_rate: float = setting(
        1e-3, check=number(above=0), about="Initial learning rate of Adam."
    )
    min_learning_rate: float = setting(
        9e-6,
        check=number(above=0),
        about="With the schedule plateau, training stops below this learning rate.",
    )
    crop: int = setting(
        128,
        check=whole(32),
        about="Side of a training crop, pixels; smaller images are used whole.",
    )
    max_pixels: int = setting(
        1_000_000,
        check=whole(128**2),
        about="Larger images are learned from on their most textured window of about "
        "this many pixels.",
    )
    noise_std: float = setting(
        0.0,
        check=number(least=0, under=1),
        about="Standard deviation of the noise on training inputs, as a fraction of "
        "the image's own range; 0: as much as is found in the image.",
    )
    rounding_std: float = setting(
        0.5 / 255,
        check=number(least=0, under=1),
        about="Standard deviation of the image's rounding and noise that the linear "
        "filter of zssr_fast allows for, as a fraction of the image's own range.",
    )
    back_projections: int = setting(
        2,
        check=whole(0),
        about="Steps that make the result agree with the image through the kernel; 0 "
        "for camera photos.",
    )
    tile: int = setting(
        384,
        check=whole(32),
        about="Side, in LR pixels, of the tiles in which the result is computed; less "
        "needs less memory.",
    )

    def __post_init__(self) -> None:
        check_settings(self, prefix="config.zssr.")

    def complete(
        self, *, layers: int, channels: int, iterations: int, schedule: str
    ) -> "ZSSRConfig":
        """The settings with a method's own values in place of what is 0 or empty."""
        return dataclasses.replace(
            self,
            layers=self.layers or layers,
            channels=self.channels or channels,
            iterations=self.iterations or iterations,
            schedule=self.schedule or schedule,
        )

    def for_image(
        self, *, scale: int, noise_std: float, image_shape: tuple[int, int] | None
    ) -> tuple["ZSSRConfig", tuple[str, ...]]:
        """The settings adapted to one image; see `registry.MethodSettings`.

        Training inputs of a noisy image get as much noise as the image has: otherwise
        the network would amplify it. The result is then not made to agree with the
        noisy image. A `noise_std` in the settings goes first.
        """
        del scale
        config, notes = self, []
        if image_shape is not None and min(image_shape) < self.crop:
            notes.append(f"from crops smaller than {self.crop}, as the image is")
        if noise_std >= MIN_NOISE_STD and self.noise_std == 0:
            used = min(noise_std, MAX_NOISE_STD)
            config = dataclasses.replace(self, noise_std=used, back_projections=0)
            notes.append(f"as an image with noise of {255 * used:.1f} gray levels")
        return config, tuple(notes)
