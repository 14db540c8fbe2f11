"""A kernel for each part: pieces, and how they are put together."""

import jax
import numpy as np
import pytest

from kernelgan_jax import blur_kernels, kernels
from kernelgan_jax.estimate import KernelEstimate, KernelMap, Progress
from kernelgan_jax.super_resolution import plan, super_resolve
from kernelgan_jax.super_resolution.varying import by_parts


def estimate_of(rows, columns, scale=2):
    made = np.stack(
        [
            blur_kernels.gaussian(25, variances=(v, v), scale=scale)
            for v in np.linspace(0.5, 4, rows * columns)
        ]
    ).reshape(rows, columns, 25, 25)
    found = KernelMap(
        made, scale, np.full((rows, columns), 0.1), (("high",) * columns,) * rows
    )
    return KernelEstimate(made[0, 0], scale, trusted=True, kernel_map=found)


def fake(keys, images, plans, *, progress=None):
    """Each pixel as s x s; plus the variance of the part's kernel."""
    for i in range(len(images)):
        progress(Progress(i, "fake", 1, 1))
    return [
        image.repeat(p.scale, 0).repeat(p.scale, 1)
        + np.float32(kernels.covariance(p.kernel)[0, 0])
        for image, p in zip(images, plans, strict=True)
    ]


@pytest.mark.parametrize("shape", [(97, 130, 3), (64, 300, 1)])
def test_parts_add_up_and_fade_into_each_other(shape):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    planned = plan(estimate_of(2, 3), method="wiener")
    seen = []
    (result,) = by_parts(
        [None],
        [image],
        [planned],
        enlarge=fake,
        progress=lambda done: seen.append(done.image),
    )
    added = result - image.repeat(2, 0).repeat(2, 1)
    assert seen == [0] * 6
    assert result.shape == (2 * shape[0], 2 * shape[1], shape[2])
    # Away from the borders it is the variance of the part, in between from both.
    np.testing.assert_allclose(added[0, 0], 0.5, atol=0.01)
    np.testing.assert_allclose(added[-1, -1], 4, atol=0.05)
    steps = np.abs(np.diff(added, axis=1)).max(), np.abs(np.diff(added, axis=0)).max()
    assert max(steps) < 0.08
    assert added.min() > 0.48


def test_images_with_a_map_and_without_one_go_together():
    images = list(np.random.default_rng(0).random((2, 96, 96, 1), dtype=np.float32))
    one = plan(estimate_of(1, 1)._replace(kernel_map=None), method="wiener")
    two = plan(estimate_of(1, 2), method="wiener")
    seen = []
    results = by_parts(
        [None] * 2,
        images,
        [one, two],
        enlarge=fake,
        progress=lambda done: seen.append(done.image),
    )
    alone = fake([None], images[:1], [one], progress=lambda done: None)
    np.testing.assert_array_equal(results[0], alone[0])
    assert seen == [0, 1, 1]


def test_a_plan_says_that_it_has_a_map():
    planned = plan(estimate_of(2, 3), method="wiener")
    assert planned.notes == ("with a map of 2x3 kernels",)
    assert planned.source == "estimated"
    assert plan(estimate_of(2, 3), method="bicubic").kernel_map is None


def test_a_map_of_another_scale_is_refused():
    estimate = estimate_of(1, 2)._replace(kernel_map=estimate_of(1, 2, 4).kernel_map)
    with pytest.raises(ValueError, match="^kernel_map.scale is 4; it must be 2$"):
        plan(estimate, method="wiener")  # before any work


def replaced(kernel_map, kernel):
    """A map with another kernel in its last part."""
    made = kernel_map.kernels.copy()
    made[-1, -1] = kernel
    return kernel_map._replace(kernels=made)


MAP = estimate_of(1, 2).kernel_map


@pytest.mark.parametrize(
    ("kernel_map", "message"),
    [
        (
            replaced(MAP, np.nan),
            r"^kernel_map, part \(0, 1\): kernel has values that are not finite$",
        ),
        (replaced(MAP, 0), r"part \(0, 1\): kernel sums to 0; it must be positive"),
        (
            replaced(MAP, blur_kernels.gaussian(25, variances=(9.0, 9.0), scale=4)),
            r"part \(0, 1\): kernel is aligned for scale 4, not 2",
        ),
        (
            MAP._replace(kernels=np.ones((1, 2, 81, 81))),
            r"part \(0, 0\): kernel is 8\dx8\d .* enlarged image, 80x64; use",
        ),
        (
            MAP._replace(width_std=np.full((1, 2), np.nan)),
            r"part \(0, 0\): width_std is nan",
        ),
        (MAP._replace(width_std=np.ones(2)), r"width_std has shape \(2,\); .*\(1, 2\)"),
        (MAP._replace(kernels=MAP.kernels[0]), r"kernels has shape \(2, 25, 25\); it "),
        (MAP._replace(kernels=MAP.kernels[:0]), "rows x columns x height x width, not"),
    ],
)  # fmt: skip
def test_maps_that_are_refused_before_any_work(kernel_map, message):
    estimate = estimate_of(1, 2)._replace(kernel_map=kernel_map)
    image = np.random.default_rng(0).random((32, 40))
    with pytest.raises(ValueError, match=message):
        super_resolve(jax.random.key(0), image, estimate, method="wiener")
