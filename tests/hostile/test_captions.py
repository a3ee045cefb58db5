"""Captions as editors and scripts leave them: the exact text is encoded, or the file is named with the way out."""

import codecs
import json

import pytest
from hostile_input import told
from PIL import Image

from app.datasets import advice, keep_upload, warnings_of
from app.design import TWO_ARMS
from app.preflight import preflight
from app.tabs.data import LONGEST_PROMPT, listing_html
from core.config.flat import flatten, parse_config
from core.config.presets import load_preset
from core.data.captions import LONGEST
from core.data.dreambooth import scan_folder
from core.data.prompts import USUALLY_READ, cut_note, tokens_at_least, tokens_read
from core.runs.workspace import Workspace

PROMPT = "a photo of sks cat"
TEXT = "ein süßer sks Kater 🐱 在桌上"
READ = {
    "utf-8": (TEXT.encode(), TEXT),
    "utf-8 with BOM": (codecs.BOM_UTF8 + TEXT.encode(), TEXT),
    "utf-16 little endian": (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), TEXT),
    "utf-16 big endian": (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), TEXT),
    "utf-32 little endian": (codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), TEXT),
    "lines and blanks": (b"  a cat,\r\n\ton\r\n\r\na table \n", "a cat, on a table"),
    "other blanks": ("a\u3000cat\u00a0on\u2028a table".encode(), "a cat on a table"),
    "markup": (b"<b>a cat</b> & {{7*7}} $(id)", "<b>a cat</b> & {{7*7}} $(id)"),
    "joined emoji": ("an 👩\u200d🚀".encode(), "an 👩\u200d🚀"),
    "right to left": ("חתול sks".encode(), "חתול sks"),
}
CHANGED = {
    "control characters": (b"a\x07 cat\x1b[31m\x7f", "a cat [31m"),
    "marks of direction": ("a \u202ecat\u202c\u200f".encode(), "a cat"),
    "a stray byte order mark": ("a \ufeffcat".encode(), "a cat"),
}
REFUSED = {
    "Latin-1": ("ein süßer Kater".encode("latin-1"), "byte 5 (0xfc) is not; save the caption as UTF-8"),
    "Shift-JIS": ("猫".encode("shift-jis"), "must be UTF-8 text, but byte 0 (0x94) is not"),
    "utf-16 without BOM": ("a cat".encode("utf-16-le"), "holds null bytes; save the caption as UTF-8"),
    "utf-16 cut": (codecs.BOM_UTF16_LE + "cat".encode("utf-16-le")[:-1], "must be UTF-16 text, but byte 6"),
    "half a character": (b"a \xed\xa0\x80 cat", "byte 2 (0xed) is not"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "byte 0 (0x89) is not"),
    "empty": (b"", "is empty; write one or remove it"),
    "white space": (b" \r\n\t \x0b", "is empty"),
    "nothing but a BOM": (codecs.BOM_UTF16_BE, "is empty"),
    "nothing that is seen": ("\u200e\u202e\x07".encode(), "is empty"),
    "one byte too many": (b"x" * (LONGEST + 1), "and at most 1 MB are read; shorten it"),
}


def folder_with(folder, content, name="a.txt"):
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("content", "text"), READ.values(), ids=READ)
def test_a_caption_is_read_to_the_letter(tmp_path, content, text):
    (item,) = scan_folder(folder_with(tmp_path, content), PROMPT).items
    assert (item.prompt, item.prompt_source, item.notes) == (text, "a.txt", ())


@pytest.mark.parametrize(("content", "text"), CHANGED.values(), ids=CHANGED)
def test_what_is_not_seen_is_taken_out_and_that_is_said(tmp_path, content, text):
    listing = scan_folder(folder_with(tmp_path, content), PROMPT)
    assert listing.items[0].prompt == text
    assert any("invisible characters" in note for note in warnings_of(listing, 8)[tmp_path / "a.png"])


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED)
def test_a_caption_that_cannot_be_read_surely_names_file_place_and_way_out(tmp_path, content, words):
    folder = folder_with(tmp_path / "mine", content)
    for action in (
        lambda: scan_folder(folder, PROMPT),
        lambda: keep_upload(tmp_path / "sets", "x", sorted(folder.iterdir())),
    ):
        found = told(action)
        assert list(found) == ["a.txt"]
        assert found["a.txt"].startswith("a.txt must ")
        assert words in found["a.txt"]
    assert not (tmp_path / "sets").exists()


