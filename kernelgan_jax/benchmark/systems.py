"""What the benchmark compares: kernel estimators, each with a super-resolution method.

An estimator answers requests: an LR image each, with a kernel, a super-resolved image,
or both. A system is an estimator and what is done with its kernels.
"""

import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.app import image_files, kernel_files
from kernelgan_jax.app.resources import batch_size
from kernelgan_jax.benchmark import testset
from kernelgan_jax.config import DEFAULT, FLOW, LARGEST_SCALE, Config
from kernelgan_jax.estimate import Confidence, KernelEstimate
from kernelgan_jax.estimators.patch_recurrence import estimate_by_recurrence
from kernelgan_jax.estimators.run import find, prepare
from kernelgan_jax.estimators.spectral.estimator import estimate_spectral
from kernelgan_jax.pixels import from_array
from kernelgan_jax.super_resolution import Jump, uncertain

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
    names: frozenset[str] = frozenset()
    """Of all images of the test set."""


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
    confidence: Confidence | None = None
    """How sure the estimator is, if it says so."""
    sure: bool = False
    """Whether the kernel is to be taken as it is; see `super_resolution.UNCERTAIN`."""


Run = Callable[[Sequence[Request]], list[Answer]]


@dataclasses.dataclass(frozen=True)
class Estimator:
    """Where kernels are from."""

    name: str
    run: Run
    """Answers a batch; what it raises ends the batch."""
    scales: Callable[[int], bool] = lambda scale: True
    """Whether it knows a scale."""
    batch: Callable[[], int] = lambda: 1
    """Requests at a time."""
    seeded: bool = False
    """Whether the answer depends on the seed."""
    sure: bool = False
    """Whether its kernels are all to be taken as they are, whatever answers say."""
    timed: bool = True
    """Whether the time that it takes says anything."""
    version: Callable[[str, frozenset[str]], str] = lambda name, names: ""
    """Of an image's name and all names: a text that differs where answers may."""

    def jumps(self, scale: int, answer: Answer) -> tuple[Jump, ...]:
        """How an image is super-resolved with an answer's kernel, as by `plan`."""
        if answer.kernel is None or answer.reason:
            return (Jump(scale, _bicubic(scale)),)
        if self.sure or answer.sure:
            return (Jump(scale, answer.kernel),)
        return uncertain(scale, answer.kernel, answer.kernel_x2)


Enlarge = Callable[..., Any]
"""`enlarge(image, kernel, *, scale, seed) -> H x W x C`: a method of the user's own."""


@dataclasses.dataclass(frozen=True)
class System:
    """A row of the table."""

    name: str
    """Also of its folder."""
    title: str
    estimator: Estimator | None
    """None: bicubic enlargement, without a kernel."""
    enlarge: Enlarge | None = None
    """The user's own method; by default that of the evaluation."""
    version: str = ""
    """Of the method; a text that differs where results may."""


SPECTRUM = ""
"""Of what the spectral estimator, and all confidence, depends on."""


def configured(name: str, config: Config) -> Estimator:
    """The estimator that settings name, KernelGAN or the spectral one."""

    def run(requests: Sequence[Request]) -> list[Answer]:
        wanted = dataclasses.replace(config, scale=requests[0].scale)
        prepared = [
            prepare(jax.random.key(request.seed), request.image, wanted)
            for request in requests
        ]
        return [_answer(found) for found in find(prepared, wanted)]

    return Estimator(
        name,
        run,
        scales=lambda scale: (
            scale in (2, 4)
            if config.estimator == "kernelgan"
            else scale <= LARGEST_SCALE
        ),
        batch=lambda: batch_size(config),
        seeded=config.estimator == "kernelgan",
        version=_always(f"{config} {SPECTRUM}"),
    )


def _answer(found: KernelEstimate) -> Answer:
    x2 = found.kernel if found.kernel_x4 is not None else None
    return Answer(
        found.wanted,
        x2,
        found.reason,
        confidence=found.confidence,
        sure=found.sure,
    )


def _always(version: str) -> Callable[[str, frozenset[str]], str]:
    return lambda name, names: version


def _bicubic(scale: int) -> np.ndarray:
    """The bicubic kernel, symmetric about its own middle, aligned as all others are."""
    return kernels.centre(blur_kernels.bicubic(scale), scale)


