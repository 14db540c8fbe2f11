"""The page in a real browser: its results are the command's, and nothing is kept."""

import contextlib
import gc
import glob
import shutil
import sys
import time
import urllib.error
import urllib.request

import helpers
import numpy as np
import pytest
from app import makers
from PIL import Image as pillow

from kernelgan_jax.app import cli
from kernelgan_jax.app.job import Task
from kernelgan_jax.app.web import cli as web
from kernelgan_jax.app.web import render, work
from kernelgan_jax.app.web.sessions import Sessions
from kernelgan_jax.pixels import from_unit, to_unit
from kernelgan_jax.resize import bicubic_resize

CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])),
    None,
)
BROKEN = "broken <b>.png"

# Those of Gradio and of what it needs are not ours.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A page that is served by this process: its address and its folder."""
    pytest.importorskip("gradio", reason="needs gradio")
    import gradio

    folder = tmp_path_factory.mktemp("web")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", "")  # `serve` sets it.
        yield web.serve(folder, web.parse(["--max_mb=1"])), folder
        gradio.close_all(verbose=False)
        gc.collect()  # Its warnings belong to this test, not to a later one.


@pytest.fixture(scope="module")
def browser():
    """Chromium, without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with api.sync_playwright() as playwright:
        # A container's root has no sandbox.
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
        with contextlib.closing(playwright.chromium.launch(**options)) as chromium:
            yield chromium


def opened(browser, address):
    """A new user's page; `page.foreign` has the requests to other servers."""
    page = browser.new_context(device_scale_factor=2).new_page()
    page.set_default_timeout(60_000)
    page.foreign = []

    def note(request):
        if not request.url.startswith((address, "data:", "blob:")):
            page.foreign.append(request.url)

    page.on("request", note)
    page.goto(address)
    return page


def drop(page, *paths):
    page.set_input_files("#photographs input[type=file]", paths)


def start(page):
    page.wait_for_selector("#photographs .download")  # It has been uploaded.
    page.click("#start")


def loaded(page, selector):
    """Bytes of what an element shows or links to."""
    found = page.locator(selector)
    source = found.get_attribute("src") or found.get_attribute("href")
    return page.request.get(page.url.rstrip("/") + source).body()


@pytest.mark.skipif(not CHROMIUM, reason="needs chromium: apt-get install chromium")
class TestInTheBrowser:
    def test_it_gives_what_the_command_gives(self, server, browser, tmp_path):
        flags = work.command(scale=2, strength=1)
        assert cli.main([*flags, "-o", f"{tmp_path}", f"{helpers.PHOTO}"]) == 0
        expected = tmp_path / helpers.PHOTO.stem
        page = opened(browser, server[0])
        drop(page, helpers.PHOTO)
        start(page)
        page.wait_for_selector("#results .done")
        assert page.locator("#results h3").inner_text() == helpers.PHOTO.name

        links = page.locator("#results a[download]").all()
        names = [link.get_attribute("download") for link in links]
        made = {path.name for path in expected.iterdir()}
        assert set(names) == made - {"kernel.png", "comparison.png"}
        for name in names:
            if name == "report.json":
                continue
            found = loaded(page, f"#results a[download='{name}']")
            # The headers of .mat have the time.
            size = 128 if name.endswith(".mat") else 0
            assert found[size:] == (expected / name).read_bytes()[size:], name
        assert loaded(page, ".figure") == (expected / "kernel.png").read_bytes()
        assert loaded(page, ".after") == (expected / "sr_x2.png").read_bytes()
        bicubic = np.clip(bicubic_resize(to_unit(helpers.photo_uint8()), 2), 0, 1)
        (tmp_path / "before.png").write_bytes(loaded(page, ".before"))
        with pillow.open(tmp_path / "before.png") as before:
            np.testing.assert_array_equal(before, from_unit(bicubic, np.uint8))

        with page.expect_download() as download:
            page.click("text=Report")
        download.value.save_as(tmp_path / "report.json")
        ours, theirs = (
            helpers.strict_json(folder / "report.json")
            for folder in (tmp_path, expected)
        )
        same = ("confidence", "kernel_x2", "noise", "config", "fingerprint", "exports")
        assert [ours[name] for name in same] == [theirs[name] for name in same]
        confidence = theirs["confidence"]
        words = page.locator(".kernel").inner_text()
        assert f"Confidence {confidence['level']}" in words
        assert confidence["reason"] in words

        # Each pixel is one of the screen, of which two are a CSS pixel here.
        sides = page.eval_on_selector(".after", "i => [i.naturalWidth, i.clientWidth]")
        assert sides[0] == 2 * sides[1] == 2 * helpers.photo().shape[1]
        page.locator(".pair input").fill("25")
        border = page.eval_on_selector(".after", "i => getComputedStyle(i).clipPath")
        assert border.endswith(f" {sides[1] / 4:g}px)")
        assert page.foreign == []
        page.context.close()

    def test_two_users_and_a_broken_file(self, server, browser, tmp_path):
        broken = tmp_path / BROKEN
        broken.write_bytes(helpers.PHOTO.read_bytes()[:2000])
        second = tmp_path / "second.png"
        helpers.write_image(
            second, helpers.photo_uint8()[:, ::-1]
        )  # The same programs.
        first_page, second_page = (opened(browser, server[0]) for _ in range(2))
        drop(first_page, broken, helpers.PHOTO)
        drop(second_page, second)
        start(first_page)
        start(second_page)
        for page, name in (
            (first_page, helpers.PHOTO.name),
            (second_page, "second.png"),
        ):
            page.wait_for_selector("#results .done")
            assert page.locator("#results .done h3").all_inner_texts() == [name]
        problem = first_page.locator("#results .problem").inner_text()
        assert problem.startswith("broken") and "\n" not in problem
        assert str(server[1]) not in problem
        first_page.wait_for_selector("text=all (.zip)")

        results, uploads = server[1] / "results", server[1] / "uploads"
        assert len(list(results.iterdir())) == 2
        for page in (first_page, second_page):
            page.context.close()
        for _ in range(300):
            # Unlike `Path.glob`, it allows folders to be removed meanwhile.
            left = [*results.iterdir(), *glob.glob(f"{uploads}/*/*.png")]
            if not left:
                break
            time.sleep(0.1)
        assert left == []

    def test_what_it_refuses(self, server, browser, tmp_path):
        address, folder = server
        large = tmp_path / "large.png"
        large.write_bytes(bytes(2 * 10**6))
        page = opened(browser, address)
        page.click("#start")
        assert "Drop a photograph" in page.locator("#results .problem").inner_text()
        drop(page, large)
        page.wait_for_selector("text=maximum allowed")
        page.context.close()
        assert not list(folder.glob("uploads/*/large.png"))
        for path in (cli.__file__, "/etc/passwd"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"{address}gradio_api/file={path}")


