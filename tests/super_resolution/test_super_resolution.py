"""Super-resolution: methods, tiles, alignment, the training's parts, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from kernelgan_jax.config import Config, SRConfig
from kernelgan_jax.degradation import downscale
from kernelgan_jax.estimate import KernelEstimate
from kernelgan_jax.resize import bicubic_resize
from kernelgan_jax.super_resolution import Jump, METHODS, UNCERTAIN, adapt_to_noise, check_size, plan, super_resolve
from kernelgan_jax.super_resolution.tiles import apply_tiled
from kernelgan_jax.super_resolution.zssr.algorithm import stalled, zero_shot
from kernelgan_jax.super_resolution.zssr.linear_filter import fit_linear, linear_enlargement
from kernelgan_jax.super_resolution.zssr.network import Architecture, Conv3x3, pixel_shuffle
from kernelgan_jax.super_resolution.zssr.pairs import blur, make_father
from kernelgan_jax import blur_kernels
from kernelgan_jax import kernels
from kernelgan_jax.super_resolution.zssr import method

TINY = {"iterations": 20, "layers": 3, "channels": 4, "crop": 32}
KEY = jax.random.key(0)


def smooth(height, width, channels=3, seed=0):
    noise = np.random.default_rng(seed).random((height, width, channels))
    image = scipy.ndimage.gaussian_filter(noise, (1.5, 1.5, 0))
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def aligned(scale, size=9):
    return blur_kernels.gaussian(size, variances=(2.0, 1.0), angle=0.5, scale=scale)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kernel_size", [9, 10])
def test_the_result_lies_on_the_hr_image(method, scale, kernel_size):
    hr = scipy.ndimage.gaussian_filter(smooth(192, 168), (2, 2, 0))
    kernel = kernels.centre(aligned(scale, kernel_size), scale)
    lr = np.clip(downscale(hr, kernel, scale), 0, 1)
    config = SRConfig(method=method, **TINY)
    sr = super_resolve(KEY, lr, (Jump(scale, kernel),), config=config)
    assert sr.shape == hr.shape and sr.dtype == np.float32
    inside = (slice(16, -16),) * 2
    a, b = (scipy.ndimage.gaussian_filter(x.mean(-1), 2)[inside] for x in (sr, hr))
    gradients = np.stack([g.ravel() for g in np.gradient(a)])
    shift = np.linalg.solve(gradients @ gradients.T, gradients @ (a - b).ravel())
    assert np.abs(shift).max() < 0.1


def test_the_linear_filter_alone_beats_bicubic_by_far():
    hr = smooth(192, 192)
    kernel = aligned(2)
    lr = np.clip(downscale(hr, kernel, 2), 0, 1)
    blurred = blur(np.random.default_rng(0), lr, kernel, 0.0)
    linear = fit_linear([(lr, blurred)], 2, 0.5 / 255)
    errors = [
        np.mean((linear_enlargement(lr, f, 2) - hr)[8:-8, 8:-8] ** 2)
        for f in (None, linear)
    ]
    assert errors[1] < 0.5 * errors[0]


def test_the_linear_filter_is_held_back_where_patches_are_few():
    """Else what is there by chance is learned, and does harm elsewhere."""
    kernel = blur_kernels.gaussian(33, variances=(10.0, 10.0), scale=4)

    def pair(side, seed, scale, kernel):
        image = smooth(side, side, 1, seed)
        return image, blur(np.random.default_rng(0), image, kernel, 0.0)

    def filters(pairs, scale):
        found = fit_linear(pairs, scale, 0.5 / 255)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(method, "HELD_BACK", (1.0,))
            return found, fit_linear(pairs, scale, 0.5 / 255)

    target, blurred = pair(80, 1, 4, kernel)
    son = blurred[::4, ::4]
    held_back, free = (
        np.square(linear_enlargement(son, linear, 4) - target).mean()
        for linear in filters([pair(64, 0, 4, kernel)], 4)
    )
    assert held_back < 0.7 * free
    # Where they are many the filter is that of the least ridge.
    np.testing.assert_array_equal(*filters([pair(192, 0, 2, aligned(2))], 2))


def test_a_known_kernel_beats_the_bicubic_one():
    hr = smooth(192, 192)
    lr = np.clip(downscale(hr, aligned(2), 2), 0, 1)
    config = SRConfig(**TINY | {"iterations": 100})
    right, wrong = (
        np.mean((super_resolve(KEY, lr, (Jump(2, k),), config=config) - hr) ** 2)
        for k in (aligned(2), blur_kernels.bicubic(2))
    )
    assert right < 0.8 * wrong


@pytest.mark.parametrize("method", ["zssr", "zssr_fast"])
def test_tiles_leave_no_seam(method):
    image = smooth(150, 131)
    results = [
        super_resolve(
            KEY, image, (Jump(2, aligned(2)),),
            config=SRConfig(method=method, tile=tile, **TINY),
        )
        for tile in (96, 512)
    ]  # fmt: skip
    np.testing.assert_allclose(*results, atol=1e-5)


@pytest.mark.parametrize("size", [(10, 50), (33, 40), (64, 65)])
def test_tiles_of_an_operator_that_looks_exactly_as_far_as_the_margin(size):
    def operator(x):
        mean = scipy.ndimage.uniform_filter(x, (9, 9, 1), mode="reflect")
        return mean.repeat(2, 0).repeat(2, 1)

    image = np.random.default_rng(0).random((*size, 2)).astype(np.float32)
    tiled = apply_tiled(operator, image, scale=2, margin=4, tile=20)
    np.testing.assert_allclose(tiled, operator(image), atol=1e-6)
    with pytest.raises(ValueError, match="more than 8"):
        apply_tiled(operator, image, scale=2, margin=4, tile=8)


def test_both_forms_of_the_convolution_agree():
    x = jax.random.normal(KEY, (3, 11, 14))
    params = Conv3x3(5).init(KEY, x)
    np.testing.assert_allclose(
        Conv3x3(5).apply(params, x), Conv3x3(5, True).apply(params, x), atol=1e-5
    )


def test_pixel_shuffle():
    x = jnp.arange(2 * 4 * 2 * 3).reshape(8, 2, 3)
    shuffled = pixel_shuffle(x, 2)
    assert shuffled.shape == (2, 4, 6)
    for c, i, j in np.ndindex(2, 4, 6):
        channel = 4 * c + 2 * (i % 2) + j % 2
        assert shuffled[c, i, j] == x[channel, i // 2, j // 2]


@pytest.mark.parametrize("scale", [2, 4])
def test_sons_in_the_loop_are_the_downscaled_crops(scale):
    image, kernel = smooth(60, 70), aligned(scale).astype(np.float32)
    blurred = blur(np.random.default_rng(0), image, kernel, 0.0)
    father = make_father(image, blurred, None, scale)
    for top, left in ((0, 0), (3, 5), (9, 2)):
        crop = image[top:, left:]
        son = downscale(crop, kernel, scale)[4:8, 4:8]
        found = father.blurred[:, top::scale, left::scale][:, 4:8, 4:8]
        np.testing.assert_allclose(found.transpose(1, 2, 0), son, atol=1e-5)
        base = father.base[(top % scale) * scale + left % scale]
        base = base[:, top : top + 32, left : left + 32].transpose(1, 2, 0)
        enlarged = bicubic_resize(blurred[top::scale, left::scale], scale)
        np.testing.assert_allclose(
            base[16:24, 16:24], enlarged[16:24, 16:24], atol=1e-5
        )


def test_stalled_agrees_with_a_line_fit():
    rng = np.random.default_rng(0)
    verdicts = []
    for slope in (0.0, -1e-4, -1e-3):
        for _ in range(10):
            errors = 1 + slope * 50 * np.arange(20) + 0.02 * rng.standard_normal(20)
            x, y = 50 * np.arange(15, 20), errors[15:]
            (m, _), covariance = np.polyfit(x, y, 1, cov=True)
            expected = -1.5 * m < covariance[0, 0] ** 0.5
            assert bool(stalled(jnp.float32(errors), jnp.int32(960))) == expected
            verdicts.append(expected)
    assert 0 < sum(verdicts) < len(verdicts)


def algorithm(**settings):
    config = SRConfig(**TINY | settings)
    complete = config.complete(layers=3, channels=4, iterations=20, schedule="plateau")
    return zero_shot(Architecture(True, 2, 3, 4, 3), complete, crop=32)


def father(seed=0):
    image = smooth(64, 64, seed=seed)
    blurred = blur(np.random.default_rng(0), image, aligned(2), 0.0)
    return make_father(image, blurred, None, 2)


def test_the_policy_drops_the_rate_and_ends_the_training():
    alg = algorithm(iterations=3000)
    state = alg.init(KEY)._replace(step=jnp.int32(900), errors=jnp.ones(61))
    # Errors that rise: as the error of now is measured, it is far off 1.
    dropped = alg.policy(state._replace(errors=jnp.linspace(0, 1e-9, 61)), (father(),))
    assert float(dropped.learning_rate) == pytest.approx(1e-4)
    assert int(dropped.dropped) == 900
    again = alg.policy(dropped._replace(step=jnp.int32(960)), (father(),))
    assert float(again.learning_rate) == pytest.approx(1e-4)  # 256 steps apart
    assert alg.running(state)
    assert not alg.running(state._replace(learning_rate=jnp.float32(1e-6)))
    assert not alg.running(state._replace(step=jnp.int32(3000)))


def test_images_and_restarts_in_one_batch():
    alg = algorithm()
    fathers = [father(0), father(1)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *fathers)
    keys = jax.random.split(KEY, 2)
    states = jax.vmap(alg.init)(keys)
    batched = jax.jit(jax.vmap(lambda k, s, f: alg.step(k, s, (f,))))
    together = batched(keys, states, stacked)
    for i in range(2):
        alone = alg.step(keys[i], alg.init(keys[i]), (fathers[i],))
        for a, b in zip(
            jax.tree.leaves(alone),
            jax.tree.leaves(jax.tree.map(lambda x, i=i: x[i], together)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_training_stays_in_float32_where_jax_is_in_float64():
    tiny = algorithm()
    with jax.enable_x64(True):
        state = jax.eval_shape(tiny.init, KEY)
        fathers = (father(), father(1))
        after = jax.eval_shape(
            tiny.policy, jax.eval_shape(tiny.step, KEY, state, fathers), fathers
        )
    for found in (state, after):
        assert np.dtype(np.float64) not in {
            leaf.dtype for leaf in jax.tree.leaves(found)
        }
    assert jax.tree.structure(state) == jax.tree.structure(after)


def test_the_same_key_gives_the_same_bits_and_another_key_others():
    image, config = smooth(64, 64), SRConfig(**TINY)
    results = [
        super_resolve(jax.random.key(s), image, (Jump(2, aligned(2)),), config=config)
        for s in (0, 0, 1)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert np.any(results[0] != results[2])


def test_gradual_and_gray_and_small():
    kernel = kernels.centre(aligned(2), 2)
    jumps = (Jump(2, kernel), Jump(4, kernels.kernel_x4(kernel)))
    config = SRConfig(noise_scale=1.0, **TINY)
    assert super_resolve(KEY, smooth(36, 40, 1), jumps, config=config).shape == (
        144, 160, 1,
    )  # fmt: skip


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("size", [(9, 9), (8, 8), (5, 4)])
def test_downscale_of_jax_equals_that_of_scipy(scale, size):
    image = smooth(31, 28)
    kernel = np.random.default_rng(1).random(size)
    expected = downscale(image, kernel, scale)
    found = downscale(jnp.asarray(image), kernel, scale)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_bicubic_kernel_is_that_of_imresize():
    image = smooth(48, 40).astype(np.float64)
    for scale in (2, 4):
        kernel = blur_kernels.bicubic(scale)
        assert kernel.shape == (4 * scale,) * 2
        kernel = kernels.centre(kernel, scale)
        small = downscale(image, kernel, scale)
        expected = bicubic_resize(image, 1 / scale)
        np.testing.assert_allclose(small[4:-4, 4:-4], expected[4:-4, 4:-4], atol=1e-6)


BAD = {
    "empty": (np.ones((0, 3)), "not empty"),
    "flat": (np.ones(9), "height x width"),
    "nan": (np.full((3, 3), np.nan), "not finite"),
    "zero": (np.zeros((3, 3)), "sums to 0"),
    "negative": (-np.ones((3, 3)), "must be positive"),
    "large": (np.ones((65, 3)), "larger than the image"),
    "x4": (aligned(4, 13), "aligned for scale 4, not 2"),
    "text": (np.array([["a"]]), "not real numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_kernels(name):
    kernel, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        super_resolve(KEY, smooth(64, 64), (Jump(2, kernel),))


def test_kernels_that_are_legal():
    for kernel in (aligned(2), np.ones((1, 1)), blur_kernels.bicubic(2), np.ones((4, 4))):
        kernels.check(kernel, scale=2, image_shape=(64, 64))


def test_images_that_are_too_large_or_too_small():
    with pytest.raises(ValueError, match=r"GiB are free"):
        check_size((10**7, 10**7), 2, SRConfig())
    with pytest.raises(ValueError, match="needs 16 at each side"):
        check_size((15, 100), 2, SRConfig())
    check_size((1, 1), 2, SRConfig(method="bicubic"))


def test_an_estimate_that_did_not_converge_is_not_used():
    found = KernelEstimate(
        aligned(2), kernels.kernel_x4(aligned(2)), np.zeros(0), {}, True, ""
    )
    assert [jump.scale for jump in plan(4, found, None)] == [2, 4]
    (jump,) = plan(4, found._replace(converged=False), None)
    np.testing.assert_array_equal(jump.kernel, blur_kernels.bicubic(4))


def test_a_plan_needs_a_kernel():
    assert plan(4, None, aligned(4))[0].scale == 4
    with pytest.raises(ValueError, match="neither"):
        plan(2, None, None)


@pytest.mark.parametrize(
    "setting",
    [{"method": "x"}, {"iterations": 5}, {"layers": -1}, {"noise_scale": -1.0},
     {"crop": 8}, {"learning_rate": 0.0}],
)  # fmt: skip
def test_settings_out_of_range(setting):
    with pytest.raises(ValueError, match=f"config.sr.{next(iter(setting))}"):
        SRConfig(**setting)


def test_settings_survive_a_dictionary():
    config = Config(sr=SRConfig(method="zssr"))
    assert Config(**config.asdict()) == config


def test_an_estimate_is_not_taken_for_sure():
    found = KernelEstimate(aligned(2), aligned(4), np.zeros(0), {}, True, "")
    first, second = plan(4, found)
    assert first.widths == second.widths == UNCERTAIN
    (known,) = plan(4, None, aligned(4))
    assert known.widths == (1.0,)


def test_a_sure_estimate_is_taken_as_it_is():
    found = KernelEstimate(aligned(2), aligned(4), np.zeros(0), {}, True, "", sure=True)
    (jump,) = plan(4, found)
    assert jump.scale == 4 and jump.widths == (1.0,)
    np.testing.assert_array_equal(jump.kernel, aligned(4))
    other = found._replace(kernel=aligned(3), kernel_x4=None, scale=3)
    assert plan(3, other)[0].scale == 3
    with pytest.raises(ValueError, match="of scale 3, not 2"):
        plan(2, other)


def test_noise_is_heeded_unless_settings_tell_of_it():
    config = SRConfig()
    assert adapt_to_noise(config, 0.5 / 255) == config
    noisy = adapt_to_noise(config, 5 / 255)
    assert noisy.noise_scale == pytest.approx(5 / 255 / 0.0125)
    assert noisy.back_projections == 0
    known = SRConfig(noise_scale=0.5)
    assert adapt_to_noise(known, 5 / 255) == known
    assert adapt_to_noise(config, 1.0).noise_scale == 9  # the most that is legal


def test_heeded_noise_is_not_amplified():
    """Without it, undoing the blur makes the image worse than bicubic."""
    hr = scipy.ndimage.gaussian_filter(smooth(192, 192), (1, 1, 0))
    noise = np.random.default_rng(0).normal(0, 8 / 255, (96, 96, 1))
    lr = np.clip(downscale(hr, aligned(2), 2) + noise, 0, 1)
    error = {}
    for name, config in (
        ("blind", SRConfig(**TINY)),
        ("heeded", adapt_to_noise(SRConfig(**TINY), 8 / 255)),
    ):
        found = super_resolve(KEY, lr, (Jump(2, aligned(2)),), config=config)
        error[name] = np.mean((found - hr) ** 2)
    bicubic = np.mean((bicubic_resize(lr, 2) - hr) ** 2)
    assert error["heeded"] < bicubic < error["blind"]


def test_a_kernel_that_is_too_wide_does_less_harm_if_it_is_uncertain():
    hr = scipy.ndimage.gaussian_filter(smooth(192, 192), (1, 1, 0))
    lr = np.clip(downscale(hr, aligned(2), 2), 0, 1)
    wide = kernels.scale_width(aligned(2, 17), 1.5)
    config = SRConfig(**TINY)
    sure, uncertain = (
        np.mean((super_resolve(KEY, lr, (Jump(2, wide, w),), config=config) - hr) ** 2)
        for w in ((1.0,), UNCERTAIN)
    )
    assert uncertain < 0.5 * sure


def test_few_pixels_get_few_steps():
    steps = {}
    for side in (96, 160):
        seen = []
        config = SRConfig(layers=3, channels=4, crop=32)
        super_resolve(
            KEY,
            smooth(side, side),
            (Jump(2, aligned(2)),),
            config=config,
            progress=lambda step, total, loss, seen=seen: seen.append((step, total)),
        )
        steps[side] = seen[-1]
    assert steps == {96: (60, 60), 160: (250, 250)}
