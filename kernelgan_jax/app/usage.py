"""The text of `--help`: flags, presets, and all settings with who reads them."""

from collections.abc import Collection, Mapping
from typing import Any

from absl import flags

from kernelgan_jax.app import configuration
from kernelgan_jax.app.commands import COMMANDS
from kernelgan_jax.app.flags import FLAGS, Flag, define
from kernelgan_jax.config import GROUPS, NO_SR, Config, readers
from kernelgan_jax.estimators.registry import ESTIMATORS
from kernelgan_jax.super_resolution.registry import METHODS

WIDTH = 88
"""Characters of the longest line."""

_SHOWN_DEFAULTS = ("output_dir", "seed", "batch_size", "shard", "format", "quality")
"""Flags whose default is worth showing."""

_USAGE = """\
Usage: {program} [COMMAND] --image=PHOTO [--image=FOLDER ...] [flags]

Finds the kernel that each image was downscaled with (from its power spectrum or, with
--config=x2_paper, by KernelGAN), and super-resolves the image with it (by a trained
network). The results of a/photo.png go to OUTPUT_DIR/photo: sr_x2.png, comparison.png,
kernel_x2.npy, kernel_x2.mat (or x3, ...; for scale 4 both x2 and x4), kernel.png (a
picture) and report.json; the frames of an animation make one, too.
OUTPUT_DIR/manifest.jsonl has a line for each image, summary.csv a row. Images that are
finished with the same settings are left out.

Commands, of which benchmark and web have flags of their own:
{commands}

Flags:
{flags}

Presets for --config=:
{presets}

Settings of every run, with their defaults:
{choices}

{groups}

Exit status: 0 if all images were done, 1 if some failed or what is printed cannot be
written, 2 for a mistake in the flags, 130, 143 or 129 if interrupted, terminated or
hung up: the same command then goes on where it stopped.
"""

_CONFIG = """\
A preset (below), or a Python file with get_config() that returns a Config or a \
ConfigDict, such as those in configs/. Single settings can be changed: \
--config.kernelgan.iterations=500"""

_CHOICES = {
    "estimator": (
        "How the kernel is found",
        {e.name: e.about for e in ESTIMATORS.values() if e.estimates},
    ),
    "scale": ("Scale of the kernel and of the super-resolution; from 1 to 8", {}),
    "sr": (
        "How the image is super-resolved, as --sr",
        {m.name: m.about for m in METHODS.values()} | {NO_SR: "not at all"},
    ),
}


def usage(*, program: str = "kernelgan-jax") -> str:
    """The text of `--help` of the program, as it was called."""
    image, *others = described(FLAGS, defaults=_SHOWN_DEFAULTS).values()
    groups = [group for group in GROUPS if configuration.group_fields(group)]
    return _USAGE.format(
        program=program,
        commands="\n".join(f"  {name}: {about}" for name, about in COMMANDS.items()),
        flags="\n".join([image, _wrap(f"--config: {_CONFIG}"), *others]),
        presets="\n".join(map(_preset, configuration.preset_names())),
        choices="\n".join(map(_choice, _CHOICES)),
        groups="\n\n".join(map(_group, groups)),
    )


def described(
    table: Mapping[str, Flag], *, defaults: Collection[str]
) -> dict[str, str]:
    """The text on each flag of a table.

    Args:
      table: The flags.
      defaults: Names of flags whose default is shown, if they have one.
    """
    values = flags.FlagValues()
    define(values, table=table)
    texts = {}
    for name, flag in table.items():
        is_shown = name in defaults and flag.default not in (None, False)
        default = f" (default: {flag.default})" if is_shown else ""
        texts[name] = _wrap(f"--{name}: {' '.join(values[name].help.split())}{default}")
    return texts


def _preset(name: str) -> str:
    first_line = (configuration.preset(name).__doc__ or "").partition("\n")[0]
    return _wrap(f"{name}: {first_line}")


def _choice(name: str) -> str:
    about, options = _CHOICES[name]
    listed = "; ".join(f"{option}: {text}" for option, text in options.items())
    return _setting(name, getattr(Config(), name), f"{about}. {listed}".strip())


def _group(group: str) -> str:
    lines = [f"Settings of {' and '.join(readers(group))}:"]
    for field in configuration.group_fields(group):
        about = field.metadata["about"]
        lines.append(_setting(f"{group}.{field.name}", field.default, about))
    return "\n".join(lines)


def _setting(name: str, default: Any, about: str) -> str:
    value = f'"{default}"' if isinstance(default, tuple) else f"{default}"
    return f"  --config.{name}={value}\n" + flags.text_wrap(
        about, WIDTH, "      ", "      "
    )


def _wrap(text: str) -> str:
    return flags.text_wrap(text, WIDTH, "      ", "  ")
