"""All settings of a run: an estimator, a scale, a super-resolution method, and a group
of settings for each of them.

The groups are those of the two registries (`estimators/registry.py`,
`super_resolution/registry.py`). This module needs no JAX.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from kernelgan_jax.estimators.kernelgan.config import KernelGANConfig
from kernelgan_jax.estimators.registry import (
    ESTIMATORS,
    ConstantConfig,
    Estimator,
    GivenConfig,
    PatchRecurrenceConfig,
    find_estimator,
)
from kernelgan_jax.estimators.spectral.config import SpectralConfig
from kernelgan_jax.settings import SettingError
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig
from kernelgan_jax.super_resolution.published.config import (
    EDSRConfig,
    ONNXConfig,
    RCANConfig,
    RDNConfig,
    SRMDConfig,
    USRNetConfig,
)
from kernelgan_jax.super_resolution.registry import METHODS, Method
from kernelgan_jax.super_resolution.zssr.config import ZSSRConfig

NO_SR = "none"
"""In place of the name of a super-resolution method: the kernel alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a run. The defaults are the best ones that the benchmark knows.

    Attributes:
      estimator: Name of the estimator, see `kernelgan_jax.estimators.ESTIMATORS`.
      scale: Scale of the kernel and of the super-resolution.
      sr: Name of the super-resolution method, see
        `kernelgan_jax.super_resolution.METHODS`; `none` for the kernel alone.

    The other fields are groups of settings, each of the estimator or the method of its
    name; `deep_wiener` and `zssr` also of the fast forms of these methods.

    Raises:
      ValueError: If a value is out of its range, or if a setting differs from its
        default although nothing that is chosen reads it.

    Example:
      >>> from kernelgan_jax import Config
      >>> Config(scale=4).estimator
      'spectral'
      >>> Config(kernelgan={"iterations": 500})
      Traceback (most recent call last):
      kernelgan_jax.settings.SettingError: config.kernelgan.iterations is 500, but \
nothing that is chosen reads it: it is a setting of kernelgan; config.estimator is \
'spectral' and config.sr is 'deep_wiener'
    """

    estimator: str = "spectral"
    scale: int = 2
    sr: str = "deep_wiener"
    spectral: SpectralConfig = SpectralConfig()
    kernelgan: KernelGANConfig = KernelGANConfig()
    patch_recurrence: PatchRecurrenceConfig = PatchRecurrenceConfig()
    constant: ConstantConfig = ConstantConfig()
    given: GivenConfig = GivenConfig()
    deep_wiener: DeepWienerConfig = DeepWienerConfig()
    zssr: ZSSRConfig = ZSSRConfig()
    usrnet: USRNetConfig = USRNetConfig()
    srmd: SRMDConfig = SRMDConfig()
    rdn: RDNConfig = RDNConfig()
    edsr: EDSRConfig = EDSRConfig()
    rcan: RCANConfig = RCANConfig()
    onnx: ONNXConfig = ONNXConfig()

    def __post_init__(self) -> None:
        for name, settings in GROUPS.items():
            value = getattr(self, name)
            if isinstance(value, Mapping):  # as from a ConfigDict
                object.__setattr__(self, name, settings(**value))
            elif not isinstance(value, settings):
                raise ValueError(
                    f"config.{name} is {value!r}; it must be a {settings.__name__} or "
                    "a mapping of its settings"
                )
        checked = "config.estimator"
        try:
            estimator = find_estimator(self.estimator)
            checked = "config.scale"
            scale = estimator.check_scale(self.scale)
        except ValueError as error:
            raise SettingError(f"config.{error}", setting=checked) from error
        object.__setattr__(self, "scale", scale)
        if self.sr not in (NO_SR, *METHODS):
            legal = " or ".join((NO_SR, *METHODS))
            raise SettingError(
                f"config.sr is {self.sr!r}; it must be {legal}", setting="config.sr"
            )
        for setting, value in self.unread():
            group = setting.partition(".")[0]
            raise SettingError(
                f"config.{setting} is {value!r}, but nothing that is chosen reads it: "
                f"it is a setting of {' and '.join(readers(group))}; config.estimator "
                f"is {self.estimator!r} and config.sr is {self.sr!r}",
                setting=f"config.{setting}",
            )

    @property
    def chosen_estimator(self) -> Estimator:
        """The registry's entry of the estimator."""
        return ESTIMATORS[self.estimator]

    @property
    def chosen_method(self) -> Method | None:
        """The registry's entry of the super-resolution method, None without one."""
        return None if self.sr == NO_SR else METHODS[self.sr]

    @property
    def estimator_config(self) -> Any:
        """Settings of the chosen estimator; None if it has none."""
        return self._group(self.chosen_estimator)

    @property
    def sr_config(self) -> Any:
        """Settings of the chosen super-resolution method; None if it has none."""
        return self._group(self.chosen_method)

    def _group(self, entry: Estimator | Method | None) -> Any:
        if entry is None or entry.config is None:
            return None
        return getattr(self, group_name(entry.config))

    def unread(self) -> Iterator[tuple[str, Any]]:
        """Settings (`group.name`) and values that differ from the defaults although
        neither the estimator nor the method reads them."""
        read = {self.chosen_estimator.config}
        if self.chosen_method is not None:
            read.add(self.chosen_method.config)
        for name, group in GROUPS.items():
            if group in read:
                continue
            value, default = getattr(self, name), group()
            for field in dataclasses.fields(group):
                given = getattr(value, field.name)
                if given != getattr(default, field.name):
                    yield f"{name}.{field.name}", given

    def to_dict(self) -> dict[str, Any]:
        """What is chosen and the settings that it reads, as a plain dictionary."""
        settings: dict[str, Any] = {
            "estimator": self.estimator,
            "scale": self.scale,
            "sr": self.sr,
        }
        for group in (self.estimator_config, self.sr_config):
            if group is not None:
                settings[group_name(type(group))] = dataclasses.asdict(group)
        return settings


GROUPS: dict[str, type] = {
    field.name: field.type
    for field in dataclasses.fields(Config)
    if isinstance(field.type, type) and dataclasses.is_dataclass(field.type)
}
"""The groups of settings by name."""


def group_name(config: type) -> str:
    """The name of the group that has settings of this class."""
    return next(name for name, group in GROUPS.items() if group is config)


def readers(group: str) -> list[str]:
    """Names of the estimators and methods that read a group of settings.

    Example:
      >>> readers("zssr")
      ['zssr', 'zssr_fast']
    """
    entries: list[Estimator | Method] = [*ESTIMATORS.values(), *METHODS.values()]
    return [entry.name for entry in entries if entry.config is GROUPS[group]]
