"""The registry of super-resolution methods."""

import dataclasses
import inspect

import helpers
import pytest

from kernelgan_jax.super_resolution import METHODS, Method, ZSSRConfig, find_method


@pytest.mark.parametrize("name", METHODS)
def test_an_entry_leads_to_its_function(name):
    method = find_method(name)
    function = method.load()
    assert method.name == name and function.__name__ == "enlarge"
    assert function.__module__.endswith(method.module)
    assert list(inspect.signature(function).parameters) == [
        "keys", "images", "plans", "progress",
    ]  # fmt: skip
    assert method.about and "\n" not in method.about


def test_an_unknown_name_is_refused_with_all_names():
    with pytest.raises(ValueError, match="method is 'x'; it must be bicubic or wiener"):
        find_method("x")


@pytest.mark.parametrize("name", METHODS)
def test_settings_are_those_of_the_method(name):
    method = METHODS[name]
    if method.config is None:
        assert method.default_config() is None
        with pytest.raises(ValueError, match=f"must be None, as the method {name} has"):
            method.default_config(ZSSRConfig())
        return
    default = method.config()
    assert method.default_config() == default
    assert method.default_config(default) is default
    assert dataclasses.is_dataclass(default) and hash(default) is not None
    message = f"config is 'x'; it must be a {method.config.__name__} for the method"
    with pytest.raises(ValueError, match=message):
        method.default_config("x")


def test_the_smallest_size_grows_with_the_scale():
    method = Method("probe", "probe", "nothing", "Probe", least_side=8)
    method.check_image_size((16, 16, 3), scale=2)
    message = (
        "100x15 pixels; the method probe needs at least 16 at each side for scale 2"
    )
    with pytest.raises(ValueError, match=message):
        method.check_image_size((15, 100), scale=2)
    with pytest.raises(ValueError, match="at least 32"):
        method.check_image_size((100, 31), scale=4)
    METHODS["bicubic"].check_image_size((1, 1), scale=4)


def test_registry_and_settings_need_no_jax():
    code = "import kernelgan_jax.super_resolution as sr; sr.METHODS, sr.ZSSRConfig()"
    assert helpers.imported(code, "jax") == set()
