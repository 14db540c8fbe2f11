"""The settings of ZSSR, and how they are adapted to an image."""

import dataclasses

import pytest

from kernelgan_jax.super_resolution import ZSSRConfig
from kernelgan_jax.super_resolution.zssr.config import MAX_NOISE_STD

CONFIG = ZSSRConfig()


@pytest.mark.parametrize(
    "setting",
    [{"iterations": 5}, {"iterations": -10}, {"layers": -1}, {"channels": 2.0},
     {"schedule": "step"}, {"learning_rate": 0.0}, {"min_learning_rate": -1.0},
     {"crop": 8}, {"max_pixels": 100}, {"noise_std": -1.0}, {"noise_std": 1.0},
     {"rounding_std": float("nan")}, {"back_projections": True}, {"tile": 31}],
)  # fmt: skip
def test_settings_out_of_range(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"config.zssr.{name} is {value}|'step'; it"):
        ZSSRConfig(**setting)


def test_settings_survive_a_dictionary():
    config = ZSSRConfig(schedule="cosine", noise_std=0.01)
    assert ZSSRConfig(**dataclasses.asdict(config)) == config


def test_a_methods_own_values_take_the_place_of_0_and_empty():
    own = {"layers": 8, "channels": 64, "iterations": 30, "schedule": "plateau"}
    assert CONFIG.complete(**own) == ZSSRConfig(**own)
    given = {"layers": 2, "channels": 3, "iterations": 10, "schedule": "cosine"}
    assert ZSSRConfig(**given).complete(**own) == ZSSRConfig(**given)


def test_settings_are_adapted_to_noise_unless_they_have_some():
    def adapted(config, noise_std):
        return config.for_image(scale=2, noise_std=noise_std, image_shape=None)

    assert adapted(CONFIG, 0.5 / 255) == (CONFIG, ())  # rounding is no noise
    noisy, notes = adapted(CONFIG, 5 / 255)
    assert noisy == dataclasses.replace(CONFIG, noise_std=5 / 255, back_projections=0)
    assert notes == ("as an image with noise of 5.0 gray levels",)
    known = ZSSRConfig(noise_std=0.006)
    assert adapted(known, 5 / 255) == (known, ())
    assert adapted(CONFIG, 1.0)[0].noise_std == MAX_NOISE_STD


def test_images_smaller_than_a_crop_are_noted():
    def notes(shape, crop=128):
        config = ZSSRConfig(crop=crop)
        found, notes = config.for_image(scale=2, noise_std=0.0, image_shape=shape)
        assert found == config
        return notes

    assert notes((127, 300)) == ("from crops smaller than 128, as the image is",)
    assert notes((128, 128)) == notes((64, 64), crop=64) == notes(None) == ()
