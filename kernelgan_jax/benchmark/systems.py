"""What the benchmark compares: kernel estimators, each with a super-resolution method.

An estimator answers requests: an LR image each, with a kernel, a super-resolved image,
or both. A system is an estimator and what is done with its kernels.
"""

import dataclasses
import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernelgan_jax import images, kernel_files, kernels, patch_recurrence, pipeline
from kernelgan_jax.config import DEFAULT, FLOW, Config
from kernelgan_jax.estimate import estimate_kernels
from kernelgan_jax.super_resolution import UNCERTAIN, Jump

CONSTANT_VARIANCE = 2.8
"""Of the constant isotropic Gaussian at x2, HR pixels^2: the mean of DIV2KRK's. At
scale s it is (s^2 - 1)/3 times as much, which is what repeated downscaling makes."""


class Request(NamedTuple):
    """One image to find the kernel of."""

    name: str
    image: np.ndarray
    """`h x w x C`, uint8 or uint16, C = 1 or 3."""
    scale: int
    seed: int
    truth: np.ndarray
    """The true kernel; for the system that is given it."""


class Answer(NamedTuple):
    """What an estimator found."""

    kernel: np.ndarray | None = None
    """Of the request's scale, aligned as `kernelgan_jax.kernels` states."""
    kernel_x2: np.ndarray | None = None
    """The x2 kernel that an x4 kernel was made from, for gradual super-resolution."""
    reason: str = ""
    """Why the estimate is known to have failed; empty if it is not."""
    sr: np.ndarray | None = None
    """The super-resolved image, `H x W x C`, if the system makes it itself."""


@dataclasses.dataclass(frozen=True)
class Estimator:
    """Where kernels are from."""

    name: str
    run: Callable[[Sequence[Request]], list[Answer]]
    """Answers a batch; what it raises ends the batch."""
    scales: Callable[[int], bool] = lambda scale: True
    """Whether it knows a scale."""
    batch: Callable[[], int] = lambda: 1
    """Requests at a time."""
    seeded: bool = False
    """Whether the answer depends on the seed."""
    sure: bool = False
    """Whether its kernel is to be trusted; see `super_resolution.UNCERTAIN`."""
    version: str = ""
    """A text that differs where answers may."""

    def jumps(self, scale: int, answer: Answer) -> tuple[Jump, ...]:
        """How an image is super-resolved with an answer's kernel, as by `plan`."""
        if answer.kernel is None or answer.reason:
            return (Jump(scale, kernels.bicubic(scale)),)
        if self.sure:
            return (Jump(scale, answer.kernel),)
        last = Jump(scale, answer.kernel, UNCERTAIN)
        if answer.kernel_x2 is None:
            return (last,)
        return (Jump(2, answer.kernel_x2, UNCERTAIN), last)


Enlarge = Callable[..., Any]
"""`enlarge(image, kernel, *, scale, seed) -> H x W x C`: a method of the user's own."""


@dataclasses.dataclass(frozen=True)
class System:
    """A row of the table."""

    name: str
    """Also of its folder."""
    title: str
    estimator: Estimator | None
    """None: no kernel is used."""
    method: str | Enlarge = "zssr"
    """`bicubic`, `zssr` (as the evaluation is told), or a function."""
    version: str = ""
    """Of the function; a text that differs where results may."""


# --- Estimators that come with the package ---


def _x2_or_x4(scale: int) -> bool:
    return scale in (2, 4)


def _composed(kernel: np.ndarray, scale: int) -> Answer:
    """The answer to a request of scale 2 or 4 for which the x2 kernel is known."""
    if scale == 2:
        return Answer(kernel)
    return Answer(kernels.kernel_x4(kernel), kernel)


def gan(name: str, config: Config, version: str = "") -> Estimator:
    """KernelGAN with some settings; x4 kernels follow from x2 kernels."""

    def run(requests: Sequence[Request]) -> list[Answer]:
        keys = jnp.stack([jax.random.key(request.seed) for request in requests])
        pixels = [request.image for request in requests]
        wanted = dataclasses.replace(config, scale=requests[0].scale)
        found = estimate_kernels(keys, pixels, config=wanted)
        if found.kernel_x4 is None:
            pairs = zip(found.kernel, found.reason, strict=True)
            return [Answer(kernel, None, reason) for kernel, reason in pairs]
        triples = zip(found.kernel_x4, found.kernel, found.reason, strict=True)
        return [Answer(*triple) for triple in triples]

    return Estimator(
        name,
        run,
        scales=_x2_or_x4,
        batch=lambda: pipeline.batch_size(config),
        seeded=True,
        version=version or repr(config),
    )


