"""The hyper-parameters: frozen dataclasses, validated on creation.

This is the only form of the settings that the algorithm sees. The defaults are those of
the paper (Bell-Kligler, Shocher, Irani, "Blind Super-Resolution Kernel Estimation using
an Internal-GAN", NeurIPS 2019) for scale 2.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

ESTIMATORS = ("kernelgan", "spectral")


LARGEST_SCALE = 8


WARM_STARTS = ("summed", "per_channel")


PRIORS = ("deep_linear", "simplex", "gaussian", "flow")


FLOW_SIZE = 13
"""Side of the kernels of the flow that comes with the package."""


NOISE_UNIT = 0.0125
"""Of `sr.noise_scale`: a standard deviation, as a fraction of the range."""


SR_METHODS = ("none", "bicubic", "zssr", "zssr_fast")


SCHEDULES = ("", "plateau", "cosine")


def _require(name: str, value: object, ok: bool, legal: str) -> None:
    if not ok:
        raise ValueError(f"config.{name} is {value!r}; it must be {legal}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SRConfig:
    """Settings of the super-resolution with the kernel (SPEC section 2).

    Attributes:
      method: `zssr_fast`, `zssr`, `bicubic`, or `none`: the kernel alone.
      iterations: Training steps at most, a multiple of 10; 0: the method's own.
      layers: Convolutions of the network; 0: the method's own.
      channels: Hidden channels of the network; 0: the method's own.
      schedule: Of the learning rate: `plateau` (ZSSR's: a tenth whenever the
        reconstruction error stalls), `cosine`, or empty: the method's own.
      learning_rate: Adam's initial rate.
      least_learning_rate: With `plateau`, training stops under this rate.
      crop: Side of a father crop, pixels; smaller images take what they have.
      max_pixels: Larger images are learned from on their most textured window of about
        this many pixels.
      noise_scale: Noise on the sons, in units of 0.0125 of the range; 0: as much as is
        found in the image.
      quantisation: Standard deviation of the LR image's own rounding and noise, that
        the linear filter of `zssr_fast` allows for, as a fraction of the range.
      back_projections: Steps that make the result agree with the image through the
        kernel; 0 for camera photos.
      tile: Side in LR pixels of the tiles in which the result is computed: memory.
    """

    method: str = "zssr_fast"
    iterations: int = 0
    layers: int = 0
    channels: int = 0
    schedule: str = ""
    learning_rate: float = 1e-3
    least_learning_rate: float = 9e-6
    crop: int = 128
    max_pixels: int = 1_000_000
    noise_scale: float = 0.0
    quantisation: float = 0.5 / 255
    back_projections: int = 2
    tile: int = 384

    def __post_init__(self) -> None:
        for name, choices in (("method", SR_METHODS), ("schedule", SCHEDULES)):
            value = getattr(self, name)
            legal = " or ".join(choice or "''" for choice in choices)
            _require(f"sr.{name}", value, value in choices, legal)
        for name in ("iterations", "layers", "channels", "back_projections"):
            value = getattr(self, name)
            whole = isinstance(value, int) and value >= 0
            _require(f"sr.{name}", value, whole, "a whole number, at least 0")
        _require(
            "sr.iterations",
            self.iterations,
            self.iterations % 10 == 0,
            "a multiple of 10",
        )
        for name in ("noise_scale", "quantisation"):
            value = getattr(self, name)
            _require(f"sr.{name}", value, 0 <= value < 10, "from 0 to under 10")
        for name in ("learning_rate", "least_learning_rate"):
            value = getattr(self, name)
            _require(f"sr.{name}", value, 0 < value < math.inf, "positive and finite")
        for name, least in (("crop", 32), ("tile", 32), ("max_pixels", 128**2)):
            value = getattr(self, name)
            _require(f"sr.{name}", value, value >= least, f"at least {least}")

    def complete(
        self, *, layers: int, channels: int, iterations: int, schedule: str
    ) -> "SRConfig":
        """The settings with a method's own in place of what is 0 or empty."""
        return dataclasses.replace(
            self,
            layers=self.layers or layers,
            channels=self.channels or channels,
            iterations=self.iterations or iterations,
            schedule=self.schedule or schedule,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one kernel estimation.

    Attributes:
      estimator: `kernelgan`, or `spectral`: the likelihood of the image's power
        spectrum (`spectral.py`), which has no use for the settings below but `scale`
        and `sr`.
      scale: Scale of the kernel wanted, 2 or 4. KernelGAN always finds the x2 kernel;
        the x4 kernel follows from it analytically (paper, section 4.2). `spectral`
        knows scales from 1, plain blur, to 8.
      iterations: Training steps, at least 1.
      restarts: Trainings of each image, each from other random numbers; of those that
        converge the kernel is taken that the image's spectrum trusts most.
      crops: Crops of the image for each network that a step trains on.
      border: Pixels dropped at each side of the image before training. SR test sets
        have resampling artefacts there; 0 for camera photos.
      max_pixels: Larger images are trained on their most textured window of about this
        many pixels, which bounds memory and time.
      prior: The generator, a kernel prior of `prior.py`: `deep_linear` (KernelGAN's),
        `simplex`, `gaussian`, or `flow` (KernelGAN-FKP).
      generator_kernels: Side lengths of the generator's filters, input to output. Their
        composition is the kernel, of side `kernel_size`; other priors have that side.
      generator_channels: Hidden channels of the generator.
      generator_crop: Side of the generator's input crop, pixels.
      discriminator_channels: Hidden channels of the discriminator.
      discriminator_kernel: Side of the discriminator's first filter, pixels: its
        receptive field.
      discriminator_blocks: Number of 1x1 convolution blocks.
      generator_learning_rate: Adam's initial rate for the generator.
      discriminator_learning_rate: Adam's initial rate for the discriminator.
      adam_b1: Decay of Adam's first moment.
      adam_b2: Decay of Adam's second moment.
      decay_every: Steps after which both rates are divided by 10, again and again.
      noise: Standard deviation of the noise on the discriminator's inputs, as a
        fraction of the range of the values it is added to (1/255: one gray level).
      warm_start: How the bicubic target of the warm start treats colour: `summed` adds
        the three channels up, `per_channel` keeps them apart (README, "Warm start").
      bicubic_weight: Initial weight of the bicubic term.
      bicubic_threshold: The warm start ends when the bicubic loss was under this value
        in three steps in a row.
      bicubic_every: From then on the weight is divided by 100 every so many steps.
      bicubic_floor: The weight never falls under this value.
      constraints_below: The centre and sparsity terms start when the bicubic weight is
        under this value.
      sum_weight: Weight of the sum-to-one term.
      boundary_weight: Weight of the boundary term.
      centre_weight: Weight of the centre term, once it has started.
      sparsity_weight: Weight of the sparsity term, once it has started.
      floor: Fraction of the (floor_rank + 1)-th largest kernel value that is subtracted
        from the trained kernel as noise; 0 only removes negative values. The reference
        takes 0.75 (README, "Accuracy").
      floor_rank: Number of kernel values that count as signal.
      sr: Settings of the super-resolution.
    """

    estimator: Literal["kernelgan", "spectral"] = "kernelgan"
    scale: int = 2
    iterations: int = 3000
    restarts: int = 1
    crops: int = 1
    border: int = 10
    max_pixels: int = 4_000_000

    prior: Literal["deep_linear", "simplex", "gaussian", "flow"] = "deep_linear"
    generator_kernels: tuple[int, ...] = (7, 5, 3, 1, 1, 1)
    generator_channels: int = 64
    generator_crop: int = 64
    discriminator_channels: int = 64
    discriminator_kernel: int = 7
    discriminator_blocks: int = 5

    generator_learning_rate: float = 2e-4
    discriminator_learning_rate: float = 2e-4
    adam_b1: float = 0.5
    adam_b2: float = 0.999
    decay_every: int = 750
    noise: float = 1 / 255

    warm_start: Literal["summed", "per_channel"] = "summed"
    bicubic_weight: float = 5.0
    bicubic_threshold: float = 0.4
    bicubic_every: int = 200
    bicubic_floor: float = 5e-6
    constraints_below: float = 5e-3
    sum_weight: float = 0.5
    boundary_weight: float = 0.5
    centre_weight: float = 1.0
    sparsity_weight: float = 5.0

    floor: float = 0.0
    floor_rank: int = 40

    sr: SRConfig = SRConfig()

    @property
    def kernel_size(self) -> int:
        """Side of the raw x2 kernel: the receptive field of the generator."""
        return sum(k - 1 for k in self.generator_kernels) + 1

    @property
    def discriminator_crop(self) -> int:
        """Side of the generator's output and of the discriminator's crops, pixels."""
        return (self.generator_crop - self.kernel_size) // 2 + 1

    @property
    def minimum_side(self) -> int:
        """KernelGAN's smallest usable side of an image, pixels: a crop and borders."""
        return self.generator_crop + 2 * self.border

    def __post_init__(self) -> None:
        if isinstance(self.sr, Mapping):  # as from a ConfigDict
            object.__setattr__(self, "sr", SRConfig(**self.sr))
        object.__setattr__(self, "generator_kernels", tuple(self.generator_kernels))
        known = " or ".join(ESTIMATORS)
        _require("estimator", self.estimator, self.estimator in ESTIMATORS, known)
        if self.estimator == "spectral":
            whole = isinstance(self.scale, int) and 1 <= self.scale <= LARGEST_SCALE
            legal = f"a whole number from 1 to {LARGEST_SCALE}"
        else:
            whole, legal = self.scale in (2, 4), "2 or 4 for KernelGAN"
        _require("scale", self.scale, whole, legal)
        _require(
            "generator_kernels",
            self.generator_kernels,
            len(self.generator_kernels) > 0
            and all(isinstance(k, int) and k > 0 for k in self.generator_kernels)
            and 7 <= self.kernel_size <= 31
            and self.kernel_size % 2 == 1,
            "positive integers that compose to an odd kernel of side 7 to 31",
        )
        _require("prior", self.prior, self.prior in PRIORS, " or ".join(PRIORS))
        _require(
            "prior",
            self.prior,
            self.prior != "flow" or self.kernel_size == FLOW_SIZE,
            f"another one unless config.generator_kernels compose to {FLOW_SIZE}, the "
            f"side of the flow's kernels; they compose to {self.kernel_size}",
        )
        for name in (
            "iterations",
            "restarts",
            "crops",
            "generator_channels",
            "discriminator_channels",
            "discriminator_blocks",
            "decay_every",
            "bicubic_every",
        ):
            value = getattr(self, name)
            _require(name, value, value >= 1, "at least 1")
        _require("border", self.border, self.border >= 0, "at least 0")
        _require(
            "generator_crop",
            self.generator_crop,
            self.generator_crop % 2 == 0
            and self.generator_crop >= 2 * self.kernel_size,
            f"even, at least {2 * self.kernel_size} (two kernels wide)",
        )
        _require(
            "discriminator_kernel",
            self.discriminator_kernel,
            self.discriminator_kernel % 2 == 1
            and 1 <= self.discriminator_kernel <= self.discriminator_crop,
            f"odd, from 1 to the discriminator's crop ({self.discriminator_crop})",
        )
        _require(
            "max_pixels",
            self.max_pixels,
            self.max_pixels >= self.minimum_side**2,
            f"at least {self.minimum_side**2} (the smallest usable image)",
        )
        for name in ("generator_learning_rate", "discriminator_learning_rate"):
            value = getattr(self, name)
            _require(name, value, 0 < value < math.inf, "positive and finite")
        _require("floor", self.floor, 0 <= self.floor <= 1, "from 0 to 1")
        for name in ("adam_b1", "adam_b2"):
            value = getattr(self, name)
            _require(name, value, 0 <= value < 1, "from 0 to under 1")
        for name in (
            "noise",
            "bicubic_weight",
            "bicubic_threshold",
            "bicubic_floor",
            "constraints_below",
            "sum_weight",
            "boundary_weight",
            "centre_weight",
            "sparsity_weight",
        ):
            value = getattr(self, name)
            _require(name, value, 0 <= value < math.inf, "at least 0 and finite")
        _require(
            "warm_start",
            self.warm_start,
            self.warm_start in WARM_STARTS,
            " or ".join(WARM_STARTS),
        )
        _require(
            "floor_rank",
            self.floor_rank,
            1 <= self.floor_rank < self.kernel_size**2,
            f"from 1 to {self.kernel_size**2 - 1}",
        )

    def asdict(self) -> dict[str, Any]:
        """The settings as a plain dictionary."""
        return dataclasses.asdict(self)


DEFAULT = Config()
"""KernelGAN as published."""


BEST = Config(estimator="spectral")
"""What the benchmark finds best: see `configs/x2.py`."""


FLOW = Config(
    prior="flow",
    iterations=600,
    decay_every=300,
    generator_learning_rate=1e-3,
    bicubic_weight=0.0,
    bicubic_floor=0.0,
    sum_weight=0.0,
    boundary_weight=0.0,
    centre_weight=0.0,
    sparsity_weight=0.0,
)
"""KernelGAN-FKP (Liang et al. 2021): see `configs/x2_flow.py`."""
