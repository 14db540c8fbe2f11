"""The Wiener filter: it inverts what it should, in place, with calm edges."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernelgan_jax import kernels, metrics
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import Spectrum
from kernelgan_jax.power_spectra import fitted_spectrum, natural_spectrum
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import closed_form, periodic, plan
from kernelgan_jax.super_resolution.wiener import wiener_filter

pytestmark = pytest.mark.quick_compilation


def picture(side: int = 96, channels: int = 3) -> np.ndarray:
    """Smooth random structure, `side x side x channels` in [0, 1]."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side] / side
    image = np.zeros((side, side, channels))
    for _ in range(12):
        waves = rng.normal(0, 6, (2, channels))
        image += np.cos(2 * np.pi * (rows[..., None] * waves[0] + columns[..., None]
                                     * waves[1] + rng.random(channels)))  # fmt: skip
    image += 3 * (np.hypot(rows - 0.5, columns - 0.4) < 0.25)[..., None]
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def gaussian(scale: int, width: float = 0.6, side: int | None = None) -> np.ndarray:
    """An aligned round Gaussian, its width in LR pixels."""
    side = side or 6 * scale + 3
    place = np.arange(side) - kernels.alignment((side, side), scale)[0]
    line = np.exp(-(place**2) / 2 / (width * scale) ** 2)
    return (np.outer(line, line) / line.sum() ** 2).astype(np.float32)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_better_than_bicubic_and_in_place(scale: int, channels: int) -> None:
    hr = picture(channels=channels)
    lr = downscale(hr, gaussian(scale), scale)
    result = np.asarray(wiener_filter(lr, gaussian(scale), scale=scale))
    assert result.shape == hr.shape
    better = metrics.psnr_y(np.clip(result, 0, 1), hr, scale=scale)
    bicubic = bicubic_resize(lr, scale)
    assert better > metrics.psnr_y(np.clip(bicubic, 0, 1), hr, scale=scale) + 1
    assert np.abs(metrics.shift(result, hr)).max() < 0.1


def test_odd_sizes_and_even_kernels() -> None:
    lr = picture()[:37, :50]
    kernel = gaussian(2, side=12)
    assert wiener_filter(lr, kernel, scale=2).shape == (74, 100, 3)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_flat_areas_keep_their_value_and_gray_stays_gray(scale: int) -> None:
    flat = np.full((40, 33, 3), 0.37, np.float32)
    result = wiener_filter(flat, gaussian(scale), scale=scale, kernel_std=0.2)
    np.testing.assert_allclose(result, 0.37, atol=1e-3)
    gray = np.repeat(picture(64, 1), 3, -1)
    result = np.asarray(wiener_filter(gray, gaussian(scale), scale=scale))
    np.testing.assert_array_equal(result, result[..., :1].repeat(3, -1))


def test_edges_are_calm() -> None:
    # A slope does not wrap: without the gap its ends would ring.
    slope = np.linspace(0, 1, 64, dtype=np.float32)[:, None, None]
    lr = np.broadcast_to(slope, (64, 64, 1))
    result = np.asarray(wiener_filter(lr, gaussian(2), scale=2))
    wanted = bicubic_resize(lr, 2)
    assert np.abs(result - wanted).max() < 0.05


def test_uncertain_kernels_give_smoother_results() -> None:
    lr = picture()[:48, :48]
    sharp, soft = (
        wiener_filter(lr, gaussian(2), scale=2, kernel_std=std) for std in (0.0, 0.3)
    )
    assert (
        jnp.abs(jnp.diff(soft, axis=0)).mean() < jnp.abs(jnp.diff(sharp, axis=0)).mean()
    )


def test_spread_is_the_change_with_width() -> None:
    width, change = 0.6, 0.002
    wider, narrower = (
        periodic.blur(jnp.asarray(gaussian(2, width * f)), (64, 64), scale=2).transfer
        for f in (1 + change, 1 - change)
    )
    wanted = jnp.abs((wider - narrower) / (2 * change)) ** 2
    found = periodic.blur(jnp.asarray(gaussian(2, width)), (64, 64), scale=2).spread
    np.testing.assert_allclose(found, wanted, atol=0.02 * float(wanted.max()))


def test_wrapped_images_continue() -> None:
    image = jnp.asarray(picture(48))
    length = periodic.wrapped_size(48, scale=2)
    wrapped = periodic.wrap(image, (length, length))
    np.testing.assert_array_equal(wrapped[:48, :48], image)
    steps = np.abs(np.diff(np.concatenate([wrapped, wrapped[:1]]), axis=0)).max((1, 2))
    assert steps[47:].max() < 2 * steps[:47].max()
    assert all(periodic.wrapped_size(n, scale=2, multiple=2) % 2 == 0 for n in (33, 34))


def test_several_filters_take_little_more_memory_than_one() -> None:
    def scratch(count: int) -> int:
        def run(image: jax.Array, blurred: periodic.Blur) -> jax.Array:
            signals, numbers = jnp.ones((1, 64, 64)), jnp.ones(count)
            return periodic.invert(image, blurred, signals, numbers, numbers, 2)

        blurred = periodic.Blur(jnp.ones((64, 64), jnp.complex64), jnp.ones((64, 64)))
        compiled = jax.jit(run).lower(jnp.ones((32, 32, 3)), blurred).compile()
        return int(compiled.memory_analysis().temp_size_in_bytes)

    # If all are transformed at once, it is three times as much.
    assert scratch(3) < 2 * scratch(1)


