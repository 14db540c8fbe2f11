"""The layers of the package: a file imports from its own layer and from lower ones."""

import ast
from pathlib import Path

import helpers
import pytest

import kernelgan_jax
from kernelgan_jax.__main__ import COMMAND_PACKAGES

PACKAGE = Path(kernelgan_jax.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    "camera checks settings pixels kernels blur_kernels resize correlation degradation "
    "metrics confidence_levels equivalent_gaussian estimate exact_products jpeg_steps "
    "kernel_export kernel_formats kernel_picture levels parallel power_spectra "
    "programs provenance pytrees transfer_functions usable_pixels square_extremes "
    "version width_texts".split(),
    ["priors"],
    ["estimators"],
    ["super_resolution"],
    ["config", "presets"],
    ["app"],
    ["benchmark"],
)
"""From low to high: modules and folders of the package."""

ENTRY_POINTS = {"__init__", "__main__"}

ONLY_ABOVE = {
    *COMMAND_PACKAGES,
    *"pillow_heif ray upath gradio jinja2".split(),
}
"""Modules that only `app` and `benchmark` import, all of them from extras."""

COMPILED = {
    "app/deep_wiener/train.py",
    "app/kernelgan_start/tasks.py",
    "app/kernelgan_start/train.py",
    "app/second_look/examples.py",
    "app/second_look/train.py",
    "estimators/kernelgan/train.py",
    "estimators/patch_recurrence.py",
    "estimators/spectral/batches.py",
    "estimators/spectral/newton.py",  # so that it is traced once, as the next
    "estimators/spectral/paths.py",
    "priors/flow/training.py",
    "programs.py",
    "super_resolution/closed_form.py",
    "super_resolution/deep_wiener/batch_program.py",
    "super_resolution/deep_wiener/weights.py",
    "super_resolution/published/methods.py",
    "super_resolution/zssr/method.py",
}
"""Files of the library that compile, batch or place on devices."""

LONG = {"app", "benchmark", "blur_kernels", "checks", "config", "kernels", "metrics",
        "pixels", "presets"}  # fmt: skip
"""Rooms whose files are not algorithms but collections: up to 450 lines."""


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Absolute names of all modules that a file imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(name):
    return next(i for i, rooms in enumerate(LAYERS) if name in rooms)


def name_of(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down(path):
    if room(path) in ENTRY_POINTS:
        return
    for name in imports(path):
        top, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if top == "kernelgan_jax" and any(target in rooms for rooms in LAYERS):
            assert layer(target) <= layer(room(path)), f"{name_of(path)}: {name}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_threads_and_terminals_only_above_the_library(path):
    if room(path) in {"app", "benchmark", "presets", *ENTRY_POINTS}:
        return
    assert not {name.split(".")[0] for name in imports(path)} & ONLY_ABOVE
    names = {n.id for n in ast.walk(ast.parse(path.read_text()))
             if isinstance(n, ast.Name)}  # fmt: skip
    assert "open" not in names or name_of(path) == "priors/flow/files.py"
    assert "ThreadPoolExecutor" not in names or name_of(path) == "parallel.py"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_compilation_and_placement_only_in_named_files(path):
    tree = ast.parse(path.read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "jax"
    }
    compiles = bool(used & {"jit", "device_put", "pmap", "shard_map"})
    assert not compiles or name_of(path) in COMPILED


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_long(path):
    lines = len(path.read_text().splitlines())
    is_config = path.name in ("config.py", "registry.py")
    assert lines <= (450 if room(path) in LONG or is_config else 250)


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".app.cli",
        ".app.completion",
        ".app.usage",
        ".app.web.cli",
        ".benchmark",
        ".benchmark.cli",
        ".config",
        ".estimators",
        ".super_resolution",
    ],  # fmt: skip
)
def test_what_needs_no_jax_does_not_import_it(module):
    assert helpers.imported(f"import kernelgan_jax{module}", "jax") == set()


def test_what_the_default_kernel_does_without_is_not_imported():
    slow = "flax", "matplotlib", "optax", "scipy.stats"
    assert helpers.imported("import kernelgan_jax.app.run", *slow) == set()