def _each(answer: Callable[[Request], Answer]) -> Run:
    """Answers a batch one by one."""
    return lambda requests: [answer(request) for request in requests]


def _constant(request: Request) -> Answer:
    variance = CONSTANT_VARIANCE * (request.scale**2 - 1) / 3
    kernel, x2 = (
        blur_kernels.gaussian(12 * s + 1, variances=(v, v), scale=s)
        for s, v in ((request.scale, variance), (2, CONSTANT_VARIANCE))
    )
    return Answer(kernel, x2 if request.scale == 4 else None)


def _recurrence(request: Request) -> Answer:
    first = 2 if request.scale == 4 else request.scale
    kernel = estimate_by_recurrence(request.image, scale=first)
    if request.scale == 4:
        return Answer(kernels.kernel_x4(kernel), kernel)
    return Answer(kernel)


BICUBIC = Estimator(
    "bicubic_kernel", _each(lambda r: Answer(_bicubic(r.scale))), sure=True
)


CONSTANT = Estimator(
    "constant", _each(_constant), version=_always(str(CONSTANT_VARIANCE))
)


MICHAELI_IRANI = Estimator(
    "michaeli_irani",
    _each(_recurrence),
    version=_always(""),
)


SINGLE_LAYER = configured("single_layer", Config(generator_kernels=(13,)))


KERNELGAN = configured("kernelgan", DEFAULT)


FLOW_PRIOR = configured("flow", FLOW)


SPECTRAL = Estimator(
    "spectral",
    _each(lambda r: _answer(estimate_spectral(r.image, scale=r.scale))),
    version=_always(SPECTRUM),
)


TRUE = Estimator("true", _each(lambda r: Answer(r.truth)), sure=True)


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("bicubic", "bicubic", None),
        System("bicubic_kernel", "bicubic kernel + ZSSR", BICUBIC),
        System("constant", "constant Gaussian + ZSSR", CONSTANT),
        System("michaeli_irani", "Michaeli & Irani + ZSSR", MICHAELI_IRANI),
        System("single_layer", "KernelGAN, single layer + ZSSR", SINGLE_LAYER),
        System("kernelgan", "KernelGAN + ZSSR", KERNELGAN),
        System("flow", "KernelGAN-FKP (flow) + ZSSR", FLOW_PRIOR),
        System("spectral", "spectral likelihood + ZSSR", SPECTRAL),
        System("true", "true kernel + ZSSR", TRUE),
    )
}
"""The package's own, in the order of the table."""


def from_file(text: str) -> list[System]:
    """Systems from a file of the user's: `PATH.py:FUNCTION`, or a config.

    The function takes an LR image, `h x w x C`, and by keyword `scale` and `seed`. It
    returns a kernel (`n x m`), which the benchmark then super-resolves with, or a
    super-resolved image (`H x W x C`, uint8, uint16 or floating point in [0, 1]), or
    both in a tuple. A function with a second parameter `kernel` is a super-resolution
    method: it gets the true kernel in one row, and KernelGAN's in another, and returns
    the image. A file of a config, `PATH.py`, is the estimator with these settings.

    Raises:
      ValueError: If there is no such file or function, or the file does not run.
    """
    file, _, function = text.rpartition(":") if ".py:" in text else (text, "", "")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file}: no such file")
    module, version = _module(path)
    if not function:
        if not hasattr(module, "get_config"):
            raise ValueError(f"{file}: name a function of it, {file}:FUNCTION")
        config = _run(file, lambda: Config(**module.get_config().to_dict()))
        title = f"{path.name} + ZSSR"
        return [System(path.stem, title, configured(path.stem, config))]
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

    def answer(request: Request) -> Answer:
        return answer_of(user(request.image, scale=request.scale, seed=request.seed))

    estimator = Estimator(
        function, _each(answer), seeded=True, version=_always(version)
    )
    return [System(function, function, estimator)]


def answer_of(returned: Any) -> Answer:
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
            f"there is {shapes}; there must be a kernel (2 axes), an image (3 axes), "
            "or both in a tuple"
        )
    kernel, sr = by_axes.get(2), by_axes.get(3)
    if kernel is not None:
        if kernel.dtype.kind not in "fiu" or not np.isfinite(kernel).all():
            raise ValueError("the kernel has values that are no finite numbers")
        kernel = kernels.normalise(kernel.astype(np.float64))
    if sr is not None:
        sr = from_array(sr)
    return Answer(kernel, sr=sr)


