"""Habits of the public functions, checked for every module of the package."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import kernelgan_jax

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(kernelgan_jax.__path__, "kernelgan_jax.")
    if not found.name.endswith("__main__") and ".presets." not in found.name
]

FUNCTIONS = {
    f"{module.__name__.removeprefix('kernelgan_jax.')}.{name}": function
    for module in MODULES
    for name, function in vars(module).items()
    if inspect.isfunction(function)
    and function.__module__ == module.__name__
    and not name.startswith("_")
    and name != "main"  # of a command
}

EXPORTED = {
    name: value
    for package in ("", ".estimators", ".estimators.kernelgan", ".super_resolution",
                    ".priors")
    for module in [importlib.import_module(f"kernelgan_jax{package}")]
    for name in module.__all__
    if inspect.isfunction(value := getattr(module, name))
}  # fmt: skip
"""The functions that users import from a package."""


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_randomness_comes_first_and_options_are_keywords(function):
    parameters = inspect.signature(function).parameters
    for random in ("key", "keys", "rng"):
        assert random not in list(parameters)[1:]
    for parameter in parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        if parameter.default is not inspect.Parameter.empty:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter.name


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_every_function_says_what_it_does(function):
    first = (inspect.getdoc(function) or "").splitlines()[:1]
    assert first and first[0].endswith((".", ":"))
    assert not first[0].startswith("Of ")


@pytest.mark.parametrize("function", EXPORTED.values(), ids=EXPORTED)
def test_every_exported_function_has_an_example(function):
    assert doctest.DocTestParser().get_examples(function.__doc__)


@pytest.mark.parametrize("name", kernelgan_jax.__all__)
def test_everything_public_is_there(name):
    assert getattr(kernelgan_jax, name) is not None
