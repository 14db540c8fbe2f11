"""Files that came out wrong once: each situation from the file to the result.

`CASES` says which test guards which situation. Those of this file are one run of the
command on small variants of one picture, a random one with the spectrum of photographs,
whose larger original is known.
"""

import io

import helpers
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as pillow

from kernelgan_jax import metrics, square_extremes
from kernelgan_jax.app import cli
from kernelgan_jax.app.images import image_files
from kernelgan_jax.degradation import downscale

CASES = {
    "gray levels of any range": "app/test_cases.py::test_part_of_the_range",
    "a flat frame": "app/test_cases.py::test_the_rest_of_the_picture",
    "text burnt in": "app/test_cases.py::test_the_rest_of_the_picture",
    "a grid of thin lines": "app/test_cases.py::test_the_rest_of_the_picture",
    "screenshots, captions and collages": "estimators/spectral/test_drawn_steps.py"
    "::test_what_is_drawn_does_not_change_the_kernel",
    "hot pixels": "app/test_cases.py::test_the_rest_of_the_picture",
    "corners without data": "app/test_cases.py::test_the_rest_of_the_picture",
    "cinema bars": "app/test_cases.py::test_the_rest_of_the_picture",
    "no blur, area averages and bicubic kernels": "estimators/spectral"
    "/test_resamplers.py::test_resamplers_are_found",
    "aliasing": "estimators/spectral/test_resamplers.py"
    "::test_a_narrow_kernel_is_not_taken_for_noise",
    "reasons": "estimators/spectral/test_confidence.py::test_the_reason_is_the_cause",
    "a cut-out": "app/test_cases.py::test_the_rest_of_the_picture",
    "the rim of a cut-out": "app/test_cases.py::test_a_cut_out_has_no_dark_rim",
    "gray stored as RGB": "app/test_cases.py::test_gray_stored_as_rgb_stays_gray",
    "one colour": "app/test_cases.py::test_gray_stored_as_rgb_stays_gray",
    "flat colours": "app/test_cases.py::test_a_logo_keeps_its_value",
    "flat colours beside letters": "super_resolution/test_filling.py"
    "::test_flat_colours_keep_their_value_up_to_letters",
    "kernels not to be trusted": "super_resolution/test_planning.py"
    "::test_an_estimate_that_failed_is_not_used",
    "JPEG": "super_resolution/test_refinement.py"
    "::test_a_jpeg_photograph_is_not_below_bicubic",
    "a black frame of a sequence": "app/test_cases.py::test_a_black_frame_comes_out",
    "white is zero": "app/test_cases.py::test_layouts_of_tiff",
    "camera raw": "app/images/test_tiff_decoding.py::test_camera_raw_is_refused",
    "any number of bands": "app/test_cases.py::test_layouts_of_tiff",
    "floats": "app/test_cases.py::test_layouts_of_tiff",
    "CMYK of 16 bits": "app/images/test_tiff_decoding.py"
    "::test_cmyk_is_converted_with_all_bits_and_a_note",
    "newer suffixes": "app/images/test_image_files.py::test_newer_suffixes_are_found",
    "files left out": "app/images/test_image_files.py"
    "::test_what_is_passed_over_is_counted",
    "long texts": "app/images/test_image_encoding.py"
    "::test_long_texts_and_profiles_do_not_cost_the_image",
    "EXIF sizes": "app/images/test_image_encoding.py"
    "::test_metadata_are_kept_and_made_true",
    "dots per inch": "app/images/test_image_encoding.py"
    "::test_metadata_are_kept_and_made_true",
    "chunks of a PNG": "app/images/test_image_encoding.py"
    "::test_chunks_of_a_png_are_kept",
    "results of another image": "app/test_pipeline.py::test_what_is_done_again",
    "two images of one name": "app/test_cli.py"
    "::test_images_of_one_name_in_two_runs_keep_their_results",
    "a recursive glob": "app/test_cli.py"
    "::test_a_recursive_glob_does_not_take_its_own_results",
    "two runs at once": "app/test_manifest.py::test_processes_at_once_lose_no_line",
    "reserved names": "app/test_cli.py"
    "::test_names_that_collide_with_the_program_s_own_files",
    "other settings": "app/test_cli.py"
    "::test_other_settings_in_one_folder_are_announced",
    "MATLAB 7.3": "app/test_kernel_files.py::test_matlab_7_3_is_named",
    "cells and several kernels": "app/test_kernel_files.py"
    "::test_several_kernels_in_one_variable",
    "brackets in names": "app/images/test_image_files.py"
    "::test_brackets_in_names_are_no_patterns",
    "an output that nobody reads": "app/test_terminal.py"
    "::test_a_terminal_that_is_gone_is_no_error",
    "too small": "app/test_cli.py::test_an_image_that_is_too_small",
    "functions of the user": "benchmark/test_systems.py"
    "::test_functions_get_only_the_keywords_that_they_take",
}  # fmt: skip
"""For each situation: the test with the right value."""


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_its_test(name):
    file, test = CASES[name].split("::")
    assert f"def {test}(" in (helpers.ROOT / "tests" / file).read_text()


