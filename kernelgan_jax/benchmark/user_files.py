"""Systems from a Python file of the user's: a function, or a config file."""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kernelgan_jax import kernels
from kernelgan_jax.app import configuration
from kernelgan_jax.benchmark.systems import (
    SYSTEMS,
    Output,
    System,
    UserEstimator,
    UserMethod,
)
from kernelgan_jax.benchmark.testset import Case, sizes_match
from kernelgan_jax.config import Config
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.pixels import from_array

_KEYWORDS = ("scale", "seed")
"""Keywords that a function of the user's may take."""


def load_systems(text: str) -> list[System]:
    """Loads systems: of a file of the user's, `PATH.py:FUNCTION`, or of a config.

    The function takes an LR image, `h x w x C`, and of the keywords `scale` and `seed`
    those that it names. It returns a kernel (`n x m`), which the benchmark then
    super-resolves with, or a super-resolved image (`H x W x C`, a gray one also
    `H x W`; uint8, uint16 or floating point in [0, 1]), or both in a tuple. A function
    with a second parameter `kernel` is a super-resolution method: it gets the true
    kernel in one row of the table and KernelGAN's in another, and returns the image.
    The file of a config, `PATH.py`, or the name of a preset, such as `real`, is the
    estimator with these settings.

    Args:
      text: The path, and after a colon the name of the function; or a preset.

    Raises:
      ValueError: If there is no such file or function, or the file does not run.

    Example:
      >>> from kernelgan_jax.benchmark import load_systems
      >>> load_systems("missing.py:estimate")
      Traceback (most recent call last):
      ValueError: missing.py: no such file
    """
    if text in configuration.preset_names():
        return [_of_config(Path(text), configuration.preset(text).get_config)]
    file, _, function = text.rpartition(":") if ".py:" in text else (text, "", "")
    path = Path(file)
    if not path.is_file():
        known = ", ".join(configuration.preset_names())
        presets = "" if path.suffix else f" or preset, which are {known}"
        raise ValueError(f"{file}: no such file{presets}")
    module, digest = _load(path)
    if not function:
        if not hasattr(module, "get_config"):
            raise ValueError(f"{file}: name a function of it, {file}:FUNCTION")
        return [_of_config(path, module.get_config)]
    user = getattr(module, function, None)
    if not callable(user):
        raise ValueError(f"{file}: has no function {function}")
    names = _parameters(user, f"{file}:{function}")
    keywords = [name for name in _KEYWORDS if name in names]

    def call(*arrays: np.ndarray, **known: int) -> Any:
        return user(*arrays, **{name: known[name] for name in keywords})

    def enlarge(image: np.ndarray, kernel: np.ndarray, scale: int, seed: int) -> Any:
        return call(image, kernel, scale=scale, seed=seed)

    if "kernel" in names:
        method = UserMethod(enlarge, digest, seeded="seed" in keywords)
        return [
            System(
                f"{function}-{own.kernel_name}",
                f"{own.kernel_title} + {function}",
                own.estimator,
                own.config,
                method,
                kernel_name=own.kernel_name,
                kernel_title=own.kernel_title,
            )
            for own in (SYSTEMS["kernelgan"], SYSTEMS["true"])
        ]

    def estimate(case: Case, seed: int) -> Output:
        lr = case.lr()
        returned = call(lr, scale=case.scale, seed=seed)
        return output_of(returned, lr_shape=lr.shape, scale=case.scale)

    estimator = UserEstimator(estimate, lambda case: digest, seeded="seed" in keywords)
    return [System(function, function, estimator)]


