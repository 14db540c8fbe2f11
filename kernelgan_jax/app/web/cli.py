"""`kernelgan-jax web`: its flags, and the server until Ctrl-C."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from kernelgan_jax.app import flag_values
from kernelgan_jax.app.configuration import NotInstalled, UsageError
from kernelgan_jax.app.flags import Flag, define
from kernelgan_jax.app.terminal import print_error, print_text
from kernelgan_jax.app.usage import described

FLAGS = {
    "host": Flag(
        flags.DEFINE_string,
        "127.0.0.1",
        "Address to listen at; 0.0.0.0 serves everybody in the network, without a "
        "password.",
    ),
    "port": Flag(
        flags.DEFINE_integer,
        None,
        "Port to listen at; by default the first free one from 7860 on.",
        {"lower_bound": 1, "upper_bound": 65535},
    ),
    "max_mb": Flag(
        flags.DEFINE_integer,
        100,
        "Largest file that can be dropped, in MB.",
        {"lower_bound": 1},
    ),
    "open": Flag(flags.DEFINE_boolean, False, "Open the page in the browser."),
}
"""The flags by name."""


def main(argv: Sequence[str]) -> int:
    """Serves the page until it is interrupted; returns the exit status.

    Raises:
      UsageError: For flags that are unknown or have a wrong value.
      NotInstalled: If Gradio is missing.
    """
    values = parse(argv)
    try:
        # Before it is imported: nothing is sent to its makers.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        import gradio  # noqa: F401
    except ImportError as error:
        raise NotInstalled(
            f'web needs Gradio: pip install "kernelgan-jax[web]" ({error})'
        ) from error
    from kernelgan_jax.app.compilation_cache import keep_compilations

    keep_compilations()
    with tempfile.TemporaryDirectory(prefix="kernelgan_jax_web_") as folder:
        try:
            print_text(f"{serve(Path(folder), values)} (Ctrl-C ends it)")
        except OSError as error:
            print_error(error)
            return 1
        with contextlib.suppress(KeyboardInterrupt):  # It is how a server ends.
            threading.Event().wait()
    return 0


def usage(*, program: str) -> str:
    """The text of `web --help` of the program, as it was called."""
    listed = "\n".join(described(FLAGS, defaults=FLAGS).values())
    return f"""\
Usage: {program} web [flags]

Serves a page in the browser until Ctrl-C: drop photographs on it, and it shows what the
command makes of them. Needs pip install "kernelgan-jax[web]"; see docs/web.md.

Flags:
{listed}
"""


def parse(argv: Sequence[str]) -> flags.FlagValues:
    """The values of the flags.

    Raises:
      UsageError: If one is unknown or has a wrong value.
    """
    values = flags.FlagValues()
    define(values, table=FLAGS)
    try:
        rest = values(["kernelgan-jax web", *argv])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(flag_values.unknown(error.flagname, list(FLAGS))) from error
    except flags.Error as error:
        raise UsageError(flag_values.in_our_words(str(error))) from error
    if rest:
        raise UsageError(f"web takes no images: {rest[0]}; drop them on the page")
    return values


def serve(folder: Path, values: flags.FlagValues) -> str:
    """Serves the page from threads; returns its address.

    Raises:
      OSError: If the port is taken.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
    from kernelgan_jax.app.web import page
    from kernelgan_jax.app.web.sessions import Sessions

    (folder / "uploads").mkdir()
    sessions = Sessions(folder / "results")
    return page.launch(
        page.build(sessions),
        sessions,
        server_name=values.host,
        server_port=values.port,
        max_file_size=f"{values.max_mb}mb",
        inbrowser=values.open,
    )
