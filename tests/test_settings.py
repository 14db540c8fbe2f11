"""Settings classes: the ready-made checks, and one loop that applies them."""

import dataclasses
import math

import numpy as np
import pytest

from kernelgan_jax import settings
from kernelgan_jax.settings import Check, choice, number, setting, whole


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One field of each kind."""

    steps: int = setting(10, check=whole(0, multiple_of=10), about="Steps.")
    rate: float = setting(0.5, check=number(above=0), about="A rate.")
    name: str = setting("", check=choice("", "cosine"), about="A name.")
    size: int = setting(
        2, check=Check("2 or 4", lambda n: n in (2, 4)), about="A size."
    )
    free: object = None

    def __post_init__(self) -> None:
        settings.check_settings(self, prefix="config.example.")


def test_legal_values_pass():
    for values in ({}, {"rate": 3}, {"name": "cosine", "size": 4}, {"steps": 0}):
        assert (
            dataclasses.asdict(Example(**values))
            == dataclasses.asdict(Example()) | values
        )
    assert Example(free=math.nan).free is math.nan  # no range, no check


@pytest.mark.parametrize("number", [np.int64(20), np.uint8(20), np.float32(0.5)])
def test_numbers_of_numpy_become_pythons(number):
    name = "rate" if isinstance(number, np.floating) else "steps"
    found = getattr(Example(**{name: number}), name)
    assert found == number and type(found) in (int, float)


@pytest.mark.parametrize(
    ("name", "value", "legal"),
    [
        ("steps", 5, "a multiple of 10, at least 0"),
        ("steps", -10, "a multiple of 10, at least 0"),
        ("steps", 10.0, "a multiple of 10, at least 0"),
        ("steps", False, "a multiple of 10, at least 0"),
        ("rate", 0, "a finite number, above 0"),
        ("rate", math.nan, "a finite number, above 0"),
        ("rate", math.inf, "a finite number, above 0"),
        ("rate", True, "a finite number, above 0"),
        ("rate", "1", "a finite number, above 0"),
        ("name", "x", "'' or cosine"),
        ("name", 3, "'' or cosine"),
        ("size", 3, "2 or 4"),
    ],
)
def test_the_error_has_the_name_the_value_and_what_is_legal(name, value, legal):
    with pytest.raises(ValueError) as error:
        Example(**{name: value})
    expected = f"config.example.{name} is {value!r}; it must be {legal}"
    assert str(error.value) == expected


def test_the_limits_of_numbers():
    assert [number(least=0, most=1).accepts(x) for x in (-0.1, 0, 1, 1.1)] == [
        False,
        True,
        True,
        False,
    ]
    ends = number(above=0, under=1)
    assert [ends.accepts(x) for x in (0, 0.5, 1)] == [False, True, False]
    some = whole(1, most=3)
    assert [some.accepts(n) for n in range(5)] == [False, True, True, True, False]
    assert not any(check.accepts(None) for check in (whole(0), number(), choice("")))


def test_a_field_says_what_is_legal_and_what_it_is_about():
    fields = {field.name: field.metadata for field in dataclasses.fields(Example)}
    assert fields["steps"]["about"] == "Steps."
    assert fields["size"]["check"].legal == "2 or 4"