def output_of(returned: Any, *, lr_shape: tuple[int, ...], scale: int) -> Output:
    """What a function of the user's returned, checked.

    Args:
      returned: A kernel (2 axes), an image (3 axes, or 2 if it has the size of the LR
        image or of what the scale makes of it), or both in a tuple.
      lr_shape: Shape of the LR image.
      scale: The scale of the kernel.

    Raises:
      ValueError: If it is something else.

    Example:
      >>> import numpy as np
      >>> output_of(np.ones((3, 3)), lr_shape=(20, 20, 1), scale=2).image is None
      True
    """
    parts = returned if isinstance(returned, tuple) else (returned,)
    arrays = [np.asarray(part) for part in parts if part is not None]
    arrays = [
        array[..., np.newaxis] if _is_gray_image(array, lr_shape, scale) else array
        for array in arrays
    ]
    by_axes = {array.ndim: array for array in arrays}
    if not arrays or len(by_axes) < len(arrays) or not by_axes.keys() <= {2, 3}:
        shapes = ", ".join(str(array.shape) for array in arrays) or "nothing"
        raise ValueError(
            f"there is {shapes}; there must be a kernel (2 axes), an image (3 axes), "
            "or both in a tuple"
        )
    estimate = image = None
    if (kernel := by_axes.get(2)) is not None:
        if kernel.dtype.kind not in "fiu" or not np.isfinite(kernel).all():
            raise ValueError("the kernel has values that are not finite numbers")
        kernel = kernels.normalise(kernel.astype(np.float64))
        estimate = KernelEstimate(kernel, scale)
    if 3 in by_axes:
        image = from_array(by_axes[3])
    return Output(estimate, image)


def _is_gray_image(array: np.ndarray, lr_shape: tuple[int, ...], scale: int) -> bool:
    """Whether an array without an axis of channels is an image, not a kernel."""
    return array.ndim == 2 and (
        array.shape == lr_shape[:2] or sizes_match(array.shape, lr_shape, scale=scale)
    )


def _parameters(user: Callable[..., Any], name: str) -> set[str]:
    """The names that a function can be called with besides the image, checked."""
    try:
        parameters = list(inspect.signature(user).parameters.values())
    except (TypeError, ValueError):  # As some functions written in C.
        return set(_KEYWORDS)
    parameters = parameters[1:]  # The first one is the image, whatever its name.
    known = {*_KEYWORDS, "kernel"}
    for parameter in parameters:
        variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        needed = parameter.default is parameter.empty and not variable
        if needed and parameter.name not in known:
            raise ValueError(
                f"{name}: has a parameter {parameter.name} without default; it can "
                "have an image, kernel, scale and seed"
            )
    names = {parameter.name for parameter in parameters}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        names |= set(_KEYWORDS)
    return names


def _of_config(path: Path, get_config: Callable[[], Any]) -> System:
    """The system that a config file describes."""
    config = _guarded(str(path), lambda: _config(get_config()))
    return System(
        path.stem,
        path.name,
        config.estimator,
        config.estimator_config,
        method_config=config.sr_config,
    )


def _config(settings: Any) -> Config:
    if isinstance(settings, Config):
        return settings
    plain = settings if isinstance(settings, dict) else settings.to_dict()
    return Config(**configuration.complete(plain))


def _guarded(file: str, function: Callable[[], Any]) -> Any:
    """The result of code from a user's file; what it raises becomes a ValueError."""
    try:
        return function()
    except (Exception, SystemExit) as error:  # It is a program: it can raise anything.
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{file}: {text}") from error


def _load(path: Path) -> tuple[Any, str]:
    """Runs a user's file; its module, and a digest with all of its folder's imports."""
    folder = path.parent.resolve()
    # With a name of its own, as a file may be called random.py.
    name = f"kernelgan_benchmark_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as pickle and dataclasses require
    loader = spec.loader
    sys.path.insert(0, str(folder))
    try:
        _guarded(str(path), lambda: loader.exec_module(module))
    finally:
        sys.path.pop(0)
    digest = hashlib.sha256(path.read_bytes())
    files = (getattr(m, "__file__", None) for m in list(sys.modules.values()))
    for file in sorted({Path(f).resolve() for f in files if f}):
        if folder in file.parents and file.suffix == ".py":
            digest.update(file.read_bytes())
    return module, digest.hexdigest()