def test_downscaling_agrees_inside() -> None:
    hr = jnp.asarray(picture(64))
    kernel = gaussian(2, side=13)
    blurred = periodic.blur(jnp.asarray(kernel), (64, 64), scale=2)
    found = periodic.downscale(hr, blurred, 2)
    wanted = downscale(hr, kernel, 2, boundary="wrap")
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_fitted_spectrum_of_a_power_law() -> None:
    spectrum = SimpleNamespace(
        log_amplitude=np.log(100.0), exponent=2.0, direction=np.zeros(4)
    )
    found = fitted_spectrum(spectrum, (64, 64), scale=2)
    # One quarter of a cycle per HR pixel is half a cycle per LR pixel.
    np.testing.assert_allclose(found[16, 0] * 255**2, 400.0, rtol=1e-4)
    assert natural_spectrum((8, 12)).shape == (8, 12)


def test_no_product_is_rounded_to_fewer_bits_on_gpus() -> None:
    zero = np.float32(0)
    known = closed_form.Known(zero, zero, Spectrum(zero, zero, np.zeros(4), zero))
    compiled = closed_form.compiled(2, False)
    program = compiled.trace(picture(8), gaussian(2), known).jaxpr
    assert str(program).count("dot_general[") == 3  # luma; the spectrum, twice
    assert str(program).count("Precision.HIGHEST") == 6


def test_it_repeats_bit_for_bit_in_every_thread() -> None:
    image = picture(250)[:200]

    def result(_: int) -> bytes:
        found = closed_form.restore(image, gaussian(2), scale=2)
        return np.asarray(found).tobytes()

    with ThreadPoolExecutor(2) as pool:
        assert len({*map(result, range(50)), *pool.map(result, range(50))}) == 1


def test_noise_alone_keeps_its_mean() -> None:
    """Also if the fit says that there is no picture in it."""
    image = np.random.default_rng(0).random((48, 40, 1), np.float32)
    spectrum = SimpleNamespace(
        log_amplitude=-20.0, exponent=2.0, direction=np.zeros(4), log_noise=8.0
    )
    result = wiener_filter(
        image, gaussian(2), scale=2, noise_std=0.3, spectrum=spectrum
    )
    np.testing.assert_allclose(result, image.mean(), atol=0.02)


def test_gradients_are_finite_and_vmap_equals_a_loop() -> None:
    images = jnp.asarray(np.stack([picture(32), picture(32)[::-1]]))
    kernels_ = jnp.asarray(np.stack([gaussian(2), gaussian(2, 0.4)]))

    def enlarge(image: jax.Array, kernel: jax.Array) -> jax.Array:
        return wiener_filter(image, kernel, scale=2, noise_std=0.01, kernel_std=0.1)

    together = jax.vmap(enlarge)(images, kernels_)
    for i in range(2):
        alone = enlarge(images[i], kernels_[i])
        np.testing.assert_allclose(together[i], alone, atol=1e-5)
    slopes = jax.grad(lambda *x: (enlarge(*x) ** 2).mean(), (0, 1))(
        images[0], kernels_[0]
    )
    assert all(np.isfinite(x).all() for x in slopes)
    flat = jnp.full((32, 32, 3), 0.5)
    assert np.isfinite(jax.grad(lambda x: enlarge(x, kernels_[0]).sum())(flat)).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scale": 0}, "scale is 0; it must be a positive integer"),
        ({"image": np.zeros((8, 8))}, "image has 2 axes; it must have 3"),
        ({"image": np.zeros((8, 8, 2))}, "image has 2 channels; it must have 1 or 3"),
        ({"image": np.zeros((8, 8, 3), int)}, "image holds int.*floating point"),
        ({"kernel": np.zeros((17, 3))}, r"kernel is \(17, 3\).*no larger.*\(16, 16\)"),
        ({"kernel": np.full((3, 3), np.nan)}, "kernel has values that are not finite"),
        ({"kernel": np.ones((1, 3))}, "kernel sums to 3; it must be 1"),
        ({"noise_std": -1}, "noise_std is -1; it must be a finite number, at least 0"),
        ({"kernel_std": np.nan}, "kernel_std is nan; it must be a finite number"),
    ],
)
def test_bad_arguments(change: dict, message: str) -> None:
    arguments = {
        "image": np.zeros((8, 8, 3)),
        "kernel": np.ones((3, 3)) / 9,
        "scale": 2,
    }
    arguments |= change
    with pytest.raises(ValueError, match=message):
        wiener_filter(arguments.pop("image"), arguments.pop("kernel"), **arguments)


def test_tiles_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(170)
    planned = plan(gaussian(2), scale=2, method="wiener")

    def enlarge() -> np.ndarray:
        return closed_form.enlarge([jax.random.key(0)], [image], [planned])[0]

    whole = enlarge()
    monkeypatch.setattr(closed_form, "TILE", 128)
    assert np.abs(enlarge() - whole).max() < 1 / 255


def test_no_type_is_promoted_by_itself() -> None:
    """As callers want it who have set JAX's promotion of types to strict."""
    image = jnp.asarray(picture(16), jnp.bfloat16)
    with jax.numpy_dtype_promotion("strict"):
        result = wiener_filter(image, jnp.asarray(gaussian(2)), scale=2, noise_std=0.1)
    assert result.dtype == jnp.bfloat16