# --- Without a browser ---


def test_pictures_of_what_browsers_do_not_show(estimation, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    bands = helpers.smooth(48, 56, 5).astype(np.float32) * 900
    tifffile.imwrite(tmp_path / "bands.tif", bands, planarconfig="contig")
    *_, entries = work.work(
        [tmp_path / "bands.tif"], tmp_path / "out", scale=2, strength=1
    )
    (entry,) = entries
    assert (entry.status, entry.text) == ("done", "")
    for path in (entry.before, entry.after):
        with pillow.open(path) as picture:
            assert (picture.size, picture.mode) == ((112, 96), "RGB")
            assert np.ptp(np.asarray(picture)) > 100
    assert 'download="sr_x2.tif"' in render.page(entries, [], None)


def test_names_are_no_html():
    entry = work.Entry(Task(makers.Path("<b>.png"), makers.Path("out")))
    for status in ("waiting", "failed"):
        entry.status, entry.text = status, "<b>.png: <i>"
        text = render.page([entry], [], None)
        assert "<b>" not in text and "&lt;b&gt;" in text


def test_a_round_blur_has_no_direction():
    entry = work.Entry(Task(makers.Path("a.png"), makers.Path("out")))
    entry.status = "done"
    for longer, text in ((1.13, "(standard deviations). "), (1.2, "axis at -68°. ")):
        widths = {"longer": longer, "shorter": 1.13, "angle": -68.0}
        entry.report = {
            "config": {"scale": 2},
            "kernel_x2": {"widths": widths},
            "super_resolution": {"note": "", "seconds": 1.0, "file": "sr_x2.png"},
            "image": {"note": ""},
            "seconds": 1.0,
            "files": [],
        }
        assert text in render.page([entry], [], None)


def test_a_file_on_two_pages_is_kept_until_both_are_closed(tmp_path):
    path = helpers.write_image(tmp_path / "digest" / "a.png", helpers.ramps(8, 8))
    sessions = Sessions(tmp_path / "results")
    sessions.add_uploads("one", [path])
    sessions.add_uploads("two", [path])
    former = sessions.new_results("one")
    assert sessions.new_results("one").is_dir() and not former.exists()
    sessions.close("one")
    assert path.exists() and not list(sessions.folder.iterdir())
    sessions.close("two")
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--prot=80", "there is no flag --prot; did you mean --port?"),
        ("--port=x", "--port=x: it must be a whole number"),
        ("photo.png", "web takes no images: photo.png; drop them on the page"),
        ("--max_mb=3", 'pip install "kernelgan-jax[web]"'),
    ],
)
def test_mistakes_in_the_flags(capsys, monkeypatch, flag, message):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.main(["web", flag]) == 2
    assert message in capsys.readouterr().err
