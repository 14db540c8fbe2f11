"""What a function cannot mean is refused with a `ValueError` that names the argument.

One table has a legal call of every exported function, and for each of its arguments the
kind of value that it takes; each kind has values that are none.
"""

import importlib
import inspect
import re

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kernelgan_jax
from kernelgan_jax import (
    blur_kernels,
    degradation,
    estimators,
    kernels,
    metrics,
    pixels,
    priors,
    resize,
    super_resolution,
)
from kernelgan_jax.estimate import Evidence
from kernelgan_jax.estimators import kernelgan, spectral

FLOW = importlib.import_module("kernelgan_jax.priors.flow")
NAN, INF = float("nan"), float("inf")
TRACED = object()
"""Stands for a value that is not known yet, as inside of `jit`."""

KERNEL = helpers.gaussian(2)
IMAGE = np.random.default_rng(0).random((40, 36, 3))
LR = IMAGE[::2, ::2]
KEY = jax.random.key(0)


def like(array, value):
    """An array with one value replaced."""
    changed = array.copy()
    changed.flat[7] = value
    return changed


NO_ARRAY = {
    "nothing": None,
    "text": "abc",
    "texts": np.array([["a", "b"]]),
    "objects": np.array([[{}, []]], object),
    "ragged": [[1.0], [1.0, 2.0]],
    "complex": np.ones((5, 5)) * 1j,
    "a number": 1.0,
    "a row": np.ones(5),
    "four axes": np.ones((1, 5, 5, 3)),
    "empty": np.ones((0, 5)),
}
NOT_FINITE = {"NaN": NAN, "infinite": INF, "minus infinite": -INF}
NO_NUMBER = {**NOT_FINITE, "nothing": None, "text": "2", "an array": np.ones(2)}
NO_WHOLE = {
    **NO_NUMBER,
    **{"0": 0, "-1": -1, "1.5": 1.5, "true": True, "traced": TRACED},
    "a time": np.timedelta64(2, "s"),
}

BAD = {
    "whole": NO_WHOLE,
    "optional_whole": {k: v for k, v in NO_WHOLE.items() if k != "nothing"},
    "kernel": {
        **NO_ARRAY,
        **{name: like(KERNEL, value) for name, value in NOT_FINITE.items()},
        "huge": KERNEL * 1e306,
        "three axes": np.ones((3, 3, 3)),
        "traced": TRACED,
    },
    # JAX takes traced kernels, and lists; integers would be rounded.
    "jax_kernel": {
        **NO_ARRAY,
        **{name: like(KERNEL, value) for name, value in NOT_FINITE.items()},
        "uint8": np.ones((3, 3), np.uint8),
    },
    "jax_matrix": {**NO_ARRAY, "three axes": np.ones((3, 3, 3))},
    "sum": {"sum 0": np.zeros((3, 3)), "sum of 0": np.array([[1.0, -1.0]])},
    # Of all types that images have, with their ranges.
    "image": {
        **NO_ARRAY,
        **{name: like(IMAGE, value) for name, value in NOT_FINITE.items()},
        "0 to 255": IMAGE * 255,
        "negative": IMAGE - 0.5,
        "int64": (IMAGE * 255).astype(np.int64),
        "two channels": IMAGE[..., :2],
        "alpha": IMAGE[..., [0, 1, 2, 0]],
        "traced": TRACED,
    },
    "unit": {
        **NO_ARRAY,
        **{name: like(IMAGE, value) for name, value in NOT_FINITE.items()},
        "0 to 255": IMAGE * 255,
        "uint8": (IMAGE * 255).astype(np.uint8),
        "two channels": IMAGE[..., :2],
        "a list": IMAGE.tolist(),
        "traced": TRACED,
    },
    "floats": {**NO_ARRAY, "uint8": (IMAGE * 255).astype(np.uint8)},
    "any_floats": {
        "nothing": None,
        "text": "abc",
        "NaN": like(IMAGE, NAN),
        "infinite": like(IMAGE, INF),
        "uint8": (IMAGE * 255).astype(np.uint8),
        "traced": TRACED,
    },
    "positive": {**NO_NUMBER, "0": 0.0, "-1": -1.0, "true": True, "traced": TRACED},
    "jax_positive": {**NO_NUMBER, "0": 0.0, "-1": -1.0, "1e-40": 1e-40},
    "rate": {**NO_NUMBER, "0": 0.0, "-1": -1.0},
    "spectrum": {**NOT_FINITE, "nothing": None, "text": "abc", "-1": -1.0},
    "values": {**NOT_FINITE, "nothing": None, "text": "abc", "traced": TRACED},
    "share": {**NO_NUMBER, "-1": -1.0, "1.5": 1.5, "traced": TRACED},
    "number": {**NO_NUMBER, "traced": TRACED},
    "pair": {
        **NOT_FINITE,
        "nothing": None,
        "text": "ab",
        "one": (1.0,),
        "NaN in it": (NAN, 1.0),
        "infinite in it": (1.0, INF),
        "0 in it": (0.0, 1.0),
        "three": (1.0, 2.0, 3.0),
    },
    "shape": {**NO_WHOLE, "one": (3,), "three": (3, 3, 3), "0 in it": (3, 0)},
    "sides": {"empty": (), "text": "abc", "0": (5, 0), "NaN": (5, NAN), "-1": (-1, 3)},
    "strides": {
        "one": (1,),
        "text": "ab",
        "0": (1, 0),
        "NaN": (1, NAN),
        "2.0": (1, 2.0),
    },
    "start": {
        "text": "abc",
        "negative": -np.ones((13, 13)),
        "another": np.ones((3, 3)),
        "sum 0": np.zeros((13, 13)),
        "NaN": np.full((13, 13), NAN),
        "traced": TRACED,
    },
    "name": {"nothing": None, "another": "abc", "a list": [], "a number": 1},
    "key": {
        "nothing": None,
        "a seed": 0,
        "floats": jnp.ones(2),
        "text": "abc",
        "two": jax.random.split(KEY),
        "traced": TRACED,
    },
    "keys": {"nothing": None, "a seed": 0, "two for one": jax.random.split(KEY)},
    "weights": {
        "text": "abc",
        "NaN": {"sum": NAN},
        "-1": {"sum": -1},
        "name": {"a": 1},
    },
    "settings": {"text": "abc", "others": priors, "a number": 1},
    "spectrum_of": {"text": "abc", "a number": 1},
    "images": {"nothing": None, "a number": 1, "empty": []},
    "evidence": {"nothing": None, "text": "abc"},
    "rng": {"nothing": None, "a seed": 0},
}
"""For each kind of argument: values that are none, by name."""

