"""Settings of KernelGAN: the paper's numbers, and clear refusals."""

import dataclasses
import math

import pytest

from kernelgan_jax import priors
from kernelgan_jax.estimators.kernelgan import KernelGANConfig
from kernelgan_jax.estimators.kernelgan.config import FLOW_SIZE


def test_sizes_of_the_paper():
    config = KernelGANConfig()
    assert config.kernel_size == 13
    assert config.discriminator_crop == 26
    assert config.min_side == 84
    assert KernelGANConfig(generator_kernels=[13]).generator_kernels == (13,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("iterations", 0),
        ("iterations", 2.5),
        ("iterations", math.inf),
        ("iterations", True),
        ("restarts", 0),
        ("crops", 0),
        ("crops", 2.5),
        ("prior", "gauss"),
        ("start", "paper"),
        ("border", -1),
        ("border", 0.5),
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
        ("discriminator_noise_std", -0.1),
        ("discriminator_noise_std", math.nan),
        ("warm_start", "sum"),
        ("floor", 1.5),
        ("floor_rank", 0),
        ("floor_rank", 169),
    ],
)
def test_bad_value_names_the_field_and_the_legal_range(field, value):
    with pytest.raises(
        ValueError, match=rf"config\.kernelgan\.{field} is .*; it must be "
    ):
        KernelGANConfig(**{field: value})


def test_flow_has_kernels_of_one_size_only():
    assert KernelGANConfig(prior="flow").kernel_size == FLOW_SIZE
    message = "config.kernelgan.prior is 'flow'; .* to 13, .* to 11"
    with pytest.raises(ValueError, match=message):
        KernelGANConfig(prior="flow", generator_kernels=(11,))


def test_settings_round_trip():
    config = KernelGANConfig(iterations=7, generator_kernels=(13,))
    assert KernelGANConfig(**dataclasses.asdict(config)) == config


def test_weights_are_those_of_the_penalties():
    for name, weight in priors.PENALTY_WEIGHTS.items():
        assert getattr(KernelGANConfig(), f"{name}_weight") == weight


@pytest.mark.parametrize("name", ["generator_channels", "discriminator_blocks"])
def test_the_meta_learned_start_is_for_the_papers_networks(name):
    with pytest.raises(ValueError, match=rf"{name} is 3; .* with .*start='meta'"):
        KernelGANConfig(start="meta", **{name: 3})
