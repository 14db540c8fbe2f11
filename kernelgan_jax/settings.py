"""Settings classes: frozen dataclasses whose fields carry a legal range and a text.

A settings class declares its fields with `setting` and calls `check_settings` once, in
`__post_init__`. This file needs no JAX, so that the command can read all settings, with
their ranges and texts, before it starts to work.
"""

import dataclasses
import math
from collections.abc import Callable
from numbers import Number
from typing import Any

_LONGEST_VALUE = 120
"""Characters of the longest value that messages show."""


class SettingError(ValueError):
    """A setting is refused; the message has its name, its value and what is legal."""

    def __init__(self, message: str, *, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting
        """Its name in the message, such as `config.zssr.crop`."""


@dataclasses.dataclass(frozen=True)
class Check:
    """A test of one value, and the words for what passes it."""

    legal: str
    """What passes, as the end of "it must be ..."."""
    accepts: Callable[[Any], bool]
    """Whether a value passes; it may be of any type."""


def whole(least: int, *, most: int | None = None, multiple_of: int = 1) -> Check:
    """A check for whole numbers; `True` and `False` do not pass.

    Args:
      least: The smallest legal value.
      most: The largest legal value; None for no limit.
      multiple_of: Legal values are multiples of this number.

    Example:
      >>> whole(1, most=8).legal
      'a whole number from 1 to 8'
      >>> [whole(1).accepts(value) for value in (3, 0, True, 3.0)]
      [True, False, False, False]
    """
    kind = "a whole number" if multiple_of == 1 else f"a multiple of {multiple_of}"
    legal = (
        f"{kind}, at least {least}"
        if most is None
        else f"{kind} from {least} to {most}"
    )

    def accepts(value: Any) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and value >= least
            and (most is None or value <= most)
            and value % multiple_of == 0
        )

    return Check(legal, accepts)


def number(
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    under: float | None = None,
) -> Check:
    """A check for finite numbers; whole numbers pass, `True`, `False` and NaN do not.

    Args:
      least: The smallest legal value.
      most: The largest legal value.
      above: Legal values are larger than this one.
      under: Legal values are smaller than this one.

    Example:
      >>> number(least=0, under=1).legal
      'a finite number, at least 0 and under 1'
      >>> [number(above=0).accepts(value) for value in (3, 0.0, float("inf"))]
      [True, False, False]
    """
    limits = {"at least": least, "above": above, "at most": most, "under": under}
    words = [f"{word} {limit:g}" for word, limit in limits.items() if limit is not None]
    legal = "a finite number" + (", " + " and ".join(words) if words else "")

    def accepts(value: Any) -> bool:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and (least is None or value >= least)
            and (above is None or value > above)
            and (most is None or value <= most)
            and (under is None or value < under)
        )

    return Check(legal, accepts)


def choice(*names: str) -> Check:
    """A check for one of some names.

    Example:
      >>> choice("summed", "per_channel").legal
      'summed or per_channel'
      >>> choice("a", "b").accepts("c")
      False
    """
    legal = " or ".join(name or "''" for name in names)
    return Check(legal, lambda value: isinstance(value, str) and value in names)


TRUTH = Check("True or False", lambda value: isinstance(value, bool))
"""A check for truth values."""

TEXT = Check("a text", lambda value: isinstance(value, str))
"""A check for any text."""


def setting(default: Any, *, check: Check, about: str) -> Any:
    """A field of a settings class.

    Args:
      default: The default value.
      check: What is legal, as `whole`, `number` and `choice` say it.
      about: What the setting is, in plain words.

    Returns:
      A dataclass field with the metadata `check` and `about`.

    Example:
      >>> import dataclasses
      >>> @dataclasses.dataclass(frozen=True)
      ... class Settings:
      ...     steps: int = setting(10, check=whole(1), about="Training steps.")
      ...
      ...     def __post_init__(self):
      ...         check_settings(self, prefix="config.")
      >>> Settings().steps
      10
      >>> Settings(steps=0)
      Traceback (most recent call last):
      kernelgan_jax.settings.SettingError: config.steps is 0; it must be a whole \
number, at least 1
    """
    return dataclasses.field(default=default, metadata={"check": check, "about": about})


def shown(value: Any) -> str:
    """A value as messages show it, in one line: what is long by its kind or shape.

    Example:
      >>> import numpy as np
      >>> shown(0.5), shown(np.ones((48, 64)))
      ('0.5', 'an array of shape (48, 64)')
    """
    text = repr(value)
    if len(text) <= _LONGEST_VALUE and "\n" not in text:
        return text
    if shape := getattr(value, "shape", ()):
        return f"an array of shape {shape}"
    return f"a {type(value).__name__}"


def check_settings(settings: Any, *, prefix: str = "") -> None:
    """Checks the fields of a settings class that were declared with `setting`.

    Args:
      settings: An instance of a dataclass; numbers of NumPy in it become Python's.
      prefix: What error messages put before a field's name, such as `config.zssr.`.

    Raises:
      SettingError: If a value is not legal.
    """
    for field in dataclasses.fields(settings):
        if "check" not in field.metadata:
            continue
        value = getattr(settings, field.name)
        if isinstance(value, Number) and hasattr(value, "item"):
            object.__setattr__(settings, field.name, value := value.item())
        check = field.metadata["check"]
        if not check.accepts(value):
            name = f"{prefix}{field.name}"
            raise SettingError(
                f"{name} is {value!r}; it must be {check.legal}", setting=name
            )


def settings_of(owner: str, config: Any, settings_class: type | None) -> Any:
    """The settings that are given, checked for their class, or the default ones.

    Args:
      owner: What the settings are for, as error messages name it.
      config: Settings, or None for the default ones.
      settings_class: The class of the owner's settings; None if it has none.

    Raises:
      ValueError: If they are those of something else.

    Example:
      >>> settings_of("the method bicubic", None, None) is None
      True
    """
    if settings_class is None:
        if config is not None:
            raise ValueError(
                f"config is {shown(config)}; it must be None, as {owner} has no "
                "settings"
            )
        return None
    if config is None:
        return settings_class()
    if not isinstance(config, settings_class):
        raise ValueError(
            f"config is {shown(config)}; it must be a {settings_class.__name__} for "
            f"{owner}"
        )
    return config