SLOW = {
    kernelgan_jax.analyse,
    kernelgan_jax.estimate_kernel,
    kernelgan_jax.estimate_kernels,
    kernelgan_jax.estimate_spectral,
    kernelgan_jax.judge,
    kernelgan_jax.super_resolve,
}
"""What is compiled for a legal call."""

EVIDENCE = Evidence(
    scale=2, kernel=KERNEL, raw_kernel=KERNEL, intermediate=(), samples=KERNEL[None],
    spectrum=None, misfit=0.2, contrast=1.0, noise_std=0.0, jpeg=False, converged=True,
)  # fmt: skip

CALLS = {
    # Images to kernels.
    kernelgan_jax.estimate_kernel: (
        dict(key=KEY, image=IMAGE, scale=2, estimator="bicubic", config=None),
        dict(key="key", image="image", scale="whole", estimator="name",
             config="settings"),
    ),
    kernelgan_jax.estimate_kernels: (
        dict(key=KEY, images=[IMAGE], scale=2, estimator="bicubic", config=None),
        dict(key="keys", images="images", scale="whole", estimator="name",
             config="settings"),
    ),
    kernelgan_jax.analyse: (
        dict(image=IMAGE, scale=2), dict(image="image", scale="whole")
    ),
    kernelgan_jax.estimate_spectral: (
        dict(image=IMAGE, scale=2), dict(image="image", scale="whole")
    ),
    kernelgan_jax.judge: (
        dict(kernel=KERNEL, evidence=EVIDENCE),
        dict(kernel="kernel", evidence="evidence"),
    ),
    estimators.find_estimator: (dict(name="spectral"), dict(name="name")),
    kernelgan.kernelgan: (
        dict(config=kernelgan.KernelGANConfig(), generator=None, penalty=None),
        dict(config="settings", generator="settings", penalty="settings"),
    ),
    kernelgan.generator_kernel: (dict(state=None), dict(state="settings")),
    kernelgan.generator_prior: (
        dict(config=kernelgan.KernelGANConfig()), dict(config="settings")
    ),
    spectral.spectral_likelihood: (dict(scale=2), dict(scale="whole")),
    spectral.mean_periodogram: (dict(gray=IMAGE[..., 0]), dict(gray="kernel")),
    estimators.GivenConfig: (
        dict(kernel=KERNEL, source="k.npy"), dict(kernel="kernel")
    ),
    spectral.has_blocks: (dict(gray=IMAGE[..., 0]), dict(gray="kernel")),
    # Super-resolution.
    kernelgan_jax.super_resolve: (
        dict(key=KEY, image=IMAGE, estimate=KERNEL, scale=2, method="wiener"),
        dict(key="key", image="image", estimate="kernel", scale="whole", method="name",
             config="settings", evidence="spectrum_of"),
    ),
    super_resolution.wiener_filter: (
        dict(image=IMAGE, kernel=KERNEL, scale=2, spectrum=None),
        dict(image="floats", kernel="jax_kernel", scale="whole",
             spectrum="spectrum_of"),
    ),
    super_resolution.find_method: (dict(name="bicubic"), dict(name="name")),
    # Degradation and resizing.
    degradation.downscale: (
        dict(image=IMAGE, kernel=KERNEL, scale=2, boundary="wrap"),
        dict(image="floats", kernel="jax_kernel", scale="whole", boundary="name"),
    ),
    degradation.downscale_adjoint: (
        dict(image=LR, kernel=KERNEL, scale=2, shape=(40, 36), boundary="wrap"),
        dict(image="floats", kernel="jax_kernel", scale="whole", boundary="name",
             shape="shape"),
    ),
    degradation.downscale_inverse: (
        dict(image=LR, kernel=KERNEL, scale=2, noise_variance=0.1, spectrum=1.0),
        dict(image="floats", kernel="jax_kernel", scale="whole",
             noise_variance="jax_positive", spectrum="spectrum"),
    ),
    resize.cubic: (dict(x=np.ones(3)), dict(x="values")),
    resize.bicubic_resize: (
        dict(image=IMAGE, scale=2.0), dict(image="floats", scale="positive")
    ),
    # Kernels.
    kernels.frame_size: (dict(scale=2), dict(scale="whole")),
    kernels.alignment: (dict(shape=(3, 3), scale=2), dict(scale="whole")),
    kernels.variance_growth: (dict(scale=2), dict(scale="whole")),
    kernels.check: (
        dict(kernel=KERNEL, scale=2), dict(kernel="kernel", scale="whole")
    ),
    kernels.normalise: (dict(kernel=KERNEL), dict(kernel="sum")),
    kernels.remove_floor: (
        dict(kernel=KERNEL, fraction=0.5, count=9),
        dict(kernel="kernel", fraction="share", count="whole"),
    ),
    kernels.centre: (
        dict(kernel=KERNEL, scale=2), dict(kernel="kernel", scale="whole")
    ),
    kernels.scale_width: (
        dict(kernel=KERNEL, factor=1.5), dict(kernel="kernel", factor="positive")
    ),
    kernels.trim: (dict(kernel=KERNEL), dict(kernel="kernel")),
    kernels.stack: (dict(kernels=[KERNEL]), dict(kernels="images")),
    kernels.compose: (
        dict(first=KERNEL, second=KERNEL, scale=2),
        dict(first="kernel", second="kernel", scale="whole"),
    ),
    kernels.kernel_x4: (dict(kernel=KERNEL), dict(kernel="kernel")),
    kernels.centre_of_mass: (dict(kernel=KERNEL), dict(kernel="jax_matrix")),
    kernels.covariance: (dict(kernel=KERNEL), dict(kernel="kernel")),
    kernels.widths: (dict(kernel=KERNEL), dict(kernel="kernel")),
    blur_kernels.bicubic: (dict(scale=2), dict(scale="whole")),
    blur_kernels.lanczos: (dict(scale=2), dict(scale="whole")),
    blur_kernels.box: (dict(scale=2), dict(scale="whole")),
    blur_kernels.nearest: (dict(scale=2), dict(scale="whole")),
    blur_kernels.gaussian: (
        dict(size=9, variances=(2.0, 1.0), angle=0.5, scale=2),
        dict(size="whole", variances="pair", angle="number", scale="whole"),
    ),
    blur_kernels.random_gaussian: (
        dict(rng=np.random.default_rng(0), size=9, variances=(1.0, 2.0), noise=0.1,
             scale=2),
        dict(rng="rng", size="whole", variances="pair", noise="share", scale="whole"),
    ),
    blur_kernels.disk: (
        dict(size=9, radius=2.0, scale=2),
        dict(size="whole", radius="positive", scale="whole"),
    ),
    blur_kernels.path: (
        dict(size=9, points=np.zeros((2, 2)), scale=2),
        dict(size="whole", points="kernel", scale="whole"),
    ),
    blur_kernels.motion: (
        dict(size=9, length=2.0, angle=0.5, scale=2),
        dict(size="whole", length="number", angle="number", scale="whole"),
    ),
    # Measures.
    metrics.kernel_psnr: (
        dict(estimate=KERNEL, truth=KERNEL, scale=2, size=11),
        dict(estimate="kernel", truth="kernel", scale="whole", size="optional_whole"),
    ),
    metrics.kernel_grid: (dict(scale=2), dict(scale="whole")),
    metrics.pad_to_frame: (
        dict(kernel=KERNEL, scale=2, size=11),
        dict(kernel="kernel", scale="whole", size="optional_whole"),
    ),
    metrics.covariance_error: (
        dict(estimate=KERNEL, truth=KERNEL), dict(estimate="kernel", truth="kernel")
    ),
    metrics.relative_error: (
        dict(estimate=KERNEL, truth=KERNEL), dict(estimate="kernel", truth="kernel")
    ),
    metrics.psnr_y: (
        dict(image=IMAGE, truth=IMAGE, scale=2),
        dict(image="unit", truth="unit", scale="whole"),
    ),
    metrics.ssim_y: (
        dict(image=IMAGE, truth=IMAGE, scale=2),
        dict(image="unit", truth="unit", scale="whole"),
    ),
    metrics.lr_psnr_y: (
        dict(image=IMAGE, lr=LR, kernel=KERNEL, scale=2),
        dict(image="unit", kernel="kernel", scale="whole"),
    ),
    metrics.shift: (
        dict(image=IMAGE, truth=IMAGE), dict(image="floats", truth="floats")
    ),
    # Pixels.
    pixels.from_array: (dict(array=IMAGE), dict(array="image")),
    pixels.unit_image: (dict(image=IMAGE), dict(image="image")),
    pixels.from_unit: (dict(image=IMAGE, dtype=np.uint8), dict(image="any_floats")),
    # Priors.
    priors.deep_linear: (
        dict(filters=(5, 3), channels=2),
        dict(filters="sides", strides="strides", channels="whole", weights="weights"),
    ),
    priors.simplex: (
        dict(shape=5), dict(shape="shape", scale="whole", weights="weights")
    ),
    priors.gaussian: (
        dict(shape=5), dict(shape="shape", scale="whole", weights="weights")
    ),
    priors.generalised_gaussian: (
        dict(shape=5), dict(shape="shape", scale="whole", weights="weights")
    ),
    priors.curved_motion: (
        dict(shape=5),
        dict(shape="shape", scale="whole", degree="whole", weights="weights"),
    ),
    priors.motion: (
        dict(shape=5), dict(shape="shape", scale="whole", weights="weights")
    ),
    priors.flow: (
        dict(), dict(model="settings", start="start", weights="weights")
    ),
    priors.penalty: (
        dict(kernel=KERNEL.astype(np.float32)),
        dict(kernel="jax_matrix", scale="whole", weights="weights"),
    ),
    FLOW.fit: (
        dict(key=KEY, kernels=np.random.default_rng(0).random((50, 2, 2)), steps=2),
        dict(key="key", scale="whole", steps="whole", depth="whole", hidden="whole",
             batch="whole", learning_rate="rate"),
    ),
}  # fmt: skip