HEIGHT, WIDTH = 120, 144  # of the LR images
HR = helpers.power_law(2 * HEIGHT, 2 * WIDTH, exponent=2.0, contrast=0.15)[..., None]
LR = np.asarray(downscale(HR.astype(np.float32), helpers.gaussian(2, size=11), 2))
GRAY = np.rint(255 * LR[..., 0]).clip(0, 255).astype(np.uint8)
DEEP = np.rint(65535 * LR[..., 0]).clip(0, 65535).astype(np.uint16)


QUALITIES = (90, 75)
"""Of JPEG."""


def _drawn(**parts):
    """The gray image with something on it, and where that is."""
    pixels, place = GRAY.copy(), np.zeros(GRAY.shape, bool)
    for value, where in parts.values():
        pixels[where], place[where] = value, True
    return pixels, place


def _letters():
    text = np.zeros(GRAY.shape, bool)
    rng = np.random.default_rng(0)
    text[60:70, 10:100] = np.kron(rng.random((5, 45)) < 0.4, np.ones((2, 2)))
    return text


def _corners():
    rows, columns = np.indices(GRAY.shape)
    return (rows + columns < 30) | (rows + columns > sum(GRAY.shape) - 30)


def _ring(wide):
    ring = np.ones(GRAY.shape, bool)
    ring[wide:-wide, wide:-wide] = False
    return ring


def _outlined():
    """Strokes of letters, and a dark outline around them."""
    strokes = np.zeros(GRAY.shape, bool)
    strokes[96:108, 12:132] = np.arange(120) % 8 < 2
    strokes[101:103, 12:132] |= np.arange(120) % 16 < 8
    return strokes, square_extremes.maximum(strokes, 3) & ~strokes