def _run(file: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:  # A user's file is a program: it can raise anything.
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{file}: {text}") from error


def _module(path: Path) -> tuple[Any, str]:
    """A user's file, run, and a hash of it and of what it imports from beside it."""
    folder = path.parent.resolve()
    # A name of its own: a file may be called random.py.
    name = f"kernelgan_benchmark_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as pickle and dataclasses want it
    loader = spec.loader
    sys.path.insert(0, str(folder))
    try:
        _run(str(path), lambda: loader.exec_module(module))
    finally:
        sys.path.pop(0)
    digest = hashlib.sha256(path.read_bytes())
    files = (getattr(m, "__file__", None) for m in list(sys.modules.values()))
    for file in sorted({Path(f).resolve() for f in files if f}):
        if folder in file.parents and file.suffix == ".py":
            digest.update(file.read_bytes())
    return module, digest.hexdigest()


def finished(name: str, folder: Path) -> System:
    """Results that lie in a folder already: someone else's, or those of `main.py`.

    The files of an image are those below the folder that lie in a folder of its name or
    bear its name in their own, set off from other letters and digits; a file that bears
    the names of two images belongs to the longer one. Of several scales they are those
    with the scale in the name of the file or of a folder (`x2`). Its kernel is a .npy
    or .mat file, its super-resolved image a .png file of the size that the scale asks
    for. Folders that hold a benchmark (`runs.jsonl`) are left out.

    Raises:
      ValueError: If there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of results")
    others = {path.parent for path in folder.rglob("runs.jsonl")}
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in (".npy", ".mat", ".png")
        and others.isdisjoint(path.parents)
    )

    @functools.cache
    def by_image(names: frozenset[str]) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {name: [] for name in names}
        for file in files:
            for owner in _owners(file.relative_to(folder), names):
                found[owner].append(file)
        return found

    def answer(request: Request) -> Answer:
        return _read_results(folder, by_image(request.names)[request.name], request)

    def version(image: str, names: frozenset[str]) -> str:
        mine = by_image(names)[image]
        return repr([(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in mine])

    estimator = Estimator(name, _each(answer), timed=False, version=version)
    return System(name, name, estimator)


def _read_results(folder: Path, mine: Sequence[Path], request: Request) -> Answer:
    known = [path for path in mine if path.suffix.lower() in (".npy", ".mat")]
    known = _of_scale(folder, known, request.scale)
    # The same kernel in both formats counts once.
    same = {path.with_suffix(".mat") for path in known if path.suffix == ".npy"}
    known = [path for path in known if path not in same]
    if len(known) > 1:
        several = " and ".join(map(str, known))
        raise ValueError(f"there are several kernels: {several}")
    kernel = kernel_files.read(known[0]) if known else None
    pictures = []
    for path in mine:
        if path.suffix.lower() == ".png":
            pixels = image_files.read(path).pixels
            if testset.fits(pixels.shape, request.image.shape, request.scale):
                pictures.append((path, pixels))
    if len(pictures) > 1:
        several = " and ".join(str(path) for path, _ in pictures)
        raise ValueError(f"there are several super-resolved images: {several}")
    if not known and not pictures:
        raise ValueError(f"{folder}: has no kernel and no super-resolved image of it")
    return answer_of((kernel, pictures[0][1] if pictures else None))


def _owners(path: Path, names: frozenset[str]) -> list[str]:
    """The images that a file belongs to, by its folders, or else by its own name."""
    by_folder = [name for name in names if name in path.parts[:-1]]
    if by_folder:
        return by_folder
    return sorted((n for n in names if _bears(path.stem, n)), key=len)[-1:]


def _bears(stem: str, name: str) -> bool:
    """Whether a text holds a name, set off from other letters and digits."""
    return bool(re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", stem))


def _of_scale(folder: Path, paths: list[Path], scale: int) -> list[Path]:
    """Those that name the scale, if any do; otherwise those that name none."""

    def scales(path: Path) -> list[str]:
        text = "/".join(path.relative_to(folder).with_suffix("").parts)
        return re.findall(r"(?<![^\W_])x(\d+)(?![^\W_])", text)

    marked = [path for path in paths if str(scale) in scales(path)]
    return marked or [path for path in paths if not scales(path)]
