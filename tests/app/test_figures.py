"""kernel.png and comparison.png: what is on them, and that nothing is cut off."""

import helpers
import numpy as np
import pytest
from app import makers
from app.makers import KERNEL
from PIL import Image as pillow

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.app import figures
from kernelgan_jax.app.images.image import Image
from kernelgan_jax.estimators.kernelgan.config import FLOW
from kernelgan_jax.pixels import to_unit


def gray(path):
    """A figure as gray values."""
    return np.asarray(pillow.open(path).convert("L"))


def drawn(folder, **options):
    """kernel.png of a result."""
    folder.mkdir(exist_ok=True)
    figures.write(folder, makers.result(**options))
    assert [path.name for path in folder.iterdir()] == ["kernel.png"]
    return folder / "kernel.png"


@pytest.fixture
def panels(monkeypatch):
    """The panels of the figures that are drawn, in place of files."""
    found = []
    monkeypatch.setattr(figures, "save", lambda figure, _: found.extend(figure.axes))
    return found


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((20, 30, 1), np.uint8), np.full((3000, 25, 3), 65535, np.uint16)],
    ids=["grey", "large 16-bit"],
)
def test_kernel_figure(tmp_path, pixels):
    # A name that is no formula, and has a letter that the font lacks.
    path = drawn(tmp_path, pixels=pixels, name="$x_{y$ \u732b \udcff")
    with pillow.open(path) as figure:
        assert figure.size == (1600, 500)
        assert len(figure.convert("RGB").getcolors(10**6)) > 100


def test_both_kernels_and_no_losses(tmp_path):
    with pillow.open(drawn(tmp_path, x4=True, loss=None)) as figure:
        assert figure.size == (1500, 500)


def test_confidence_is_drawn(tmp_path):
    plain = gray(drawn(tmp_path / "plain", loss=None))
    rated = gray(drawn(tmp_path / "rated", loss=None, confidence=makers.confidence()))
    assert plain.shape == rated.shape == (500, 1100)
    assert (plain[:, 500:] != rated[:, 500:]).any()


@pytest.mark.parametrize(
    "kernel, width", [(KERNEL, None), (blur_kernels.bicubic(2), 0.76)]
)
@pytest.mark.parametrize("failure", ["", "a $reason"])
def test_what_is_said_of_the_confidence(panels, kernel, width, failure):
    """The ellipse is that of the title's widths; a failure is said above, once."""
    confidence = makers.confidence()
    result = makers.result(kernel=kernel, failure=failure, confidence=confidence)
    figures.kernel_figure(result, result.estimate)
    axes = panels[1]
    assert ("(a $reason)" in axes.get_title()) == (not failure)
    extent = np.ptp(axes.lines[-1].get_xydata(), axis=0)
    covariance = kernels.covariance(kernel) if width is None else width**2 * np.eye(2)
    expected = 2 * np.sqrt(np.diag(covariance)[::-1])
    np.testing.assert_allclose(extent, expected, rtol=0.01)


def test_the_title_of_a_round_kernel_has_no_direction(panels):
    for variances, found in (((4.0, 1.0), True), ((2.0, 2.0), False)):
        kernel = blur_kernels.gaussian(13, variances=variances, scale=2)
        result = makers.result(kernel=kernel, loss=None)
        figures.kernel_figure(result, result.estimate)
        assert ("longer axis" in panels[-1].get_title()) == found


@pytest.mark.parametrize("loss", [np.nan, np.inf, 0.0])
def test_a_diverged_training_is_drawn(tmp_path, loss):
    failure = "no $kernel; try x_y=z"
    path = drawn(tmp_path, kernel=np.zeros((13, 13)), failure=failure, loss=loss)
    with pillow.open(path) as figure:
        assert figure.size == (1600, 550)  # with a line for the failure
        colours = figure.convert("RGB").getcolors(10**6)
    assert any(colour == (178, 34, 34) for _, colour in colours)  # firebrick


@pytest.mark.parametrize("shape", [(256, 256, 1), (150, 226, 3), (226, 150, 3)])
@pytest.mark.parametrize("failure", ["", "why"])
def test_nothing_of_the_figure_is_cut_off(tmp_path, shape, failure):
    figure = gray(drawn(tmp_path, pixels=np.full(shape, 99, np.uint8), failure=failure))
    for edge in (figure[0], figure[-1], figure[:, 0], figure[:, -1]):
        assert edge.min() > 250  # white


def test_without_kernel_losses(tmp_path):
    """A flow as generator is trained without them; the panel is empty then."""
    without = gray(drawn(tmp_path / "without", settings=FLOW))
    with_losses = gray(drawn(tmp_path / "with"))
    assert without.shape == with_losses.shape
    lower_panel = (slice(300, 480), slice(1170, 1590))
    assert without[lower_panel].mean() > with_losses[lower_panel].mean()


@pytest.mark.parametrize("shape", [(1, 30, 3), (200, 150, 1), (9, 9, 3)])
@pytest.mark.parametrize("kernel", [None, KERNEL], ids=["without", "with kernel"])
def test_comparison(tmp_path, shape, kernel):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    result = makers.known(pixels=pixels, kernel=kernel)
    figures.write(tmp_path, result)
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.png"]
    figure = gray(tmp_path / "comparison.png")
    assert figure.shape[1] > 1000 and figure.std() > 10


def test_both_crops_show_the_same_place(panels, tmp_path):
    # All structure is in one place, off the borders.
    pixels = np.full((100, 120, 1), 128, np.uint8)
    pixels[60:80, 30:60] = np.random.default_rng(0).integers(0, 256, (20, 30, 1))
    figures.write(tmp_path, makers.known(pixels=pixels))
    bicubic, crop = (panel.images[0].get_array() for panel in panels[2:4])
    assert bicubic.shape == crop.shape == (4 * 2 * 48, 4 * 2 * 48, 3)
    assert np.corrcoef(bicubic.ravel(), crop.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("channels, bands", [(1, False), (3, False), (5, True)])
@pytest.mark.parametrize("dtype", ["uint16", "float32", "int32"])
def test_any_pixels_can_be_shown(dtype, channels, bands):
    pixels = 1000 * helpers.smooth(8, 9, channels) - (0 if dtype == "uint16" else 500)
    image = Image(pixels.astype(dtype), bands=bands)
    shown = figures.shown_pixels(image)
    assert shown.shape == (8, 9, 1 if channels == 1 else 3)
    unit = to_unit(shown)
    assert unit.min() >= 0 and unit.max() <= 1
    correlation = np.corrcoef(unit[..., 0].ravel(), pixels[..., 0].ravel())
    assert correlation[0, 1] > 0.99


def test_comparison_of_a_flat_image_with_a_method_that_uses_no_kernel(tmp_path):
    pixels = np.full((20, 30, 5), 0.5, np.float32)
    result = makers.known(kernel=None, source="", pixels=pixels)
    figures.write(tmp_path, result)
    assert (tmp_path / "comparison.png").exists()
