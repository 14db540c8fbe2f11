"""The form of the page and its server, by Gradio."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from kernelgan_jax.app.configuration import UsageError
from kernelgan_jax.app.files import OutputError
from kernelgan_jax.app.web import render
from kernelgan_jax.app.web.sessions import Sessions
from kernelgan_jax.app.web.work import Entry, command, work

MOST_FILES = 200
"""Photographs of one page at a time."""

MOST_PAGES = 32
"""Pages that may wait for their turn at the same time; the others wait in a queue."""

SCALES = [("sharpen only", 1), ("2 ×", 2), ("3 ×", 3), ("4 ×", 4)]
"""What the page offers; other scales are the command's."""

_HEAD = """\
# A larger, sharper picture
Drop photographs, choose how much larger, and start. The blur that each was downscaled
with is found from the picture itself. It is not for drawings and text.
Pictures are deleted when this page is closed.
"""


def build(sessions: Sessions) -> gr.Blocks:
    """The page, whose files `sessions` keeps."""

    def note_uploads(paths: list[str] | None, request: gr.Request) -> None:
        sessions.add_uploads(_name(request), map(Path, paths or []))

    def run(
        paths: list[str] | None, scale: int, strength: float, request: gr.Request
    ) -> Iterator[str]:
        chosen = [Path(path) for path in paths or []]
        if not chosen:
            yield render.problem("Drop a photograph first.")
            return
        if len(chosen) > MOST_FILES:
            yield render.problem(
                f"{len(chosen)} files are too many at a time; drop up to {MOST_FILES}, "
                "or use the command"
            )
            return
        sessions.add_uploads(_name(request), chosen)
        folder = sessions.new_results(_name(request))
        flags = command(scale=scale, strength=strength)
        entries: list[Entry] = []
        try:
            for entries in work(chosen, folder, scale=scale, strength=strength):
                yield render.page(entries, flags, None)
            if len(entries) > 1:
                packed = shutil.make_archive(str(folder) + "/all", "zip", folder)
                yield render.page(entries, flags, Path(packed))
        except (UsageError, OutputError, OSError) as error:
            yield render.problem(str(error))

    def close(request: gr.Request) -> None:
        sessions.close(_name(request))

    with gr.Blocks(title="kernelgan_jax", analytics_enabled=False) as page:
        gr.Markdown(_HEAD)
        with gr.Row():
            photographs = gr.Files(label="Photographs", elem_id="photographs")
            with gr.Column():
                scale = gr.Radio(SCALES, value=2, label="How much larger")
                strength = gr.Slider(
                    0, 1, value=1, step=0.05, label="Strength (0 faithful, 1 sharp)"
                )
                start = gr.Button("Start", variant="primary", elem_id="start")
        results = gr.HTML(elem_id="results")
        private: dict[str, Any] = {"api_visibility": "private"}
        photographs.upload(note_uploads, photographs, None, **private)
        start.click(
            run,
            [photographs, scale, strength],
            results,
            show_progress="hidden",
            concurrency_limit=MOST_PAGES,
            **private,
        )
        page.unload(close)
    return page


def _name(request: gr.Request) -> str:
    """The name of the page that a request comes from."""
    return str(request.session_hash)


def launch(page: gr.Blocks, sessions: Sessions, **options: Any) -> str:
    """Serves the page from threads of this process; returns its address.

    Nothing is loaded from other servers, and nothing is sent to them.

    Args:
      options: Further arguments of Gradio's `launch`.
    """
    here = Path(__file__).parent
    script = (here / "page.js").read_text()
    _, address, _ = page.queue().launch(
        allowed_paths=[str(sessions.folder)],
        css=(here / "page.css").read_text(),
        head=f"<script>{script}</script>",
        theme=gr.themes.Default(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        footer_links=[],
        share=False,
        ssr_mode=False,
        quiet=True,
        prevent_thread_lock=True,
        **options,
    )
    return address