def _bicubic(requests: Sequence[Request]) -> list[Answer]:
    # It is symmetric about its own middle; kernels are compared aligned.
    return [
        Answer(kernels.centre(kernels.bicubic(request.scale), request.scale))
        for request in requests
    ]


def _constant(requests: Sequence[Request]) -> list[Answer]:
    answers = []
    for request in requests:
        variance = CONSTANT_VARIANCE * (request.scale**2 - 1) / 3
        kernel = kernels.gaussian(
            12 * request.scale + 1, variances=(variance,) * 2, scale=request.scale
        )
        small = kernels.gaussian(25, variances=(CONSTANT_VARIANCE,) * 2, scale=2)
        answers.append(Answer(kernel, small if request.scale == 4 else None))
    return answers


def _recurrence(requests: Sequence[Request]) -> list[Answer]:
    answers = []
    for image, scale in ((request.image, request.scale) for request in requests):
        if _x2_or_x4(scale):
            answers.append(
                _composed(
                    patch_recurrence.estimate_by_recurrence(image, scale=2), scale
                )
            )
        else:
            answers.append(
                Answer(patch_recurrence.estimate_by_recurrence(image, scale=scale))
            )
    return answers


BICUBIC = Estimator("bicubic_kernel", _bicubic, sure=True)
CONSTANT = Estimator("constant", _constant, version=str(CONSTANT_VARIANCE))
MICHAELI_IRANI = Estimator(
    "michaeli_irani", _recurrence, version=repr(patch_recurrence.SETTINGS)
)
SINGLE_LAYER = gan("single_layer", Config(generator_kernels=(13,)))
KERNELGAN = gan("kernelgan", DEFAULT)
FLOW_PRIOR = gan("flow", FLOW)
TRUE = Estimator(
    "true", lambda requests: [Answer(r.truth) for r in requests], sure=True
)

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("bicubic", "bicubic", None, "bicubic"),
        System("bicubic_kernel", "bicubic kernel + ZSSR", BICUBIC),
        System("constant", "constant Gaussian + ZSSR", CONSTANT),
        System("michaeli_irani", "Michaeli & Irani + ZSSR", MICHAELI_IRANI),
        System("single_layer", "KernelGAN, single layer + ZSSR", SINGLE_LAYER),
        System("kernelgan", "KernelGAN + ZSSR", KERNELGAN),
        System("flow", "KernelGAN-FKP (flow) + ZSSR", FLOW_PRIOR),
        System("true", "true kernel + ZSSR", TRUE),
    )
}
"""The package's own, in the order of the table."""


# --- Systems of the user ---


def from_file(text: str) -> list[System]:
    """Systems from a file of the user's: `PATH.py:FUNCTION`, or a config.

    The function takes an LR image, `h x w x C`, and by keyword `scale` and `seed`. It
    returns a kernel (`n x m`), which the benchmark then super-resolves with, or a
    super-resolved image (`H x W x C`, uint8, uint16 or floating point in [0, 1]), or
    both in a tuple. A function with a second parameter `kernel` is a super-resolution
    method: it gets the true kernel in one row, and KernelGAN's in another, and returns
    the image. A file of a config, `PATH.py`, is KernelGAN with these settings.

    Raises:
      ValueError: If there is no such file or function, or the file does not run.
    """
    file, _, function = text.partition(":") if ".py:" in text else (text, "", "")
    path = Path(file)
    try:
        version = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or error}") from error
    module = _module(path)
    if not function:
        if not hasattr(module, "get_config"):
            raise ValueError(f"{file}: name a function of it, {file}:FUNCTION")
        config = Config(**_run(file, module.get_config).to_dict())
        estimator = gan(path.stem, config)
        return [System(path.stem, f"KernelGAN, {path.name} + ZSSR", estimator)]
    user = getattr(module, function, None)
    if not callable(user):
        raise ValueError(f"{file}: has no function {function}")
    try:
        parameters = list(inspect.signature(user).parameters)
    except (TypeError, ValueError):
        parameters = []
    if "kernel" in parameters:
        return [
            System(f"{function}-{e.name}", f"{what} + {function}", e, user, version)
            for e, what in ((KERNELGAN, "KernelGAN"), (TRUE, "true kernel"))
        ]

    def run(requests: Sequence[Request]) -> list[Answer]:
        return [
            answer_of(user(r.image, scale=r.scale, seed=r.seed), r) for r in requests
        ]

    estimator = Estimator(function, run, seeded=True, version=version)
    return [System(function, function, estimator)]


