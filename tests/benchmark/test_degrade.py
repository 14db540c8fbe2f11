"""Test sets: rebuilt bit for bit, true to their protocols and to the kernels beside."""

import json

import helpers
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, kernels, metrics
from kernelgan_jax.app import kernel_files
from kernelgan_jax.app.images import image_files
from kernelgan_jax.benchmark import (
    PROTOCOLS,
    kernel_draws,
    make_test_set,
    read_test_set,
)
from kernelgan_jax.benchmark.varying_blur import kernel_at
from kernelgan_jax.degradation import downscale
from kernelgan_jax.pixels import to_unit

FIXED = {"bicubic", "lanczos", "box", "nearest"}
LOBES = {"bicubic", "lanczos", "unsharp"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_rebuilds_bit_for_bit(images, tmp_path, protocol):
    """Also an image alone, and whatever the clock says."""
    hr = images(tmp_path / "in", "a", "b.c", size=(101, 126))
    options = dict(protocol=protocol, scales=[2, 4], seed=3, image_noise=5.0)
    made = make_test_set(hr, tmp_path / "one", **options)
    assert made.names == ["a", "b.c"] and not made.problems
    first = helpers.contents(tmp_path / "one")
    varies = protocol == "varying"
    truth = "gt_kernel_map_x{}/{}.npy" if varies else "gt_k_x{}/{}.mat"
    assert sorted(first) == sorted(
        ["degrade.json"]
        + [f"hr/{n}.png" for n in made.names]
        + [f"lr_x{s}/{n}.png" for n in made.names for s in (2, 4)]
        + [truth.format(s, n) for n in made.names for s in (2, 4)]
    )
    make_test_set(hr[::-1], tmp_path / "two", **options)
    assert helpers.contents(tmp_path / "two") == first
    make_test_set(hr[1:], tmp_path / "three", **options)
    alone = helpers.contents(tmp_path / "three")
    assert alone == {name: first[name] for name in alone}
    make_test_set(hr, tmp_path / "four", **(options | {"seed": 4}))
    other = helpers.contents(tmp_path / "four")
    same = ("hr", "gt_k") if protocol in FIXED else ("hr",)
    assert all(other[n] != first[n] for n in first if not n.startswith(same))
    with pytest.raises(ValueError, match="other settings: seed"):
        make_test_set(hr, tmp_path / "one", **(options | {"seed": 4}))
    assert helpers.contents(tmp_path / "one") == first


def test_no_date_in_kernel_files(tmp_path):
    path = tmp_path / "k.mat"
    kernel_files.write_mat(path, np.eye(3))
    np.testing.assert_array_equal(kernel_files.read(path), np.eye(3))
    assert path.read_bytes()[:116].strip() == b"MATLAB 5.0 MAT-file"


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "protocol", [p for p in PROTOCOLS if p not in ("div2krk_composed", "varying")]
)
def test_lr_images_are_what_the_kernels_make(images, tmp_path, protocol, scale):
    """By the formula at the top of kernels.py, pixel by pixel."""
    hr = images(tmp_path / "in", "a", size=(101, 126))
    make_test_set(hr, tmp_path / "set", protocol=protocol, scales=[scale])
    (case,) = read_test_set(tmp_path / "set", scale).cases
    image, lr, kernel = to_unit(case.hr()), case.lr(), case.kernel()
    assert image.shape[0] % scale == image.shape[1] % scale == 0
    assert lr.shape[:2] == (image.shape[0] // scale, image.shape[1] // scale)
    assert kernel.min() >= 0 or protocol in LOBES
    np.testing.assert_allclose(
        kernels.centre_of_mass(kernel),
        kernels.alignment(kernel.shape, scale),
        atol=0.05,
    )
    rng = np.random.default_rng(0)
    for i, j in rng.integers((0, 0), lr.shape[:2], (20, 2)):
        value = pixel(image, kernel, i, j, scale)
        assert np.abs(255 * value - lr[i, j]).max() <= 0.501


def pixel(image, kernel, i, j, scale):
    """A pixel of the LR image, in [0, 1]."""
    h, w = kernel.shape
    u, v = np.indices(kernel.shape)
    rows = mirrored(scale * i + u - h // 2, image.shape[0])
    columns = mirrored(scale * j + v - w // 2, image.shape[1])
    return (kernel[..., None] * image[rows, columns]).sum((0, 1)).clip(0, 1)


def mirrored(index, size):
    index = index % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)


def drawn(protocol, scale, count=200, noise=None):
    rng = np.random.default_rng(0)
    return [PROTOCOLS[protocol].draw(rng, scale, noise) for _ in range(count)]


def test_div2krk_kernels():
    """11 x 11 and 31 x 31; variances U(0.6, 5) at x2, but for the noise and sides."""
    found = drawn("div2krk", 2)
    assert {k.shape for k in found} == {(11, 11)}
    assert {k.shape for k in drawn("div2krk", 4, 3)} == {(31, 31)}
    exact = np.array(
        [helpers.variances(k) for k in drawn("div2krk", 2, 400, noise=0.0)]
    )
    assert 0.55 < exact.min() < 0.75 and 4 < exact.max() < 5
    own = tuple(helpers.variances(found[0]))
    rough = found[0] / blur_kernels.gaussian(11, variances=own, scale=2)
    assert not np.allclose(rough, rough.mean(), rtol=0.1)
    wide = np.array([helpers.variances(k) for k in drawn("div2krk", 4, 100, noise=0.0)])
    assert 2.3 < wide.min() and 12 < wide.max() < 20


def test_composed_kernels_are_two_downscalings(images, tmp_path):
    """Once by 4 is twice by 2 (paper, section 4.2), away from the borders."""
    hr = images(tmp_path / "in", "a", size=(160, 160))
    make_test_set(hr, tmp_path / "set", protocol="div2krk_composed", scales=[2, 4])
    (small,) = read_test_set(tmp_path / "set", 2).cases
    (smaller,) = read_test_set(tmp_path / "set", 4).cases
    k2, k4 = small.kernel(), smaller.kernel()
    image = np.random.default_rng(0).random((160, 160))
    twice = downscale(downscale(image, k2, 2), k2, 2)
    inside = np.s_[6:-6, 6:-6]
    once = downscale(image, k4, 4)
    np.testing.assert_allclose(once[inside], twice[inside], atol=1e-5)
    # The paper cuts the margin off.
    assert metrics.kernel_psnr(kernels.kernel_x4(k2), k4, scale=4) > 70


def test_liang_kernels():
    for scale in (2, 3, 4):
        found = drawn("liang", scale, 300)
        assert {k.shape for k in found} == {(4 * scale + 3,) * 2}
        spread = np.array([helpers.variances(k) for k in found])
        assert 0.17 * scale < spread.min() < 0.25 * scale
        assert 1.8 * scale < spread.max() < 2.5 * scale
    clean, noisy = drawn("liang", 2, 1)[0], drawn("liang", 2, 1, noise=0.4)[0]
    large = clean > 0.1 * clean.max()
    ratio = noisy[large] / clean[large]
    assert 1.5 < ratio.max() / ratio.min() < 2.7  # 1.4 / 0.6, and a small shift


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("protocol", ["narrow", "shake", *sorted(LOBES | FIXED)])
def test_kernels_are_aligned_and_have_lobes_where_they_should(protocol, scale):
    lobes = protocol in LOBES
    found = drawn(protocol, scale, 9)
    for kernel in found:
        assert kernel.sum() == pytest.approx(1)
        middle = kernels.alignment(kernel.shape, scale)
        np.testing.assert_allclose(kernels.centre_of_mass(kernel), middle, atol=0.02)
        assert (kernel.min() < 0) == lobes
    deepest = np.median([kernel.min() / kernel.max() for kernel in found])
    assert (deepest < -0.01) == lobes


def test_narrow_kernels():
    spread = np.array([helpers.variances(k) for k in drawn("narrow", 2, 200)])
    assert 0.3 < spread.min() < 0.45 and 0.9 < spread.max() < 1.1


def test_paths_are_curved_and_stay_inside():
    for scale in (2, 4):
        found = drawn("shake", scale, 20)
        for kernel in found:
            edge = kernel.copy()
            edge[1:-1, 1:-1] = 0
            assert edge.max() < 1e-5
        # A kernel that is no path through its middle is not its own mirror image.
        skew = [np.abs(k - k[::-1, ::-1]).sum() for k in found]
        assert np.median(skew) > 0.3


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_blur_that_varies(images, tmp_path, scale):
    """Each LR pixel has the kernel of its place, mixed of those around it."""
    hr = images(tmp_path / "in", "a", size=(101, 126))
    make_test_set(hr, tmp_path / "set", protocol="varying", scales=[scale])
    image = to_unit(image_files.read_pixels(tmp_path / "set/hr/a.png"))
    lr = image_files.read_pixels(tmp_path / f"set/lr_x{scale}/a.png")
    kernel_map = np.load(tmp_path / f"set/gt_kernel_map_x{scale}/a.npy")
    assert kernel_map.shape == (5, 5, 8 * scale + 1, 8 * scale + 1)
    np.testing.assert_array_equal(kernel_at(kernel_map, 0.3, 0.9), kernel_map[1, 4])
    places = np.random.default_rng(0).integers((0, 0), lr.shape[:2], (20, 2))
    for i, j in (*places, (0, 0), (-1 + len(lr), 0)):
        place = (np.array([i, j]) + 0.5) / lr.shape[:2]
        value = pixel(image, kernel_at(kernel_map, *place), i, j, scale)
        assert np.abs(255 * value - lr[i, j]).max() <= 0.501


def test_kernels_of_a_map():
    for kernel_map in drawn("varying", 2, 20):
        found = kernel_map.reshape(25, 17, 17)
        widths = np.sqrt([helpers.variances(kernel) for kernel in found])
        assert 0.69 < widths.min() < 1.3 and 1.2 < widths.max() < 2.4
        assert widths.max() > 1.25 * widths.min()
        for kernel in found:
            assert kernel.sum() == pytest.approx(1)
            np.testing.assert_allclose(kernels.centre_of_mass(kernel), 8.5, atol=0.02)


def test_image_noise(images, tmp_path):
    hr = images(tmp_path / "in", "a", size=(101, 126))
    lrs = []
    for noise in (0.0, 10.0):
        make_test_set(hr, tmp_path / f"{noise}", scales=[2], image_noise=noise)
        (case,) = read_test_set(tmp_path / f"{noise}", 2).cases
        lrs.append(case.lr().astype(float))
    inside = (lrs[0] > 40) & (lrs[0] < 215)
    assert 9 < (lrs[1] - lrs[0])[inside].std() < 11


def test_images_that_cannot_be_used(images, tmp_path):
    """Each is named, and the others are made."""
    hr = images(tmp_path / "in", "a", "b", size=(101, 126))
    (tmp_path / "in/broken.png").write_bytes(b"no image")
    tiny = images(tmp_path / "in", "tiny", size=(20, 20))
    again = images(tmp_path / "more", "b")
    missing = tmp_path / "in/missing.png"
    made = make_test_set(
        [*hr, tmp_path / "in/broken.png", *tiny, *again, missing], tmp_path / "set"
    )
    assert made.names == ["a", "b"]
    assert [words in problem for words, problem in zip(
        ("broken.png", "tiny.png", "another image named b", "missing.png"),
        made.problems, strict=True,
    )] == [True] * 4  # fmt: skip
    assert [case.name for case in read_test_set(tmp_path / "set", 4).cases] == [
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "other"}, "protocol is 'other'"),
        ({"scales": []}, "scales is empty"),
        ({"scales": [0]}, "scales is 0; it must be a positive"),
        ({"scales": [2.0]}, "scales is 2.0"),
        ({"seed": -1}, "seed is -1"),
        ({"kernel_noise": 1.5}, "kernel_noise is 1.5"),
        ({"image_noise": -1.0}, "image_noise is -1.0"),
        (
            {"protocol": "div2krk_composed", "scales": [3]},
            "^scales has 3, .* no kernel: kernels are composed for the scales 2 and 4$",
        ),
        ({"scales": [300]}, "scales has 300, for which the protocol div2krk has no"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make_test_set([], tmp_path / "set", **options)
    assert not (tmp_path / "set").exists()


def test_an_error_that_is_not_about_the_scale_stays_as_it_is(tmp_path, monkeypatch):
    def draw(rng, scale, noise):
        raise ValueError("noise is odd")

    monkeypatch.setitem(kernel_draws.DRAWS, "disk", draw)
    with pytest.raises(ValueError, match="^noise is odd$"):
        make_test_set([], tmp_path / "set", protocol="disk", scales=[3])


def test_a_set_is_recorded_with_its_first_image(images, tmp_path):
    """So that a mistyped name does not bind the folder to its settings."""
    folder = tmp_path / "set"
    assert make_test_set([tmp_path / "typo.png"], folder, scales=[2]).problems
    assert not folder.exists()
    hr = images(tmp_path / "in", "a", size=(24, 24))
    assert make_test_set(hr, folder, scales=[3]).names == ["a"]
    for record in (b"[]", b'{"protocol": "div', b"\xff"):
        (folder / "degrade.json").write_bytes(record)
        with pytest.raises(ValueError, match="degrade.json: does not say how a set"):
            make_test_set(hr, folder, scales=[3])


def test_a_set_that_says_nothing_of_a_camera_was_made_without_one(images, tmp_path):
    """As all that are older than this setting."""
    hr = images(tmp_path / "in", "a", size=(24, 24))
    options = {"folder": tmp_path / "set", "scales": [3]}
    make_test_set(hr, **options)
    record = tmp_path / "set/degrade.json"
    older = json.loads(record.read_text())
    del older["camera"]
    record.write_text(json.dumps(older))
    assert make_test_set(hr, **options).names == ["a"]
    record.write_text(json.dumps(older))
    with pytest.raises(ValueError, match="other settings: camera"):
        make_test_set(hr, camera=True, **options)


def test_jpeg(tmp_path):
    """LR images are what JPEG leaves of them; HR images and kernels stay."""
    hr = tmp_path / "in" / "a.png"
    hr.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image_files.write_png(hr, image_files.Image(pixels))
    made = {}
    for quality in (None, 75, 30):
        folder = tmp_path / f"{quality}"
        make_test_set([hr], folder, scales=(2,), jpeg_quality=quality)
        made[quality] = image_files.read(folder / "lr_x2" / "a.png").pixels.astype(int)
        np.testing.assert_array_equal(
            image_files.read(folder / "hr" / "a.png").pixels, pixels
        )
    errors = [np.abs(made[q] - made[None]).mean() for q in (75, 30)]
    assert 0.5 < errors[0] < errors[1]
    with pytest.raises(ValueError, match="other settings: scales, jpeg_quality"):
        make_test_set([hr], tmp_path / "75", scales=(3,), jpeg_quality=74)
    with pytest.raises(ValueError, match="jpeg_quality is 0"):
        make_test_set([hr], tmp_path / "0", jpeg_quality=0)


def test_jpeg_needs_8_bits(tmp_path):
    hr = tmp_path / "a.png"
    image_files.write_png(hr, image_files.Image(np.zeros((64, 64, 1), np.uint16)))
    made = make_test_set([hr], tmp_path / "out", scales=(2,), jpeg_quality=90)
    assert made.names == [] and "JPEG has 8 bits" in made.problems[0]
