"""The progress bar: what is done with one image, or how many of a folder are done.

While a phase has no steps to count, the bar says what it is, whether JAX is compiling
programs for it, and for how long it has gone on.
"""

import contextlib
import functools
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from kernelgan_jax.app import terminal
from kernelgan_jax.app.job import Outcome, Task
from kernelgan_jax.estimate import Progress

_TICK = 0.5
"""Seconds between two pictures of a bar that does not move."""

LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
COMPILED = "/jax/core/compile/backend_compile_duration"
"""What JAX reports before and after it compiles a program."""

_NOTICEABLE = 0.1
"""Seconds from which on a compilation is worth a line in the log."""

_LOG = logging.getLogger(__name__)

_shown: set["Bar"] = set()
"""The bars that are told when JAX compiles."""


class Bar:
    """A bar on stderr, if that is a terminal; see `shown`."""

    def __init__(self, tasks: Sequence[Task], *, enabled: bool):
        self._name = terminal.printable(tasks[0].path.name) if len(tasks) == 1 else ""
        self._text, self._phase = "", ""
        self._compiling: set[int] = set()  # Threads.
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._bar = tqdm(
            desc=self._name or "images",
            file=terminal.Enduring(sys.stderr),
            total=0 if self._name else len(tasks),
            unit="step" if self._name else "image",
            bar_format=_TEXT if self._name else None,
            leave=False,
            dynamic_ncols=True,
            smoothing=0,  # The time left follows from the mean of all images.
            # None: the bar is shown on a terminal only.
            disable=None if enabled else True,
        )

    def report(self, done: Progress) -> None:
        """Shows a phase that begins (at step 0), or a step of one."""
        self._compiling.discard(threading.get_ident())
        with self._lock:
            if self._bar.disable or self._over.is_set():
                return
            if done.step == 0:
                self._text = done.phase
                if self._name:
                    self._bar.bar_format = _TEXT
            elif self._name and done.total > 1:
                self._show_steps(done)
                return
            self.refresh()

    def _show_steps(self, done: Progress) -> None:
        """Shows the steps of the only image."""
        if done.phase != self._phase:
            self._phase = done.phase
            self._bar.reset(total=done.total)
        self._bar.bar_format = None
        self._bar.set_description(f"{self._name}, {done.phase}", refresh=False)
        names = terminal.SHORT_NAMES
        self._bar.set_postfix(
            {names[name]: done.losses[name] for name in names if name in done.losses},
            refresh=False,
        )
        self._bar.n = done.step
        self._bar.refresh()

    def note(self, event: str) -> None:
        """Notes what JAX reports of this thread's compilations."""
        if event == LOWERED:
            self._compiling.add(threading.get_ident())
        elif event == COMPILED:
            self._compiling.discard(threading.get_ident())

    def add(self, outcome: Outcome) -> None:
        """Counts an image; those that were finished before do not count as work."""
        with self._lock:
            if not (self._bar.disable or self._name):
                self._bar.initial += outcome.status == "kept"
                self._bar.update()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Hides the bar while something else is printed."""
        with self._lock:
            self._bar.clear()
            yield

    def refresh(self) -> None:
        """Draws the bar again, as it is while it runs without being told anything."""
        with self._lock:
            if self._over.is_set():
                return
            known = self._name, self._text, "compiling" if self._compiling else ""
            text = ", ".join(filter(None, known))
            if not self._name:
                self._bar.set_postfix_str(text, refresh=False)
            elif self._bar.bar_format == _TEXT:
                self._bar.set_description_str(text, refresh=False)
            self._bar.refresh()

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            self.refresh()

    @contextlib.contextmanager
    def running(self) -> Iterator["Bar"]:
        """Moves the bar for as long as the context lasts."""
        if not self._bar.disable:
            threading.Thread(target=self._tick, daemon=True).start()
        try:
            yield self
        finally:
            with self._lock:
                self._over.set()
                self._bar.close()


_TEXT = "{desc} [{elapsed}]"
"""The bar where there are no steps to count."""


@contextlib.contextmanager
def shown(tasks: Sequence[Task], *, enabled: bool) -> Iterator[Bar]:
    """Shows a bar for as long as the context lasts.

    Args:
      tasks: The images: one, or several that are counted.
      enabled: Whether a bar is wanted; it is shown on a terminal only.
    """
    listen()
    with Bar(tasks, enabled=enabled).running() as bar:
        _shown.add(bar)
        try:
            yield bar
        finally:
            _shown.discard(bar)


@functools.cache
def listen() -> None:
    """Has JAX report when it compiles, for the bar and the log."""
    import jax

    jax.monitoring.register_event_duration_secs_listener(_note)


def _note(event: str, duration_secs: float, **about: Any) -> None:
    for bar in tuple(_shown):
        bar.note(event)
    if event == COMPILED and duration_secs >= _NOTICEABLE:
        _LOG.debug("%s compiled in %.1f s", about.get("fun_name"), duration_secs)