def test_a_caption_of_a_hundred_megabytes_is_refused_unread(tmp_path):
    folder_with(tmp_path, b"a cat")
    with (tmp_path / "a.txt").open("r+b") as file:
        file.truncate(100 * 2**20)
    assert "it has 100 MB" in told(lambda: scan_folder(tmp_path, PROMPT))["a.txt"]


def test_a_caption_that_is_a_link_to_nothing_never_gives_way_to_the_instance_prompt(tmp_path):
    folder_with(tmp_path, b"")
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").symlink_to("gone.txt")
    assert "is a link to nothing" in told(lambda: scan_folder(tmp_path, PROMPT))["a.txt"]


def test_of_two_captions_the_one_that_is_not_used_is_said(tmp_path):
    folder_with(tmp_path, b"one")
    listing = scan_folder(folder_with(tmp_path, b"two", "a.caption"), PROMPT)
    assert listing.items[0].prompt == "one"
    assert dict(listing.skipped) == {
        "a.txt": "a caption",
        "a.caption": "a caption that is not used, since a.txt is",
    }


def test_all_captions_of_a_folder_are_told_at_once(tmp_path):
    for place, (content, _) in enumerate(REFUSED.values()):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{place}.png")
        (tmp_path / f"{place}.txt").write_bytes(content)
    assert set(told(lambda: scan_folder(tmp_path, PROMPT))) == {f"{place}.txt" for place in range(len(REFUSED))}


LONG = " ".join(f"word{place}" for place in range(10_000))


def test_ten_thousand_words_are_kept_whole_and_the_picture_is_named_wherever_one_looks(tmp_path):
    folder = folder_with(tmp_path / "cats", LONG.encode())
    for name in "bcd":
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    listing = scan_folder(folder, PROMPT)
    assert listing.items[0].prompt == LONG
    notes = warnings_of(listing, 8)
    assert [path.name for path, lines in notes.items() if any("text encoder" in line for line in lines)] == ["a.png"]
    assert any("shorten the prompts of a.png" in line for line in advice(listing))
    html = listing_html(listing, 8, USUALLY_READ)
    assert f"reads the first {USUALLY_READ} tokens" in html
    assert f"{len(LONG) - LONGEST_PROMPT} more characters" in html
    assert len(html) < 30_000
    config = parse_config({**flatten(load_preset("demo").config), "instance_data_dir": str(folder)})
    (check,) = [each for each in preflight(config, (), Workspace(tmp_path), TWO_ARMS) if each.title == "Pictures"]
    assert check.level == "warn"
    assert "shorten the prompts of a.png" in check.text


@pytest.mark.parametrize("base", ["v_prediction", "flow_matching"])
def test_a_prompt_that_is_said_to_be_cut_is_cut_by_the_models_own_tokenizer(bases, base):
    from transformers import CLIPTokenizer

    most = tokens_read(bases[base])
    tokenizer = CLIPTokenizer.from_pretrained(str(bases[base] / "tokenizer"))
    for prompt in ("a cat", "it's 3 cats, 40% grey!!", LONG[:300], TEXT, "____ ::: ½ ²", "a" * 400):
        count = len(tokenizer(prompt)["input_ids"]) - 2
        assert tokens_at_least(prompt) <= count
        assert cut_note(prompt, most) is None or count > most


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b'{"model_max_length": 1e30}', b'{"model_max_length": -1}', b'{"a":' * 100_000]
)
def test_a_base_model_that_does_not_say_how_much_it_reads_reads_what_is_usual(tmp_path, content):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer_config.json").write_bytes(content)
    assert tokens_read(tmp_path) == tokens_read(None) == tokens_read(tmp_path / "gone") == USUALLY_READ
    (tmp_path / "tokenizer" / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 24}))
    assert tokens_read(tmp_path) == 22


def test_of_a_model_that_is_not_here_the_family_says_how_much_it_reads():
    assert tokens_read(None, "sdxl") == USUALLY_READ
    assert (tokens_read(None, "sd3"), tokens_read(None, "flux")) == (255, 511)
