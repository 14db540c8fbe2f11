"""Settings: what is chosen and read, and clear refusals."""

import dataclasses
import json
import pickle

import numpy as np
import pytest

from kernelgan_jax.config import GROUPS, NO_SR, Config, group_name, readers
from kernelgan_jax.estimators.kernelgan.config import FLOW
from kernelgan_jax.estimators.registry import ESTIMATORS, GivenConfig
from kernelgan_jax.settings import SettingError
from kernelgan_jax.super_resolution.deep_wiener.config import DeepWienerConfig
from kernelgan_jax.super_resolution.registry import METHODS


def test_a_bad_value_in_a_group_is_refused():
    with pytest.raises(ValueError, match="config.kernelgan.crops is 0; it must be "):
        Config(estimator="kernelgan", kernelgan={"crops": 0})


@pytest.mark.parametrize("value", ["abc", None, FLOW])
def test_settings_of_another_kind_are_refused(value):
    message = "config.deep_wiener is .*; it must be a DeepWienerConfig or a mapping"
    with pytest.raises(ValueError, match=message):
        Config(deep_wiener=value)


def test_numbers_of_numpy_become_pythons():
    config = Config(
        scale=np.int64(4), estimator="constant", constant={"variance": np.float32(2.5)}
    )
    assert type(config.scale) is int and json.loads(json.dumps(config.to_dict()))
    assert config == Config(scale=4, estimator="constant", constant={"variance": 2.5})


# --- What is chosen, and what reads which settings ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimator": "x"}, "config.estimator is 'x'; it must be spectral or kernelg"),
        (
            {"estimator": "kernelgan", "scale": 3},
            "config.scale is 3; it must be 2 or 4 for the estimator kernelgan",
        ),
        ({"scale": 0}, "a whole number from 1 to 8"),
        ({"scale": 9}, "a whole number from 1 to 8"),
        ({"scale": 2.0}, "a whole number from 1 to 8"),
        ({"scale": True}, "a whole number from 1 to 8"),
        ({"sr": "best"}, "config.sr is 'best'; it must be none or bicubic or wiener"),
    ],
)
def test_estimators_scales_and_methods(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)
    assert Config(scale=3).scale == 3


@pytest.mark.parametrize(
    "setting, settings",
    [
        ("estimator", {"estimator": "best"}),
        ("scale", {"scale": 9}),
        ("sr", {"sr": "best"}),
        ("deep_wiener.strength", {"deep_wiener": {"strength": 2}}),
        ("deep_wiener.strength", {"sr": "none", "deep_wiener": {"strength": 0.5}}),
        ("kernelgan.generator_crop", {"kernelgan": {"generator_crop": 2}}),
    ],
)
def test_the_error_names_the_setting(setting, settings):
    with pytest.raises(SettingError, match=f"^config.{setting} is ") as refused:
        Config(**settings)
    assert refused.value.setting == f"config.{setting}"
    assert pickle.loads(pickle.dumps(refused.value)).setting == f"config.{setting}"


def test_what_is_chosen():
    config = Config()
    assert config.chosen_estimator is ESTIMATORS["spectral"]
    assert config.estimator_config is config.spectral
    assert config.chosen_method is METHODS["deep_wiener"]
    assert config.sr_config is config.deep_wiener
    config = Config(estimator="kernelgan", kernelgan=FLOW, sr=NO_SR)
    assert config.estimator_config is FLOW
    assert config.chosen_method is None and config.sr_config is None


TEXTS = ("plateau", "per_channel", "motion", "meta", "3x4")


def changed(group, name):
    """Settings of a group in which one differs from its default."""
    default = getattr(GROUPS[group](), name)
    for value in (2, 3, 20, 64, 128, 10**5, 0.25, False, *TEXTS, (9, 5)):
        try:
            settings = GROUPS[group](**{name: value})
        except (TypeError, ValueError):
            continue
        if getattr(settings, name) != default:
            return settings
    raise AssertionError(name)


@pytest.mark.parametrize(
    "setting",
    [
        f"{group}.{field.name}"
        for group, config in GROUPS.items()
        for field in dataclasses.fields(config)
        if "check" in field.metadata
    ],
)
def test_a_setting_that_nothing_chosen_reads_is_refused(setting):
    group, _, name = setting.partition(".")
    settings = changed(group, name)
    other = "constant" if group == "spectral" else "spectral"
    unread = {"estimator": other, "sr": "none"}
    message = f"config.{setting} is .* but nothing that is chosen reads it: .*"
    with pytest.raises(ValueError, match=f"{message}{readers(group)[0]}.*'{other}'"):
        Config(**unread, **{group: settings})
    chosen = {"estimator": group} if group in ESTIMATORS else {"sr": readers(group)[0]}
    assert getattr(Config(**(unread | chosen | {group: settings})), group) == settings


def test_a_kernel_that_nothing_reads_is_refused():
    given = GivenConfig(kernel=np.ones((2, 2)))
    with pytest.raises(ValueError, match="config.given.kernel is .* nothing that is "):
        Config(given=given)
    assert Config(estimator="given", given=given).given.kernel == ((1, 1), (1, 1))


def test_each_group_has_readers_and_a_name():
    for group, config in GROUPS.items():
        assert readers(group)
        assert group_name(config) == group


# --- As dictionaries ---


def test_settings_round_trip():
    config = Config(estimator="kernelgan", kernelgan={"iterations": 7}, scale=4)
    assert Config(**dataclasses.asdict(config)) == config
    assert Config(**config.to_dict()) == config


def test_the_dictionary_has_what_is_read():
    assert Config(sr="none").to_dict() == {
        "estimator": "spectral", "scale": 2, "sr": "none",
        "spectral": {"kernel_map": ""},
    }  # fmt: skip
    found = Config(estimator="kernelgan").to_dict()
    assert list(found) == ["estimator", "scale", "sr", "kernelgan", "deep_wiener"]
    assert found["deep_wiener"] == dataclasses.asdict(DeepWienerConfig())
    given = Config(estimator="given", given={"kernel": ((1.0,),), "source": "k"})
    assert given.to_dict()["given"] == {"kernel": ((1.0,),), "source": "k"}


def test_configs_can_be_compared_and_hashed():
    assert hash(Config()) == hash(Config()) and Config() != Config(scale=3)
    given = {"kernel": np.ones((2, 2))}
    first = Config(estimator="given", given=GivenConfig(**given))
    assert first == Config(estimator="given", given=GivenConfig(**given))
    assert hash(first) is not None