OTHER_NAMES = {
    (pixels.from_array, "array"): "image",
    (estimators.find_estimator, "name"): "estimator",
    (super_resolution.find_method, "name"): "method",
    (kernels.normalise, "kernel"): "the kernel's sum",
    (estimators.GivenConfig, "kernel"): "config.given.kernel",
}
"""What a message calls an argument, if not by its name."""

CASES = [
    pytest.param(function, name, value, id=f"{function.__name__}-{name}-{label}")
    for function, (_, kinds) in CALLS.items()
    for name, kind in kinds.items()
    for label, value in BAD[kind].items()
]


def call(function, good, name, value):
    """Calls a function with one argument replaced."""
    if value is not TRACED:
        return function(**(good | {name: value}))

    def traced(x):
        function(**(good | {name: x}))
        return 0.0

    start = good.get(name, 2)
    return jax.eval_shape(traced, jnp.asarray(start, jnp.asarray(start).dtype))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function, name, value", CASES)
def test_what_cannot_be_meant_is_a_value_error(function, name, value):
    good, _ = CALLS[function]
    expected = OTHER_NAMES.get((function, name), name)
    with pytest.raises(ValueError) as info:
        call(function, good, name, value)
    assert re.match(rf"{re.escape(expected)}\b", str(info.value))


