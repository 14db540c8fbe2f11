"""The HTML of the results: a section for each photograph."""

import html
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from kernelgan_jax.app.job import REPORT
from kernelgan_jax.app.result_names import KERNEL_FIGURE, export_name
from kernelgan_jax.app.web.work import Entry
from kernelgan_jax.kernel_formats import TOOLS
from kernelgan_jax.width_texts import direction, size

_PLAIN = {
    "high": "The kernel can be trusted.",
    "medium": "The kernel is about right.",
    "low": "The kernel should not be trusted; look at the picture before you use it.",
}
"""What the levels of confidence mean."""


def page(entries: Sequence[Entry], flags: Sequence[str], archive: Path | None) -> str:
    """The results of all photographs.

    Args:
      flags: The flags with which the command does the same.
      archive: A file with all results, if there is one.
    """
    done = sum(entry.status in ("done", "failed") for entry in entries)
    parts = []
    if len(entries) > 1:
        link = "" if archive is None else f" {_link(archive, 'Download all (.zip)')}"
        parts.append(f'<p class="count">{done} of {len(entries)} done.{link}</p>')
    parts += map(_section, entries)
    if done == len(entries):
        parts.append(
            f"<p class=same>The same in a terminal: <code>kernelgan-jax "
            f"{html.escape(' '.join(flags))} PHOTO</code></p>"
        )
    return "\n".join(parts)


def problem(text: str) -> str:
    """A line on what is wrong with the whole request."""
    return f'<p class="problem" role="alert">{html.escape(text)}</p>'


def _section(entry: Entry) -> str:
    name = html.escape(entry.task.path.name)
    if entry.status == "failed":
        return f'<section class="failed">{problem(entry.text)}</section>'
    if entry.status != "done":
        text = html.escape(entry.text or "waiting for its turn")
        return (
            f'<section class="{entry.status}"><h3>{name}</h3>'
            f'<p role="status">{text} …</p></section>'
        )
    return f"""<section class="done"><h3>{name}</h3>
{_slider(entry)}
<p class="kernel">{_kernel(entry)}</p>
<p class="files">{_downloads(entry)}</p>
{_kernel_picture(entry)}</section>"""


def _slider(entry: Entry) -> str:
    """Two pictures over each other, each pixel as one of the screen, and the slider."""
    return (
        '<div class="pair"><div class="view" tabindex="0">'
        f'<img class="before" alt="before" src="{url(entry.before)}">'
        f'<img class="after" alt="after" src="{url(entry.after)}"></div>'
        '<label>before <input type="range" min="0" max="100" value="50" '
        'aria-label="before and after"> after</label></div>'
    )


def _kernel(entry: Entry) -> str:
    """The kernel and the confidence in plain words."""
    report = entry.report
    found = report.get(f"kernel_x{report['config']['scale']}") or {}
    parts = []
    if widths := found.get("widths"):
        angle = direction(widths)
        axis = "" if angle == "-" else f", its longer axis at {angle}"
        parts.append(f"The blur is {size(widths)} wide (standard deviations){axis}.")
    if report.get("reason"):
        parts.append(f"No kernel was found: {report['reason']}.")
    elif confidence := report.get("confidence"):
        parts.append(f"Confidence {confidence['level']}: {_PLAIN[confidence['level']]}")
        if confidence["reason"]:
            parts.append(f"Why: {confidence['reason']}.")
    if note := report["super_resolution"]["note"]:
        parts.append(f"Enlarged {note}.")
    if note := report["image"]["note"]:
        parts.append(f"The file: {note}.")
    seconds = report["seconds"] + report["super_resolution"]["seconds"]
    parts.append(f"It took {seconds:.1f} s.")
    return html.escape(" ".join(parts))


def _downloads(entry: Entry) -> str:
    folder, scale = entry.task.folder, entry.report["config"]["scale"]
    names = [name for name in entry.report["files"] if (folder / name).exists()]
    own = f"kernel_x{scale}"
    labels = {entry.report["super_resolution"]["file"]: "Picture"}
    labels |= {f"{own}.npy": "Kernel (NumPy)", f"{own}.mat": "Kernel (MATLAB)"}
    labels |= {f"refitted_{own}.npy": "Refitted kernel (NumPy)"}
    labels |= {REPORT: "Report"}
    links = [
        _link(folder / name, label)
        for name, label in labels.items()
        if name in names or name == REPORT
    ]
    tools = {tool: export_name(tool, scale) for tool in TOOLS}
    others = [_link(folder / n, tool) for tool, n in tools.items() if n in names]
    text = "Download: " + " · ".join(links)
    return text + ("<br>Kernel for: " + " · ".join(others) if others else "")


def _kernel_picture(entry: Entry) -> str:
    path = entry.task.folder / KERNEL_FIGURE
    if not path.exists():
        return ""
    return (
        f'<img class="figure" src="{url(path)}" alt="the kernel; the white ellipse is '
        'one standard deviation, the blue ones are kernels that are also possible">'
    )


def _link(path: Path, label: str) -> str:
    name = html.escape(path.name)
    return f'<a href="{url(path)}" download="{name}">{html.escape(label)}</a>'


def url(path: Path) -> str:
    """Address at which the server has a file.

    Example:
      >>> url(Path("/tmp/a b.png"))
      '/gradio_api/file=/tmp/a%20b.png'
    """
    return f"/gradio_api/file={urllib.parse.quote(str(path))}"
