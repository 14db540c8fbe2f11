"""Settings of KernelGAN. The defaults are those of the paper."""

import dataclasses

from kernelgan_jax.settings import (
    Check,
    SettingError,
    check_settings,
    choice,
    number,
    setting,
    whole,
)

FLOW_SIZE = 13
"""Side of the kernels of the flow that comes with the package."""

GENERATORS = (
    "deep_linear",
    "flow",
    "gaussian",
    "generalised_gaussian",
    "motion",
    "simplex",
)
"""Kernel priors that can be the generator; `generators.py` makes them."""

_NETWORKS = (
    "prior",
    "generator_kernels",
    "generator_channels",
    "discriminator_channels",
    "discriminator_kernel",
    "discriminator_blocks",
)
"""Settings that the meta-learned start is for one value of."""

_at_least_0 = number(least=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelGANConfig:
    """Settings of KernelGAN (Bell-Kligler, Shocher, Irani, NeurIPS 2019).

    Raises:
      ValueError: If a value is out of its range; the message names both.

    Example:
      >>> from kernelgan_jax.estimators.kernelgan import KernelGANConfig
      >>> KernelGANConfig(iterations=500).kernel_size
      13
    """

    iterations: int = setting(3000, check=whole(1), about="Training steps.")
    restarts: int = setting(
        1,
        check=whole(1),
        about="Trainings of each image, each from other random numbers. Of those that "
        "converge the kernel is taken that the image's spectrum trusts most.",
    )
    crops: int = setting(
        1, check=whole(1), about="Crops of the image for each network in a step."
    )
    border: int = setting(
        10,
        check=whole(0),
        about="Pixels dropped at each side of the image before training. SR test sets "
        "have resampling artefacts there; 0 for camera photos.",
    )
    max_pixels: int = setting(
        4_000_000,
        check=whole(1),
        about="Larger images are trained on their most textured window of about this "
        "many pixels, which bounds memory and time.",
    )
    prior: str = setting(
        "deep_linear",
        check=choice(*GENERATORS),
        about="The generator, a kernel prior of `kernelgan_jax.priors`: `deep_linear` "
        "is KernelGAN's, `flow` that of KernelGAN-FKP (Liang et al., CVPR 2021).",
    )
    start: str = setting(
        "random",
        check=choice("random", "meta"),
        about="Where both networks start: from random weights, or from meta-learned "
        "ones (the idea of MetaKernelGAN, Lee et al., WACV 2024), from which few steps "
        "suffice; these are of the paper's networks alone.",
    )
    generator_kernels: tuple[int, ...] = setting(
        (7, 5, 3, 1, 1, 1),
        check=Check(
            "a sequence of side lengths, not empty", lambda value: len(value) > 0
        ),
        about="Side lengths of the generator's filters, input to output. Their "
        "composition is the kernel, of side kernel_size; other priors have kernels of "
        "that side.",
    )
    generator_channels: int = setting(
        64, check=whole(1), about="Hidden channels of the generator."
    )
    generator_crop: int = setting(
        64, check=whole(14), about="Side of the generator's input crop, pixels."
    )
    discriminator_channels: int = setting(
        64, check=whole(1), about="Hidden channels of the discriminator."
    )
    discriminator_kernel: int = setting(
        7,
        check=whole(1),
        about="Side of the discriminator's first filter, pixels: its receptive field.",
    )
    discriminator_blocks: int = setting(
        5,
        check=whole(1),
        about="Number of blocks of a 1x1 convolution, batch normalisation and ReLU.",
    )

    generator_learning_rate: float = setting(
        2e-4, check=number(above=0), about="Adam's initial rate for the generator."
    )
    discriminator_learning_rate: float = setting(
        2e-4, check=number(above=0), about="Adam's initial rate for the discriminator."
    )
    adam_b1: float = setting(
        0.5, check=number(least=0, under=1), about="Decay of Adam's first moment."
    )
    adam_b2: float = setting(
        0.999, check=number(least=0, under=1), about="Decay of Adam's second moment."
    )
    decay_every: int = setting(
        750,
        check=whole(1),
        about="Steps after which both rates are divided by 10, again and again.",
    )
    discriminator_noise_std: float = setting(
        1 / 255,
        check=_at_least_0,
        about="Standard deviation of the noise on the discriminator's inputs, as a "
        "fraction of the range of the values it is added to (1/255: one gray "
        "level).",
    )

    warm_start: str = setting(
        "summed",
        check=choice("summed", "per_channel"),
        about="How the bicubic target of the warm start treats colour: `summed` adds "
        "the three channels up, `per_channel` keeps them apart (docs/kernelgan.md, "
        "section 'Warm start').",
    )
    bicubic_weight: float = setting(
        5.0, check=_at_least_0, about="Initial weight of the bicubic term."
    )
    bicubic_threshold: float = setting(
        0.4,
        check=_at_least_0,
        about="The warm start ends when the bicubic loss was under this value in three "
        "steps in a row.",
    )
    bicubic_every: int = setting(
        200,
        check=whole(1),
        about="From then on the weight is divided by 100 every so many steps.",
    )
    min_bicubic_weight: float = setting(
        5e-6, check=_at_least_0, about="The weight never falls under this value."
    )
    constraints_below: float = setting(
        5e-3,
        check=_at_least_0,
        about="The centre and sparsity terms start when the bicubic weight is under "
        "this value.",
    )
    sum_weight: float = setting(
        0.5, check=_at_least_0, about="Weight of the sum-to-one term."
    )
    boundary_weight: float = setting(
        0.5, check=_at_least_0, about="Weight of the boundary term."
    )
    centre_weight: float = setting(
        1.0, check=_at_least_0, about="Weight of the centre term, once it has started."
    )
    sparsity_weight: float = setting(
        5.0,
        check=_at_least_0,
        about="Weight of the sparsity term, once it has started.",
    )

    floor: float = setting(
        0.0,
        check=number(least=0, most=1),
        about="Fraction of the (floor_rank + 1)-th largest kernel value that is "
        "subtracted from the trained kernel as noise; 0 only removes negative "
        "values. The reference takes 0.75 (docs/kernelgan.md, section 'Read-out').",
    )
    floor_rank: int = setting(
        40, check=whole(1), about="Number of kernel values that count as signal."
    )

    @property
    def kernel_size(self) -> int:
        """Side of the raw x2 kernel: the receptive field of the generator."""
        return sum(k - 1 for k in self.generator_kernels) + 1

    @property
    def discriminator_crop(self) -> int:
        """Side of the generator's output and of the discriminator's crops, pixels."""
        return (self.generator_crop - self.kernel_size) // 2 + 1

    @property
    def min_side(self) -> int:
        """Smallest usable side of an image, pixels: a crop and the borders."""
        return self.generator_crop + 2 * self.border

    def __post_init__(self) -> None:
        object.__setattr__(self, "generator_kernels", tuple(self.generator_kernels))
        check_settings(self, prefix="config.kernelgan.")
        self._require(
            "generator_kernels",
            len(self.generator_kernels) > 0
            and all(isinstance(k, int) and k > 0 for k in self.generator_kernels)
            and 7 <= self.kernel_size <= 31
            and self.kernel_size % 2 == 1,
            "positive integers that compose to an odd kernel of side 7 to 31",
        )
        self._require(
            "prior",
            self.prior != "flow" or self.kernel_size == FLOW_SIZE,
            "another one unless config.kernelgan.generator_kernels compose to "
            f"{FLOW_SIZE}, the side of the flow's kernels; they compose to "
            f"{self.kernel_size}",
        )
        for name in _NETWORKS:
            fixed = type(self).__dataclass_fields__[name].default
            self._require(
                name,
                self.start != "meta" or getattr(self, name) == fixed,
                f"{fixed!r} with config.kernelgan.start='meta'; start='random' takes "
                "others",
            )
        self._require(
            "generator_crop",
            self.generator_crop % 2 == 0
            and self.generator_crop >= 2 * self.kernel_size,
            f"even, at least {2 * self.kernel_size} (two kernels wide)",
        )
        self._require(
            "discriminator_kernel",
            self.discriminator_kernel % 2 == 1
            and self.discriminator_kernel <= self.discriminator_crop,
            f"odd, from 1 to the discriminator's crop ({self.discriminator_crop})",
        )
        self._require(
            "max_pixels",
            self.max_pixels >= self.min_side**2,
            f"at least {self.min_side**2} (the smallest usable image)",
        )
        self._require(
            "floor_rank",
            self.floor_rank < self.kernel_size**2,
            f"from 1 to {self.kernel_size**2 - 1}",
        )

    def _require(self, name: str, ok: bool, legal: str) -> None:
        if not ok:
            value, name = getattr(self, name), f"config.kernelgan.{name}"
            raise SettingError(f"{name} is {value!r}; it must be {legal}", setting=name)


FLOW = KernelGANConfig(
    prior="flow",
    iterations=600,
    decay_every=300,
    generator_learning_rate=1e-3,
    bicubic_weight=0.0,
    min_bicubic_weight=0.0,
    sum_weight=0.0,
    boundary_weight=0.0,
    centre_weight=0.0,
    sparsity_weight=0.0,
)
"""KernelGAN-FKP (Liang, Zhang, Gu, Van Gool, Timofte, CVPR 2021)."""

META = KernelGANConfig(
    start="meta",
    iterations=200,
    decay_every=100,
    generator_learning_rate=3e-4,
    discriminator_learning_rate=1e-4,
    bicubic_weight=0.0,
    min_bicubic_weight=0.0,
    sparsity_weight=0.0,
)
"""KernelGAN from a meta-learned start (the idea of MetaKernelGAN, Lee et al., WACV
2024): there is no warm start, and nothing that makes the kernel sparse."""
