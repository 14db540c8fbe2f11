"""The settings of a run: those of a config file or a preset, changed by flags.

The order is: the defaults, the config file or preset, single settings
(`--config.zssr.crop=64`), then the flags that choose (`--sr`, `--kernel`,
`--sr_kernel`). Needs no JAX.
"""

import dataclasses
import difflib
import importlib
import importlib.util
import os
import pkgutil
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from kernelgan_jax import presets
from kernelgan_jax.app import files
from kernelgan_jax.config import GROUPS, Config, readers
from kernelgan_jax.settings import SettingError

Settings = dict[str, Any]
"""All settings of a run by name; those of a group are a dictionary."""


class UsageError(Exception):
    """A mistake in the flags or the config; the message is one line."""


class NotInstalled(UsageError):
    """What the flags ask for is not installed; the message says how to install it."""


# --- Names of settings ---


def setting_names() -> list[str]:
    """Names of all settings that can be given, such as `scale` and `zssr.crop`."""
    names = [f.name for f in dataclasses.fields(Config) if f.name not in GROUPS]
    for group in GROUPS:
        names += [f"{group}.{field.name}" for field in group_fields(group)]
    return names


def group_fields(group: str) -> list[dataclasses.Field]:
    """The fields of a group that can be given as text: those with a description."""
    return [f for f in dataclasses.fields(GROUPS[group]) if "about" in f.metadata]


def check_name(name: str) -> None:
    """Checks that there is a setting of a name.

    Raises:
      UsageError: If there is none; the message names those that may have been meant.
    """
    known = setting_names()
    if name in known:
        return
    if name.partition(".")[0] in ("given", "kernel"):
        raise UsageError(
            f"there is no setting config.{name}; name a known kernel with --kernel="
        )
    if name in GROUPS and group_fields(name):
        example = f"{name}.{group_fields(name)[0].name}"
        raise UsageError(
            f"config.{name} is a group of settings; name one of them, as config."
            f"{example}"
        )
    *others, last = [f"config.{guess}" for guess in _guesses(name, known)]
    meant = f"{', '.join(others)} or {last}" if others else last
    raise UsageError(f"there is no setting config.{name}; did you mean {meant}?")


def _guesses(name: str, known: list[str]) -> list[str]:
    """The settings that a wrong name may mean, at least one."""
    group, _, last = name.rpartition(".")
    for near_group in difflib.get_close_matches(group, GROUPS, 1):
        inside = [other for other in known if other.startswith(f"{near_group}.")]
        if near := difflib.get_close_matches(f"{near_group}.{last}", inside, 1, 0.8):
            return near
    if group in known:  # It is a setting and has none inside, as sr.
        return [group]
    last_parts = [other.rpartition(".")[2] for other in known]
    for near_part in difflib.get_close_matches(last, last_parts, 1):
        return [other for other in known if other.rpartition(".")[2] == near_part]
    return difflib.get_close_matches(name, known, 1, cutoff=0)


# --- Config files and presets ---


def preset_names() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(module.name for module in pkgutil.iter_modules(presets.__path__))


def preset(name: str) -> ModuleType:
    """The module of a preset."""
    return importlib.import_module(f"{presets.__name__}.{name}")


def load(source: str | None) -> Settings:
    """All settings of a config file, a preset or, without either, the defaults.

    Args:
      source: Path of a Python file with `get_config`, optionally followed by a colon
        and an argument for it; or the name of a preset.

    Raises:
      UsageError: If there is no such file or preset, if its program fails, or if it
        has settings that do not exist.
    """
    if source is None:
        return complete({})
    path, arguments = source, []
    if found := re.fullmatch(r"(.*\.py):(.*)", source):
        path, arguments = found[1], [found[2]]
    try:
        module = _module(path)
        if not hasattr(module, "get_config"):
            raise UsageError(f"--config: {path} has no function get_config")
        config = module.get_config(*arguments)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # It is a program: it can raise anything.
        last_line = f"{type(error).__name__}: {error}".splitlines()[-1]
        raise UsageError(f"--config: {last_line}") from error
    return complete(_plain("get_config()", config))


def expanded(path: str) -> str:
    """A path with the user's home in place of `~`, unless `~` is there itself.

    Shells replace it in `--image ~/x`, but not in `--image=~/x`.

    Raises:
      UsageError: If it starts with the name of a user that does not exist.
    """
    if os.path.lexists(path):
        return path
    found = os.path.expanduser(path)
    if found.startswith("~"):
        raise UsageError(f"{path}: there is no such user; ./{path} is a file here")
    return found