HALF = [
    pytest.param(function, name, dtype, id=f"{function.__name__}-{name}-{dtype}")
    for function, (_, kinds) in CALLS.items()
    for name, kind in kinds.items()
    if kind in ("kernel", "sum", "unit", "image")
    and function not in {*SLOW, estimators.GivenConfig}
    for dtype in ("float16", "float32")
]


@pytest.mark.parametrize("function, name, dtype", HALF)
def test_other_precisions_give_about_the_same(function, name, dtype):
    good, _ = CALLS[function]
    expected = function(**good)
    found = function(**(good | {name: good[name].astype(dtype)}))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if not isinstance(a, str) and np.isfinite(np.asarray(b, float)).all():
            limit = 0.05 * max(1.0, float(np.abs(np.asarray(b)).max()))
            np.testing.assert_allclose(np.asarray(a, float), b, atol=limit)


UNSIGNED = [
    (degradation.downscale, "scale"),
    (degradation.downscale_adjoint, "scale"),
    (degradation.downscale_inverse, "scale"),
    (kernels.remove_floor, "count"),
    (kernels.compose, "scale"),
    (metrics.kernel_psnr, "scale"),
    (blur_kernels.bicubic, "scale"),
]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64])
@pytest.mark.parametrize("function, name", UNSIGNED)
def test_integers_of_numpy_do_not_overflow(function, name, dtype):
    good, _ = CALLS[function]
    found = function(**(good | {name: dtype(good[name])}))
    np.testing.assert_array_equal(found, function(**good))


