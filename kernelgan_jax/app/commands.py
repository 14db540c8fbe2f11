"""The commands: the word before the flags that chooses what is done. Needs no JAX."""

import difflib
import os
import re
from collections.abc import Sequence

from kernelgan_jax.app.configuration import UsageError

UPSCALE, ESTIMATE, BENCHMARK, WEB = "upscale", "estimate", "benchmark", "web"

COMMANDS = {
    UPSCALE: "find the kernel and super-resolve; the same without a command",
    ESTIMATE: "find the kernel alone, as with --sr=none",
    BENCHMARK: "make test sets and measure estimators on them, as kernelgan-benchmark",
    WEB: "serve a page in the browser",
}
"""The commands by name; `benchmark` and `web` have flags of their own."""


def split(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The command, `upscale` if there is none, and the arguments after it.

    Raises:
      UsageError: If the first argument is no file and looks like a mistyped command, or
        if the flags contradict the command.

    Example:
      >>> split(["web", "--port=80"]), split(["--image=web"])
      (('web', ['--port=80']), ('upscale', ['--image=web']))
    """
    first = argv[0] if argv else ""
    if first not in COMMANDS:
        if re.fullmatch("[a-z]+", first) and not os.path.lexists(first):
            if near := difflib.get_close_matches(first, COMMANDS, 1, 0.7):
                raise UsageError(
                    f"there is no command or file {first}; did you mean {near[0]}?"
                )
        return UPSCALE, list(argv)
    rest = list(argv[1:])
    if first == ESTIMATE:
        flags = rest[: rest.index("--")] if "--" in rest else rest
        if any(re.match(r"--?(config\.)?sr(=|$)", flag) for flag in flags):
            raise UsageError(
                "estimate finds the kernel alone; leave out --sr, or use upscale"
            )
        rest = ["--sr=none", *rest]
    return first, rest
