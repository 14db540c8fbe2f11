"""Test sets and systems that the benchmark's tests share."""

import dataclasses
import shutil

import helpers
import numpy as np
import pytest

from kernelgan_jax import blur_kernels
from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import Output, System, UserEstimator, make_test_set
from kernelgan_jax.estimate import KernelEstimate

SIZE = (64, 56)
"""Height and width of HR images. LR images have a side under 32 pixels, for which there
is no spectrum to analyse, so that nothing is compiled."""


def write_images(folder, *names, size=SIZE):
    """Writes smooth RGB images; returns their paths."""
    pixels = [
        np.rint(255 * helpers.clouds(*size, seed=seed)).astype(np.uint8)
        for seed in range(len(names))
    ]
    return [
        helpers.write_image(folder / f"{name}.png", array)
        for name, array in zip(names, pixels, strict=True)
    ]


@pytest.fixture(scope="session")
def images():
    """`images(folder, *names, size)` writes smooth RGB images; returns their paths."""
    return write_images


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A test set of three images, at x2 and x4; not to be changed."""
    folder = tmp_path_factory.mktemp("benchmark")
    made = make_test_set(
        write_images(folder / "in", "one", "two", "10"), folder / "set"
    )
    assert not made.problems
    return folder / "set"


@pytest.fixture
def own_data(data, tmp_path):
    """A copy of the test set, for tests that change it."""
    return shutil.copytree(data, tmp_path / "own_set")


@pytest.fixture
def write():
    """`write(path, pixels)` writes a PNG."""

    def write(path, pixels):
        path.parent.mkdir(parents=True, exist_ok=True)
        image_files.write_png(path, image_files.Image(pixels))

    return write


@dataclasses.dataclass
class Counter:
    """A system that notes its calls, and fails on the images that it is told to."""

    fails: tuple = ()
    size: int = 5
    calls: list = dataclasses.field(default_factory=list)
    estimate: dict = dataclasses.field(default_factory=dict)
    """Fields of its estimates besides kernel and scale."""

    def __call__(self, case, seed):
        self.calls.append((case.name, seed))
        if case.name in self.fails:
            raise RuntimeError("two\nlines")
        variances = (1.0 + seed, 1.0 + seed)
        kernel = blur_kernels.gaussian(self.size, variances=variances, scale=case.scale)
        return Output(KernelEstimate(kernel, case.scale, **self.estimate))

    @property
    def system(self):
        estimator = UserEstimator(self, lambda case: f"{self.size}")
        return System("counter", "Counter", estimator)


@pytest.fixture
def counter():
    """Makes systems that note their calls; see `Counter`."""
    return Counter


PLUGS = """
import numpy as np
from neighbour import SIZE
from kernelgan_jax import blur_kernels

def kernel(image, *, scale, seed):
    return blur_kernels.gaussian(SIZE, variances=(2.0 + seed, 2.0), scale=scale)

def image(image, *, scale, seed):
    return image.repeat(scale, 0).repeat(scale, 1)

def both(image, *, scale, seed):
    enlarged = image.repeat(scale, 0).repeat(scale, 1)
    return kernel(image, scale=scale, seed=seed), enlarged

def method(image, kernel, *, scale, seed):
    assert kernel.shape == (11, 11), "not the true kernel"
    return image.repeat(scale, 0).repeat(scale, 1) / 255

def estimate(image):
    return np.ones((4, 4))

def enlarge(lr, kernel):
    return lr.repeat(2, 0).repeat(2, 1)

def anything(image, **options):
    assert sorted(options) == ["scale", "seed"]
    return np.ones((4, 4))

def needs_more(image, sigma):
    return np.ones((4, 4))

def wrong(image, *, scale, seed):
    return image

def nothing(image, *, scale, seed):
    return None

def leaves(image):
    raise SystemExit(3)
"""


@pytest.fixture
def plugs(tmp_path):
    """A file with functions of a user's, which imports another from beside it."""
    (tmp_path / "neighbour.py").write_text("SIZE = 9\n")
    path = tmp_path / "plugs.py"
    path.write_text(PLUGS)
    return path
