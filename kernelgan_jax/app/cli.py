"""The command's entry: arguments in, exit status out.

`flags.parse` makes options of the arguments; `run.run` carries them out. Only the
latter needs JAX, so that `--help` and a mistyped flag are answered at once.
"""

import contextlib
import gc
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from kernelgan_jax.app import commands
from kernelgan_jax.app.configuration import NotInstalled, UsageError
from kernelgan_jax.app.flags import Options, parse
from kernelgan_jax.app.terminal import print_error, print_text, reported
from kernelgan_jax.version import __version__

_HELP = frozenset({"--help", "-help", "-h", "--helpshort", "--helpfull"})

_SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
]
"""Signals that end a run as Ctrl-C does: SIGHUP when its terminal is closed."""


class _Terminated(KeyboardInterrupt):
    """One of `_SIGNALS`, its number as the argument."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command other than `benchmark`; returns its exit status.

    Args:
      argv: The arguments without the program's name; by default those of the process.
    """
    return reported(_status(argv))


def _status(argv: Sequence[str] | None) -> int:
    argv = list(sys.argv[1:] if argv is None else argv)
    if not _HELP.isdisjoint(argv):
        print_text(_usage(argv).removesuffix("\n"))
        return 0
    if "--version" in argv or "-version" in argv:
        print_text(f"kernelgan-jax {__version__}")
        return 0
    flags_are = "--help shows all flags"
    try:
        if shells := [a for a in argv if re.match("--?completion=", a)]:
            from kernelgan_jax.app.completion import script

            print_text(script(shells[-1].partition("=")[2]).removesuffix("\n"))
            return 0
        command, argv = commands.split(argv)
        if command == commands.WEB:
            flags_are = "web --help shows its flags"
            from kernelgan_jax.app.web import cli as web

            with _terminating():
                return web.main(argv)
        options = parse(argv)
        with _terminating():
            return _run(options)
    except NotInstalled as error:
        print_error(error)
        return 2
    except UsageError as error:
        print_error(f"{error} ({flags_are})")
        return 2
    except KeyboardInterrupt as error:
        terminated = isinstance(error, _Terminated)
        print_error(
            f"{'terminated' if terminated else 'interrupted'}; the results of finished "
            "images are kept, and the same command goes on"
        )
        return 128 + (error.args[0] if terminated else signal.SIGINT)


def _run(options: Options) -> int:
    """Carries out what the command line asks for; imports JAX."""
    # Modules stay. Looking for garbage among them again and again while they are
    # imported takes a sixth of the time.
    first = gc.isenabled() and "jax" not in sys.modules
    if first:
        gc.disable()
    try:
        from kernelgan_jax.app import run
    finally:
        if first:
            gc.freeze()
            gc.enable()
    try:
        return run.run(options)
    finally:
        if first:  # Python looks once more when it ends.
            gc.freeze()


def _usage(argv: Sequence[str]) -> str:
    """The text of `--help`."""
    if argv[0] == commands.WEB:
        from kernelgan_jax.app.web import cli as web

        return web.usage(program=program())
    from kernelgan_jax.app.usage import usage

    return usage(program=program())


def program() -> str:
    """How the program was called."""
    name = os.path.basename(sys.argv[0])
    of_python = {"main.py": "main.py", "__main__.py": "-m kernelgan_jax"}
    return f"python {of_python[name]}" if name in of_python else "kernelgan-jax"


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end the run as Ctrl-C does, unless they are ignored."""

    def terminate(number: int, _: Any) -> None:
        raise _Terminated(int(number))

    before = {}
    try:
        for number in _SIGNALS:
            # nohup ignores SIGHUP, and the run is to go on then.
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, terminate)
    except ValueError:  # Only the main thread may handle signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