def test_a_scale_that_nothing_can_hold_is_a_value_error():
    for function in (degradation.downscale, degradation.downscale_inverse):
        with pytest.raises(ValueError, match="scale is 1000000000; .* at most 256"):
            function(**(CALLS[function][0] | {"scale": 10**9}))
    for function, name in (
        (kernels.compose, "scale"),
        (kernels.check, "scale"),
        (priors.gaussian, "scale"),
        (priors.simplex, "shape"),
    ):
        with pytest.raises(ValueError, match=f"{name} is 1000000; .* at most 256"):
            function(**(CALLS[function][0] | {name: 10**6}))
    with pytest.raises(ValueError, match="kernel is "):
        degradation.downscale_inverse(LR, 10**400, 2, noise_variance=0.1)


def test_every_exported_function_is_in_the_table():
    packages = [kernelgan_jax, estimators, kernelgan, super_resolution, priors]
    exported = {
        value
        for package in packages
        for name in package.__all__
        if inspect.isfunction(value := getattr(package, name))
    }
    for module in (kernels, blur_kernels, resize, degradation, metrics):
        exported |= {
            value
            for name, value in vars(module).items()
            if inspect.isfunction(value)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        }
    # They are made for images that `super_resolve` has checked.
    exported -= {
        super_resolution.plan,
        super_resolution.refine_plan,
        super_resolution.super_resolve_planned,
    }
    assert not exported - CALLS.keys()


def test_settings_out_of_range():
    for settings in (
        dict(iterations=INF),
        dict(iterations=2.5),
        dict(iterations=True),
        dict(crops=2.5),
        dict(iterations=NAN),
    ):
        with pytest.raises(
            ValueError, match=f"config.kernelgan.{next(iter(settings))}"
        ):
            kernelgan_jax.Config(estimator="kernelgan", kernelgan=settings)


@pytest.mark.parametrize("widths", [(0.0,), (-1.0,), (NAN,), (1.0, INF), ("a",)])
def test_widths_of_a_plan(widths):
    stage = super_resolution.Stage(2, KERNEL, widths)
    planned = super_resolution.plan(KERNEL, scale=2)._replace(stages=(stage,))
    with pytest.raises(ValueError, match="^widths is"):
        super_resolution.super_resolve_planned([KEY], [IMAGE], [planned])
