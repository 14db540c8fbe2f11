"""Settings of the methods that need a file of weights. Needs no JAX."""

import dataclasses
from typing import Any

from kernelgan_jax.settings import TEXT, check_settings, number, setting

SCALE = "{scale}"
"""What stands for the scale in the name of a file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """What all methods have that need a file of weights."""

    weights: str = setting(
        "",
        check=TEXT,
        about=f"File of the network's weights; {SCALE} in it stands for the scale.",
    )
    weights_digest: str = ""
    """SHA-256 of the files, so that results of other weights are not taken for these;
    the command sets it."""

    def __post_init__(self) -> None:
        check_settings(self, prefix=f"config.{self.method()}.")

    @classmethod
    def method(cls) -> str:
        """The name of the method, and of its group of settings."""
        return cls.__name__.removesuffix("Config").lower()

    def for_image(
        self, *, scale: int, noise_std: float, image_shape: tuple[int, int] | None
    ) -> tuple[Any, tuple[str, ...]]:
        """The settings with the files of the scale."""
        del noise_std, image_shape
        files = {
            field.name: value.replace(SCALE, str(scale))
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), str)
        }
        return dataclasses.replace(self, **files), ()

    def files(self) -> list[str]:
        """Names of the files that the method reads."""
        return [self.weights]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RDNConfig(WeightsConfig):
    """Settings of the method `rdn`.

    Example:
      >>> from kernelgan_jax.super_resolution import RDNConfig
      >>> RDNConfig(weights="x{scale}/model.json").files()
      ['x{scale}/model.json']
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class EDSRConfig(WeightsConfig):
    """Settings of the method `edsr`.

    Example:
      >>> from kernelgan_jax.super_resolution import EDSRConfig
      >>> EDSRConfig(weights="edsr_x{scale}.pt").files()
      ['edsr_x{scale}.pt']
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class RCANConfig(WeightsConfig):
    """Settings of the method `rcan`.

    Example:
      >>> from kernelgan_jax.super_resolution import RCANConfig
      >>> RCANConfig(weights="RCAN_BIX{scale}.pt").files()
      ['RCAN_BIX{scale}.pt']
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class ONNXConfig(WeightsConfig):
    """Settings of the method `onnx`.

    Example:
      >>> from kernelgan_jax.super_resolution import ONNXConfig
      >>> ONNXConfig(weights="net_x{scale}.onnx", peak=255.0).files()
      ['net_x{scale}.onnx']
    """

    peak: float = setting(
        1.0,
        check=number(least=1e-3, most=65535),
        about="White in the network's input and output, such as 1 or 255; black is 0.",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class USRNetConfig(WeightsConfig):
    """Settings of the method `usrnet`.

    Example:
      >>> from kernelgan_jax.super_resolution import USRNetConfig
      >>> USRNetConfig(weights="usrnet.npz", noise_std=2 / 255).noise_std > 0
      True
    """

    noise_std: float = setting(
        0.0,
        check=number(least=0, most=1),
        about="Least noise that the network is given, as a fraction of the range; "
        "more is more cautious with a kernel that is not exact.",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SRMDConfig(WeightsConfig):
    """Settings of the method `srmd`.

    Example:
      >>> from kernelgan_jax.super_resolution import SRMDConfig
      >>> SRMDConfig(weights="srmdnf_x{scale}.bin", pca="pca.npy").files()
      ['srmdnf_x{scale}.bin', 'pca.npy']
    """

    pca: str = setting(
        "",
        check=TEXT,
        about="File (.npy) of the matrix, 15 x 225, that makes 15 numbers of a 15 x 15 "
        "kernel.",
    )

    def files(self) -> list[str]:
        """Names of the files that the method reads."""
        return [self.weights, self.pca]
