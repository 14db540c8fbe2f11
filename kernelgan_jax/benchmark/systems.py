"""What the benchmark compares: estimators, each with a super-resolution method.

A system is a row of the table: the name of an estimator, its settings, and the name of
a super-resolution method. Estimators and methods of the user's own take the place of a
name. Systems that share an estimator and its settings share its kernels. This module
needs no JAX.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kernelgan_jax.app import weight_files
from kernelgan_jax.config import NO_SR
from kernelgan_jax.estimators.kernelgan.config import FLOW, KernelGANConfig
from kernelgan_jax.estimators.registry import ESTIMATORS, Estimator, GivenConfig
from kernelgan_jax.super_resolution.published.config import WeightsConfig
from kernelgan_jax.super_resolution.registry import METHODS

if TYPE_CHECKING:
    import numpy as np

    from kernelgan_jax.benchmark.testset import Case
    from kernelgan_jax.estimate import KernelEstimate


class Output(NamedTuple):
    """What a system makes of one LR image: an estimate, an image, or both."""

    estimate: "KernelEstimate | None" = None
    image: "np.ndarray | None" = None
    """The super-resolved image, `H x W x C`, where the system makes it itself."""


@dataclasses.dataclass(frozen=True)
class UserEstimator:
    """An estimator that is not in the registry: a function, or finished results."""

    function: "Callable[[Case, int], Output]"
    """`function(case, seed)`; what it raises is reported as this image's problem."""
    digest: "Callable[[Case], str]"
    """Text that changes whenever the outputs for an image may change."""
    seeded: bool = True
    """Whether the output depends on the seed."""
    timed: bool = True
    """Whether the time that it takes is that of an estimation."""


@dataclasses.dataclass(frozen=True)
class UserMethod:
    """A super-resolution method that is not in the registry."""

    function: "Callable[[np.ndarray, np.ndarray, int, int], Any]"
    """`function(image, kernel, scale, seed) -> H x W x C`."""
    digest: str
    """Text that changes whenever the results may change."""
    scales: tuple[int, ...] = ()
    """The scales that it knows; empty for all."""
    seeded: bool = True
    """Whether the result depends on the seed."""


@dataclasses.dataclass(frozen=True)
class System:
    """A row of the table: an estimator, its settings, and a super-resolution method.

    Raises:
      ValueError: If a map of kernels is asked for.
    """

    name: str
    """Name of the system and of the folder of its images."""
    title: str
    """Name in tables of images."""
    estimator: str | UserEstimator | None
    """Name in `ESTIMATORS`, or the user's own; None for a method without kernel."""
    config: Any = None
    """Settings of the estimator, or a function of the `Case` that returns them; None
    for the defaults."""
    method: str | UserMethod | None = None
    """Name in `METHODS`, or the user's own; None for the method of the evaluation."""
    method_config: Any = None
    """Settings of the method, where they are of its kind; None for the defaults."""
    kernel_name: str = ""
    """Name of the system in rows and folders of kernels; by default `name`."""
    kernel_title: str = ""
    """Name of the system in tables of kernels; by default `title`."""

    def __post_init__(self) -> None:
        _refuse_kernel_map(self.config)
        object.__setattr__(self, "kernel_name", self.kernel_name or self.name)
        object.__setattr__(self, "kernel_title", self.kernel_title or self.title)

    @property
    def entry(self) -> Estimator | None:
        """The registry's entry of the estimator, if it has one."""
        return ESTIMATORS[self.estimator] if isinstance(self.estimator, str) else None

    @property
    def seeded(self) -> bool:
        """Whether the kernels depend on the seed."""
        entry = self.entry or self.estimator
        return isinstance(entry, Estimator | UserEstimator) and entry.seeded

    @property
    def estimates(self) -> bool:
        """Whether the kernels are estimated, not known or fixed beforehand."""
        if self.entry is not None:
            return self.entry.estimates
        return self.estimator is not None

    @property
    def source(self) -> tuple[Any, ...]:
        """What the kernels depend on: equal for systems with the same kernels."""
        return self.estimator, self.config

    def titled(self, method: str) -> "System":
        """The system with its super-resolution method in the title.

        Args:
          method: The evaluation's, for a system that has none of its own.
        """
        own = self.method or method
        if self.estimator is None or isinstance(own, UserMethod) or own == NO_SR:
            return self
        title = f"{self.title} + {METHODS[own].title}"
        config = self.method_config
        if isinstance(config, WeightsConfig) and config.method() == own:
            title += f" ({label(config)})"
        return dataclasses.replace(self, title=title, kernel_title=self.kernel_title)

    def knows_scale(self, scale: int) -> bool:
        """Whether the estimator and a method of the system's own know a scale."""
        own = self.method.scales if isinstance(self.method, UserMethod) else ()
        known = (own, () if self.entry is None else self.entry.scales)
        return all(not scales or scale in scales for scales in known)

    def settings(self, case: "Case") -> Any:
        """The settings of the registry's estimator for one image.

        Raises:
          ValueError: If a map of kernels is asked for.
        """
        assert self.entry is not None
        config = self.config(case) if callable(self.config) else self.config
        _refuse_kernel_map(config)
        return self.entry.default_config(config)

    def estimator_identity(self, case: "Case") -> list[Any]:
        """What the estimate of an image depends on besides files and code, as JSON."""
        if isinstance(self.estimator, UserEstimator):
            return [self.kernel_name, self.estimator.digest(case)]
        return [self.estimator, to_dict(self.settings(case))]