def answer_of(returned: Any, request: Request) -> Answer:
    """The answer that a user's function has returned.

    Raises:
      ValueError: If it is none.
    """
    parts = returned if isinstance(returned, tuple) else (returned,)
    arrays = [np.asarray(part) for part in parts if part is not None]
    by_axes = {array.ndim: array for array in arrays}
    if not arrays or len(by_axes) < len(arrays) or not by_axes.keys() <= {2, 3}:
        shapes = ", ".join(str(array.shape) for array in arrays) or "nothing"
        raise ValueError(
            f"the function returned {shapes}; it must return a kernel (2 axes), an "
            "image (3 axes), or both in a tuple"
        )
    kernel, sr = by_axes.get(2), by_axes.get(3)
    if kernel is not None:
        kernels.check(kernel, scale=request.scale)
        kernel = kernels.normalise(kernel.astype(np.float64))
    if sr is not None:
        sr = images.from_array(sr)
    return Answer(kernel, sr=sr)


def _run(file: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:  # A user's file is a program: it can raise anything.
        raise ValueError(f"{file}: {type(error).__name__}: {error}") from error


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # as pickle and dataclasses want it
    loader = spec.loader
    sys.path.insert(0, str(path.parent.resolve()))  # for what it imports
    try:
        _run(str(path), lambda: loader.exec_module(module))
    finally:
        sys.path.pop(0)
    return module


# --- Finished results ---


def finished(name: str, folder: Path) -> System:
    """Results that lie in a folder already: someone else's, or those of `main.py`.

    The files of an image are those below the folder that bear its name, or lie in a
    folder of its name; of several scales, those with the scale in their name (`x2`).
    Its kernel is a .npy or .mat file, its super-resolved image a .png file of the size
    that the scale asks for.

    Raises:
      ValueError: If there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of results")
    files = sorted(path for path in folder.rglob("*") if path.is_file())

    def run(requests: Sequence[Request]) -> list[Answer]:
        return [_read_results(folder, files, request) for request in requests]

    mark = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    version = hashlib.sha256(repr(mark).encode()).hexdigest()
    return System(name, name, Estimator(name, run, version=version))


def _read_results(folder: Path, files: Iterable[Path], request: Request) -> Answer:
    mine = [f for f in files if _bears(f.relative_to(folder), request.name)]
    known = [path for path in mine if path.suffix.lower() in (".npy", ".mat")]
    known = _of_scale(known, request.scale)
    # The same kernel in both formats counts once.
    same = {path.with_suffix(".mat") for path in known if path.suffix == ".npy"}
    known = [path for path in known if path not in same]
    if len(known) > 1:
        several = " and ".join(map(str, known))
        raise ValueError(f"there are several kernels: {several}")
    kernel = kernel_files.read(known[0]) if known else None
    height, width = (request.scale * side for side in request.image.shape[:2])
    pictures = []
    for path in mine:
        if path.suffix.lower() == ".png":
            pixels = images.read(path).pixels
            high, wide = pixels.shape[:2]
            # HR sides that the scale does not divide are cut, or not.
            if abs(high - height) < request.scale and abs(wide - width) < request.scale:
                pictures.append((path, pixels))
    if len(pictures) > 1:
        several = " and ".join(str(path) for path, _ in pictures)
        raise ValueError(f"there are several super-resolved images: {several}")
    if not known and not pictures:
        raise ValueError(f"{folder}: has no kernel and no super-resolved image of it")
    sr = pictures[0][1] if pictures else None
    return answer_of((kernel, sr), request)


def _bears(path: Path, name: str) -> bool:
    """Whether a path holds an image's name, set off from other letters and digits."""
    pattern = rf"(?<![^\W_]){re.escape(name)}(?![^\W_])"
    return any(re.search(pattern, part) for part in (*path.parts[:-1], path.stem))


def _of_scale(paths: list[Path], scale: int) -> list[Path]:
    """Those that name the scale, if any do; otherwise those that name none."""
    marked = [p for p in paths if re.search(rf"(?<![^\W_])x{scale}(?![^\W_])", p.stem)]
    unmarked = [p for p in paths if not re.search(r"(?<![^\W_])x\d+(?![^\W_])", p.stem)]
    return marked or unmarked