def _module(path: str) -> ModuleType:
    if path in preset_names():
        return preset(path)
    if not path.endswith(".py"):
        raise UsageError(f"--config={path}: {_choice(path)}")
    path = expanded(path)
    try:
        problem = files.not_a_file(path)
    except FileNotFoundError as error:
        missing = f"{error.strerror}: {path!r}"
        raise UsageError(f"--config: {missing}; {_choice(path)}") from error
    if problem:
        raise UsageError(f"--config: {path} {problem}, not a Python file")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None  # as the suffix is .py
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _choice(path: str) -> str:
    """What `--config` takes, and the preset that may be meant by a path."""
    names = preset_names()
    near = difflib.get_close_matches(Path(path).stem, names, 1)
    meant = f"; did you mean --config={near[0]}?" if near else ""
    return f"it must be a Python file or one of {', '.join(names)}{meant}"


def _plain(name: str, settings: Any) -> Settings:
    """Settings of any form as a dictionary."""
    if isinstance(settings, ConfigDict):
        return settings.to_dict()
    if isinstance(settings, Mapping):
        return dict(settings)
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return dataclasses.asdict(settings)
    raise UsageError(f"{name} is {settings!r}; it must be a Config or a ConfigDict")


def complete(settings: Mapping[str, Any]) -> Settings:
    """Some settings together with the defaults of all others.

    Raises:
      UsageError: If one does not exist.
    """
    everything = dataclasses.asdict(Config())
    for name, value in settings.items():
        if name not in GROUPS:
            check_name(name)
            everything[name] = value
            continue
        for inner, inner_value in _plain(f"config.{name}", value).items():
            if inner not in everything[name]:
                check_name(f"{name}.{inner}")
            if isinstance(inner_value, list):  # as in a config file, for a tuple
                inner_value = tuple(inner_value)
            everything[name][inner] = inner_value
    return everything


def changeable(settings: Settings) -> ConfigDict:
    """The settings that flags can change, as `ml_collections` reads flags."""
    names = setting_names()
    plain = {name: settings[name] for name in names if "." not in name}
    for group in GROUPS:
        inner = {f.name: settings[group][f.name] for f in group_fields(group)}
        if inner:
            plain[group] = inner
    return ConfigDict(plain)


def changed(settings: Settings, flags: ConfigDict) -> Settings:
    """Settings after flags have changed a `changeable` copy of them."""
    after = dict(settings)
    for name, value in flags.to_dict().items():
        after[name] = settings[name] | value if name in GROUPS else value
    return after


# --- From settings to a Config ---


def choose(
    file: Settings,
    settings: Settings,
    explicit: Collection[str],
    *,
    short: Mapping[str, str],
) -> Config:
    """The config of a run.

    What the config file sets for an estimator or a method that flags have replaced is
    left out. What flags set for them is not: `Config` refuses it.

    Args:
      file: The settings of the config file.
      settings: The same after flags have changed some of them.
      explicit: Names of the single settings that were given as flags.
      short: The flags that were given in place of some of these, by setting.

    Raises:
      UsageError: If `Config` refuses the settings. The message names the setting, and
        the flag that the user has named.
    """
    settings = dict(settings)
    for group in GROUPS:
        if _reads(file, group) and not _reads(settings, group):
            kept = {
                name: value
                for name, value in settings[group].items()
                if f"{group}.{name}" in explicit
            }
            settings[group] = kept
    try:
        return Config(**settings)
    except (TypeError, ValueError) as error:
        setting = error.setting if isinstance(error, SettingError) else ""
        flag = short.get(setting.removeprefix("config."))
        message = name_flags(str(error))
        raise UsageError(f"--{flag}: {message}" if flag else message) from error


def _reads(settings: Settings, group: str) -> bool:
    """Whether the chosen estimator or method reads a group."""
    chosen = [settings["estimator"], settings["sr"]]
    return any(name in chosen for name in readers(group))


# --- Settings in messages ---

_FLAG_FORMS = (
    (rf"(?<![\w.-])(?:config\.)?((?:{'|'.join(GROUPS)})\.\w+=)", r"--config.\1"),
    (r"\buse scale (\d+)", r"use --config.scale=\1"),
    (r"(the method (\w+) takes any size)", r"\1 (--sr=\2)"),
    (r"\bor the method (\w+)", r"or --sr=\1"),
)


def name_flags(message: str) -> str:
    """A message of the library with the flags for the settings that it advises.

    Example:
      >>> name_flags("no warm start; try kernelgan.warm_start=per_channel")
      'no warm start; try --config.kernelgan.warm_start=per_channel'
    """
    for pattern, flag in _FLAG_FORMS:
        message = re.sub(pattern, flag, message)
    return message
