"""Pictures as they come: damaged, lying, huge, odd. Each is read right, passed over and said, or one sentence."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hostile_input import as_nobody, sentences, told
from odd_pictures import BAD, FORMATS, GOOD, encoded, noise, png
from PIL import Image

from app.datasets import keep_upload, warnings_of
from core.data.dreambooth import scan_folder
from core.data.pictures import MAX_BYTES, read_picture
from core.errors import DataError

PROMPT = "a photo of sks cat"
MEMORY = 1536 * 2**20
"""Bytes that a process may have beside what Python itself takes: one picture of the largest size, several times."""


def put(folder, name, content, share=None):
    folder.mkdir(exist_ok=True)
    kept = content if not isinstance(share, float) else content[: int(len(content) * share)]
    (folder / name).write_bytes(kept)
    return folder / name


def fingerprint(folder):
    return {
        path.name: (path.lstat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
    }


@pytest.mark.parametrize(("name", "content", "words"), BAD.values(), ids=BAD)
def test_a_picture_that_cannot_be_used_is_one_sentence_and_an_upload_of_it_keeps_nothing(
    tmp_path, name, content, words
):
    path = put(tmp_path / "mine", name, content, words)
    put(tmp_path / "mine", "good.png", encoded(noise(), "PNG"))
    before = fingerprint(path.parent)
    expected = words if isinstance(words, str) else ("is damaged", "is no png")
    for action in (
        lambda: scan_folder(path.parent, PROMPT),
        lambda: keep_upload(tmp_path / "sets", "x", sorted(path.parent.iterdir())),
    ):
        found = told(action)
        assert list(found) == [name]
        assert found[name].startswith(f"{name} must be a readable picture, but it ")
        assert any(each in found[name] for each in ([expected] if isinstance(expected, str) else expected))
    assert not (tmp_path / "sets").exists()
    assert fingerprint(path.parent) == before


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "content", "size", "note"), GOOD.values(), ids=GOOD)
def test_a_picture_that_looks_odd_is_read_and_what_happens_to_it_is_said(tmp_path, name, content, size, note):
    path = put(tmp_path / "mine", name, content)
    before = fingerprint(path.parent)
    listing = scan_folder(path.parent, PROMPT)
    (item,) = listing.items
    assert (item.width, item.height) == size == read_picture(path).size
    notes = "; ".join(warnings_of(listing, 8)[path])
    assert note in notes
    if not note:
        assert not item.notes
    kept = keep_upload(tmp_path / "sets", "x", [path])
    (copy,) = kept.iterdir()
    assert copy.read_bytes() == content
    assert (copy.suffix, copy.stem.isprintable()) == (path.suffix, True)
    assert fingerprint(path.parent) == before


@pytest.mark.parametrize("kind", ["animated gif called webp", "animated webp", "animated png"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, kind):
    name, content, *_ = GOOD[kind]
    red, green, blue = read_picture(put(tmp_path / "mine", name, content)).getpixel((8, 8))
    assert (red > 200, green < 60, blue < 60) == (True, True, True)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_every_turn_of_the_camera_gives_the_same_upright_picture(tmp_path, suffix):
    undo = [None, None, *(Image.Transpose[name] for name in (
        "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_90", "TRANSVERSE", "ROTATE_270"
    ))]  # fmt: skip
    upright = Image.new("RGB", (32, 16), "white")
    upright.paste((200, 0, 0), (0, 0, 16, 8))
    for turn in range(1, 9):
        stored = upright if undo[turn] is None else upright.transpose(undo[turn])
        exif = Image.Exif()
        exif[0x0112] = turn
        stored.save(tmp_path / f"{turn}{suffix}", exif=exif, **({} if suffix == ".png" else {"quality": 100}))
    items = scan_folder(tmp_path, PROMPT).items
    assert {(item.width, item.height) for item in items} == {(32, 16)}
    for item in items:
        shift = np.abs(np.asarray(read_picture(item.path), float) - np.asarray(upright, float))
        assert shift.mean() < 8


def make_special(path, kind):
    """What is called as a picture and is none; opening some of these waits for ever, or never ends."""
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            here = os.getcwd()
            os.chdir(path.parent)  # the address of a socket is short
            socket.socket(socket.AF_UNIX).bind(path.name)
            os.chdir(here)
        case device:
            path.symlink_to(device)


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "/dev/zero", "/dev/random", "/dev/tty"])
@pytest.mark.parametrize("name", ["a.png", "good.txt"])
def test_what_is_no_file_is_passed_over_with_a_word(tmp_path, name, kind):
    put(tmp_path, "good.png", encoded(noise(), "PNG"))
    make_special(tmp_path / name, kind)
    listing = scan_folder(tmp_path, PROMPT)
    assert [(item.path.name, item.prompt) for item in listing.items] == [("good.png", PROMPT)]
    folder = "a folder that is not named as 10_sks cat is"
    assert dict(listing.skipped) == {name: folder if kind == "folder" else "a pipe, a socket or a device"}


def test_a_folder_of_nothing_else_says_what_was_passed_over(tmp_path):
    make_special(tmp_path / "a.png", "pipe")
    (sentence,) = told(lambda: scan_folder(tmp_path, PROMPT)).values()
    assert "must hold at least one picture" in sentence
    assert "a.png is a pipe" in sentence


@pytest.mark.parametrize("kind", ["folder", "pipe", "/dev/zero"])
def test_an_upload_of_what_is_no_file_is_refused(tmp_path, kind):
    make_special(tmp_path / "a.png", kind)
    found = told(lambda: keep_upload(tmp_path / "sets", "x", [tmp_path / "a.png"]))
    assert "cannot be read" in found["a.png"]
    assert not (tmp_path / "sets").exists()


@pytest.mark.parametrize(
    ("target", "words"), [("a.png", "too many levels of symbolic links"), ("gone.png", "is a link to nothing")]
)
def test_a_link_that_leads_nowhere_is_told(tmp_path, target, words):
    (tmp_path / "a.png").symlink_to(tmp_path / target)
    assert words in told(lambda: scan_folder(tmp_path, PROMPT))["a.png"]


def test_a_link_out_of_the_folder_is_followed_and_nothing_is_written_through_it(tmp_path):
    """The user named the folder: what its links mean is the user's affair, as long as it is only read."""
    elsewhere = put(tmp_path / "elsewhere", "b.png", encoded(noise(), "PNG"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").symlink_to(elsewhere)
    before = fingerprint(elsewhere.parent)
    assert len(scan_folder(tmp_path / "mine", PROMPT).items) == 1
    kept = keep_upload(tmp_path / "sets", "x", [tmp_path / "mine" / "a.png"])
    assert not (kept / "a.png").is_symlink()
    assert fingerprint(elsewhere.parent) == before


@pytest.fixture
def open_folder():
    """A folder that another user may enter."""
    folder = Path("/tmp").resolve() / f"hostile-{os.getpid()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_told_with_the_cause(open_folder):
    for name in ("a.png", "b.png", "b.txt"):
        put(open_folder, name, encoded(noise(), "PNG") if name.endswith("png") else b"a cat")
    for name in ("a.png", "b.txt"):
        (open_folder / name).chmod(0)
    (open_folder / "shut").mkdir(mode=0o000)
    with as_nobody():
        found = told(lambda: scan_folder(open_folder, PROMPT))
        shut = told(lambda: scan_folder(open_folder / "shut", PROMPT))
    assert set(found) == {"a.png", "b.txt"}
    assert all("permission denied" in sentence for sentence in (*found.values(), *shut.values()))


def test_a_file_that_comes_and_goes_while_it_is_read_is_read_or_told(tmp_path):
    content, over = encoded(noise((200, 200)), "PNG"), threading.Event()
    put(tmp_path, "b.png", content)

    def come_and_go():
        while not over.is_set():
            put(tmp_path, "a.png", content)
            (tmp_path / "a.png").unlink()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    outcomes = set()
    try:
        for _ in range(150):
            try:
                outcomes.add(len(scan_folder(tmp_path, PROMPT).items))
            except DataError as error:
                outcomes.update(sentences(error))
    finally:
        over.set()
        thread.join()
    assert outcomes <= {1, 2, "a.png"}
    assert len(outcomes) > 1


BOUNDED = """
import resource, sys
from core.data.dreambooth import scan_folder
from core.errors import DataError
with open("/proc/self/statm") as file:
    mine = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mine + int(sys.argv[2]),) * 2)
try:
    scan_folder(sys.argv[1], "a cat")
except DataError as error:
    print(error)
"""


def test_no_picture_makes_the_memory_grow_without_end(tmp_path):
    """In a process of its own, which is given memory for a few of the largest pictures and no more."""
    names = [name for name in BAD if "inflates" in name or "0,000" in name or "behind" in name]
    for place, name in enumerate(names):
        put(tmp_path, f"{place}.png", BAD[name][1])
    Image.new("RGBA", (8_000, 8_000), (9, 9, 9, 99)).save(tmp_path / "largest.png", compress_level=1)
    for sparse in ("sparse.webp", "sparse.png", "sparse.txt"):
        head = {"sparse.webp": b"RIFF\xff\xff\xff\x7fWEBPVP8 ", "sparse.png": png(8, 8)[:33]}.get(sparse, b"a cat")
        with (tmp_path / sparse).open("wb") as file:
            file.write(head)
            file.truncate(20 * MAX_BYTES)
    said = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path), str(MEMORY)], capture_output=True, text=True, timeout=300,
        check=False, env=os.environ | {"PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    told_of = {line.split(" ", 1)[0] for line in said.stdout.splitlines()}
    assert told_of == {f"{place}.png" for place in range(len(names))} | {"sparse.webp", "sparse.png", "sparse.txt"}


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [*FORMATS, ".gif"])
def test_four_thousand_damages_end_in_a_picture_or_in_a_sentence(tmp_path, suffix):
    kind = FORMATS.get(suffix, "GIF")
    more = {"exif": bytes(Image.Exif())} if kind in ("PNG", "JPEG", "WEBP") else {}
    whole, dice = encoded(noise((24, 24)), kind, **more), np.random.default_rng(1)
    path = tmp_path / "a.png"
    for _ in range(4000):
        damaged = bytearray(whole)
        for _ in range(dice.integers(1, 9)):
            reach = min(len(damaged), 200) if dice.random() < 0.6 else len(damaged)
            damaged[dice.integers(reach)] = dice.integers(256)
        path.write_bytes(damaged[: dice.integers(len(damaged)) if dice.random() < 0.2 else None])
        try:
            assert read_picture(path).mode == "RGB"
        except DataError as error:
            sentences(error)
