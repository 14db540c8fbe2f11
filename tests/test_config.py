"""Settings: the paper's numbers, and clear refusals."""

import dataclasses
import math

import pytest

from kernelgan_jax.config import Config, FLOW_SIZE


def test_sizes_of_the_paper():
    config = Config()
    assert config.kernel_size == 13
    assert config.discriminator_crop == 26
    assert config.minimum_side == 84
    assert Config(generator_kernels=[13]).generator_kernels == (13,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scale", 3),
        ("iterations", 0),
        ("crops", 0),
        ("prior", "gauss"),
        ("border", -1),
        ("max_pixels", 100),
        ("generator_kernels", ()),
        ("generator_kernels", (6,)),
        ("generator_kernels", (3,)),
        ("generator_crop", 63),
        ("generator_crop", 16),
        ("discriminator_kernel", 4),
        ("discriminator_kernel", 27),
        ("generator_channels", 0),
        ("generator_learning_rate", 0.0),
        ("discriminator_learning_rate", math.inf),
        ("adam_b1", 1.0),
        ("noise", -0.1),
        ("noise", math.nan),
        ("warm_start", "sum"),
        ("floor", 1.5),
        ("floor_rank", 0),
        ("floor_rank", 169),
    ],
)
def test_bad_value_names_the_field_and_the_legal_range(field, value):
    with pytest.raises(ValueError, match=rf"config\.{field} is .*; it must be "):
        Config(**{field: value})


def test_flow_has_kernels_of_one_size_only():
    assert Config(prior="flow").kernel_size == FLOW_SIZE
    with pytest.raises(ValueError, match="config.prior is 'flow'; .* to 13, .* to 11"):
        Config(prior="flow", generator_kernels=(11,))


def test_settings_round_trip():
    config = Config(iterations=7, generator_kernels=(13,))
    assert Config(**config.asdict()) == config
    assert set(config.asdict()) == {f.name for f in dataclasses.fields(Config)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimator": "x"}, "config.estimator is 'x'; it must be kernelgan or spect"),
        ({"scale": 3}, "config.scale is 3; it must be 2 or 4 for KernelGAN"),
        ({"estimator": "spectral", "scale": 0}, "a whole number from 1 to 8"),
        ({"estimator": "spectral", "scale": 9}, "a whole number from 1 to 8"),
        ({"estimator": "spectral", "scale": 2.0}, "a whole number from 1 to 8"),
    ],
)
def test_estimators_and_their_scales(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)
    assert Config(estimator="spectral", scale=3).scale == 3
