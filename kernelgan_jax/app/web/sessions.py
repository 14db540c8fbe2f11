"""The files of the pages that are open: what was dropped, and the results.

All lie below one temporary folder of the server. What belongs to a page is removed when
the page is closed or loaded again, and the whole folder when the server ends.
"""

import secrets
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path


class Sessions:
    """The files of each page, by the page's name."""

    def __init__(self, folder: Path):
        self.folder = folder
        """The folder with the results of all pages."""
        self._uploads: dict[str, set[Path]] = {}
        self._results: dict[str, Path] = {}
        self._lock = threading.Lock()

    def add_uploads(self, page: str, paths: Iterable[Path]) -> None:
        """Notes that files were dropped on a page."""
        with self._lock:
            self._uploads.setdefault(page, set()).update(paths)

    def new_results(self, page: str) -> Path:
        """A new folder for the results of a page; the former one is removed.

        Whoever knows a file's address can load it, so the name cannot be guessed.
        """
        folder = self.folder / secrets.token_urlsafe(16)
        folder.mkdir(parents=True)
        with self._lock:
            former = self._results.pop(page, None)
            self._results[page] = folder
        _remove(former)
        return folder

    def close(self, page: str) -> None:
        """Removes the files of a page.

        The same file, dropped on two pages, is kept once, until both are closed.
        """
        with self._lock:
            gone = self._uploads.pop(page, set()).difference(*self._uploads.values())
            former = self._results.pop(page, None)
        _remove(former)
        for path in gone:  # Each lies in a folder of its own.
            _remove(path.parent)


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