def _refuse_kernel_map(config: Any) -> None:
    """Raises a ValueError if settings ask for a map of kernels."""
    if parts := getattr(config, "kernel_map", ""):
        raise ValueError(
            f"config.spectral.kernel_map is {parts!r}; it must be empty, as the "
            "benchmark measures one kernel for each image"
        )


def to_dict(settings: Any) -> dict[str, Any] | None:
    """Settings (a dataclass) as a dictionary; None as None."""
    return None if settings is None else dataclasses.asdict(settings)


def method_identity(method: str | UserMethod, settings: Any) -> list[Any]:
    """What a method's result depends on besides its input and the code, as JSON."""
    if isinstance(method, UserMethod):
        return [method.digest]
    return [method, to_dict(settings)]


def method_settings(system: System, method: str | UserMethod, scale: int) -> Any:
    """The settings of a registry's method for a system; None if it has none.

    Raises:
      ValueError: If a file of weights cannot be used at this scale.
    """
    group = None if isinstance(method, UserMethod) else METHODS[method].config
    if group is None:
        return None
    config = system.method_config
    if not isinstance(config, group):
        return group()
    if isinstance(config, weight_files.Settings):
        return weight_files.for_scale(config, scale)
    return config


def label(config: WeightsConfig) -> str:
    """A short name of a network, with the numbers that are not the usual ones.

    It is that of its file, without the scale.

    Example:
      >>> from kernelgan_jax.super_resolution import SRMDConfig
      >>> label(SRMDConfig(weights="models/srmdnf_x{scale}.bin"))
      'srmdnf'
    """
    path = Path(config.weights)
    if path.suffix == ".json":  # Its name says nothing.
        return config.method()
    name = re.sub(r"[_-]?x(\{scale\}|\d)$", "", path.stem)
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    usual = dataclasses.asdict(type(config)())
    numbers = [
        value
        for name, value in values.items()
        if isinstance(value, float) and value != usual[name]
    ]
    return "-".join([name, *(f"{number:g}" for number in numbers)])


def with_network(systems: Sequence[System], text: str) -> list[System]:
    """Systems with the kernels of others and a network of the user's.

    Args:
      systems: Those with an estimator and no method of their own are taken; none
        where the method uses no kernel.
      text: `METHOD=FILE` and further settings of the method, `,NAME=VALUE`.

    Raises:
      ValueError: If there is no such method or setting.

    Example:
      >>> [s.name for s in with_network([SYSTEMS["true"]], "usrnet=nets/tiny.npz")]
      ['true-tiny']
    """
    method, _, rest = text.partition("=")
    usable = [name for name in METHODS if weight_files.needed(name)]
    if method not in usable or not rest:
        raise ValueError(f"{text}: it must be METHOD=FILE, of {' or '.join(usable)}")
    group = METHODS[method].config
    assert group is not None
    file, *settings = rest.split(",")
    fields = {field.name: field.type for field in dataclasses.fields(group)}
    values: dict[str, Any] = {"weights": file}
    for part in settings:
        name, _, value = part.partition("=")
        if name not in fields or name in ("weights", "weights_digest"):
            raise ValueError(f"{text}: the method {method} has no setting {name!r}")
        try:
            values[name] = float(value) if fields[name] is float else value
        except ValueError:
            raise ValueError(
                f"{text}: {name} is {value!r}; it must be a number"
            ) from None
    config = group(**values)
    if not METHODS[method].uses_kernel:
        title = f"{METHODS[method].title} ({label(config)})"
        return [System(label(config), title, None, method=method, method_config=config)]
    return [
        dataclasses.replace(
            own,
            name=f"{own.kernel_name}-{label(config)}",
            method=method,
            method_config=config,
        )
        for own in systems
        if own.estimator is not None and own.method is None
    ]


def true_kernel(case: "Case") -> GivenConfig:
    """Settings of the estimator `given` with the true kernel of an image."""
    return GivenConfig(kernel=case.kernel(), source="true kernel")  # type: ignore[arg-type]


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("bicubic", "bicubic", None, method="bicubic"),
        System("bicubic_kernel", "bicubic kernel", "bicubic"),
        System("constant", "constant Gaussian", "constant"),
        System("michaeli_irani", "Michaeli & Irani", "patch_recurrence"),
        System(
            "single_layer",
            "KernelGAN, single layer",
            "kernelgan",
            KernelGANConfig(generator_kernels=(13,)),
        ),
        System("kernelgan", "KernelGAN", "kernelgan"),
        System("flow", "KernelGAN-FKP (flow)", "kernelgan", FLOW),
        System(
            "wiener",
            "spectral likelihood",
            "spectral",
            method="wiener",
            kernel_name="spectral",
        ),
        System("spectral", "spectral likelihood", "spectral"),
        System("true", "true kernel", "given", true_kernel),
    )
}
"""The package's own systems by name, in the order of the table."""


def kernel_titles(systems: Iterable[System]) -> dict[str, str]:
    """Titles of the systems in tables of kernels, by `kernel_name`, each once."""
    titles: dict[str, str] = {}
    for system in systems:
        if system.estimator is not None:
            titles.setdefault(system.kernel_name, system.kernel_title)
    return titles


def check_names(systems: Sequence[System]) -> None:
    """Checks that names differ and that the same kernels have the same name.

    Raises:
      ValueError: If two systems have the same name or different kernels under one.
    """
    names = [system.name for system in systems]
    known = {s.kernel_name: s.source for s in SYSTEMS.values() if s.estimator}
    for system in systems:
        twice = names.count(system.name) > 1
        if system.estimator is not None:
            source = known.setdefault(system.kernel_name, system.source)
            twice = twice or source != system.source
        if twice:
            raise ValueError(f"there are two systems named {system.name}; rename one")