def _grid(every):
    rows, columns = np.indices(GRAY.shape)
    return (rows % every == every // 2) | (columns % every == every // 2)


DRAWN = {
    "white frame": _drawn(a=(255, _ring(6))),
    "black frame": _drawn(a=(0, _ring(4))),
    "bars": _drawn(a=(0, np.s_[:10]), b=(0, np.s_[-10:])),
    "subtitle": _drawn(a=(255, _letters())),
    "outlined": _drawn(a=(255, _outlined()[0]), b=(0, _outlined()[1])),
    "grid": _drawn(a=(235, _grid(36))),
    "logo": _drawn(a=(250, np.s_[8:20, 80:100]), b=(20, np.s_[11:17, 84:96])),
    "corners": _drawn(a=(0, _corners())),
    "hot": _drawn(a=(255, tuple(np.random.default_rng(1).integers(3, 70, (2, 40))))),
}


def _files(folder):
    """Writes all variants."""
    for name, (pixels, _) in DRAWN.items():
        helpers.write_image(folder / f"{name}.png", pixels)
    for name, colours in (("plain", [1]), ("rgb", [1, 1, 1]), ("magenta", [1, 0, 1])):
        stored = np.multiply.outer(GRAY, np.array(colours, np.uint8))
        helpers.write_image(folder / f"{name}.png", stored)
    alpha = np.where(_ring(16), 0, 255).astype(np.uint8)
    cut = np.where(alpha > 0, GRAY, 0)
    pillow.fromarray(np.dstack([cut, alpha]), "LA").save(folder / "cutout.png")
    helpers.write_image(folder / "black.png", np.zeros_like(GRAY))
    for quality in QUALITIES:
        pillow.fromarray(GRAY).save(folder / f"jpeg{quality}.jpg", quality=quality)
    whole = np.rint(65535 * LR[..., 0]).clip(0, 65535).astype(np.uint16)
    for top in (65535, 4095, 1023):
        part = np.rint(whole * (top / 65535)).astype(np.uint16)
        imagecodecs.imwrite(folder / f"range{top}.png", part)
    minwhite = {"photometric": "miniswhite"}
    tifffile.imwrite(folder / "white is zero.tif", 65535 - DEEP, **minwhite)
    kelvin = (250 + 60 * LR[..., 0]).astype(np.float32)
    tifffile.imwrite(folder / "float.tif", kelvin)
    bands = np.dstack([DEEP, DEEP // 2, DEEP // 3 + 9000, DEEP // 4])
    tifffile.imwrite(
        folder / "bands.tif", bands, photometric="minisblack", planarconfig="contig"
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of one run on all of them: reads the enlarged pixels of one."""
    folder = tmp_path_factory.mktemp("cases")
    _files(folder)
    out = tmp_path_factory.mktemp("out")
    flags = ["--sr=wiener", "--nofigures", "--quiet", f"--output_dir={out}"]
    assert cli.main([f"--image={folder}", *flags]) == 0

    def read(name):
        (file,) = (out / name).glob("sr_x2.*")
        return image_files.read(file)

    return read


def psnr(enlarged, inside=None):
    """Against the original, where it can be seen, in dB; of values in [0, 1]."""
    error = (enlarged - HR[..., 0]) ** 2
    inside = ~_ring(4) if inside is None else inside & ~_ring(4)
    return -10 * np.log10(error[inside.repeat(2, 0).repeat(2, 1)].mean())


def unit(image):
    return image.pixels[..., 0] / np.iinfo(image.pixels.dtype).max


def test_the_plain_picture(results):
    bicubic = pillow.fromarray(GRAY).resize((2 * WIDTH, 2 * HEIGHT), 3)
    assert psnr(unit(results("plain"))) > psnr(np.asarray(bicubic) / 255) + 1
    enlarged = unit(results("plain"))[..., None]
    assert np.abs(metrics.shift(enlarged, HR)).max() < 0.1


@pytest.mark.parametrize("name", [*DRAWN, "cutout"])
def test_the_rest_of_the_picture(results, name):
    """What lies on a picture costs the rest of it less than 0.1 dB."""
    away = ~_ring(16) if name == "cutout" else ~DRAWN[name][1]
    for _ in range(3):  # Blurred pixels at its border have no right value.
        away[1:] &= away[:-1].copy()
        away[:-1] &= away[1:].copy()
        away[:, 1:] &= away[:, :-1].copy()
        away[:, :-1] &= away[:, 1:].copy()
    expected = psnr(unit(results("plain")), away)
    assert psnr(unit(results(name)), away) > expected - 0.1


def test_a_cut_out_has_no_dark_rim(results):
    cut, plain = results("cutout"), results("plain")
    rim = np.ones(cut.alpha.shape, bool)
    rim[34:-34, 34:-34] = False
    rim &= cut.alpha > 128
    darker = plain.pixels[..., 0][rim].mean() - cut.pixels[..., 0][rim].mean()
    assert abs(darker) < 2


@pytest.mark.parametrize("name, colours", [("rgb", (1, 1, 1)), ("magenta", (1, 0, 1))])
def test_gray_stored_as_rgb_stays_gray(results, name, colours):
    """Also gray in one colour, as of a microscope: what is black stays black."""
    np.testing.assert_array_equal(
        results(name).pixels, results("plain").pixels * np.array(colours, np.uint8)
    )


@pytest.mark.parametrize("quality", QUALITIES)
def test_jpeg_is_not_made_worse(results, quality):
    with io.BytesIO() as file:
        pillow.fromarray(GRAY).save(file, "JPEG", quality=quality)
        bicubic = pillow.open(file).resize((2 * WIDTH, 2 * HEIGHT), 3)
    enlarged = unit(results(f"jpeg{quality}"))
    assert psnr(enlarged) > psnr(np.asarray(bicubic) / 255)


def test_a_logo_keeps_its_value(results):
    pixels = results("logo").pixels
    assert (pixels[26:30, 172:188] == 20).all()


def test_a_black_frame_comes_out(results):
    assert not results("black").pixels.any()


@pytest.mark.parametrize("top", [4095, 1023])
def test_part_of_the_range(results, top):
    whole, part = (results(f"range{n}").pixels[..., 0] / n for n in (65535, top))
    # Half a step of the file, and what its rounding changes.
    assert np.abs(part - whole).mean() < 1 / top
    assert psnr(part) > psnr(whole) - 0.05


def test_layouts_of_tiff(results):
    plain = psnr(unit(results("plain")))
    inverted = unit(results("white is zero"))
    assert psnr(inverted) > plain - 0.1
    assert psnr((results("float").pixels[..., 0] - 250) / 60) > plain - 0.1
    bands = results("bands").pixels.astype(float)
    for band, (factor, offset) in enumerate([(1, 0), (2, 0), (3, 9000), (4, 0)]):
        whole = factor * (bands[..., band] - offset) / 65535
        assert psnr(whole) > plain - 0.1
