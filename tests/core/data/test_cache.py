"""The cache on disk: the same bits or made again, whatever becomes of its files."""

import os
from importlib.metadata import version

import pytest
import torch

from core.data.cache import Cache


class Counted:
    """Makes a tensor, and counts how often."""

    def __init__(self, value=0.0):
        self.value, self.times = value, 0

    def __call__(self):
        self.times += 1
        return torch.arange(6).float().view(2, 3) / 7 + self.value


@pytest.fixture
def said():
    return []


@pytest.fixture
def cache(tmp_path, said):
    return Cache(tmp_path / "cache", "a network", said.append)


def files(cache):
    return sorted(cache.folder.iterdir())


def test_an_entry_is_made_once_and_comes_back_bit_for_bit(cache, said):
    make = Counted()
    first, second = cache.keep(("a", 1), make), cache.keep(("a", 1), make)
    assert make.times == 1
    assert torch.equal(first, second)
    assert first.dtype == second.dtype == torch.float32
    assert said == []
    assert [path.suffix for path in files(cache)] == [".safetensors"]


def test_an_entry_that_is_used_is_marked_as_used_now(cache):
    cache.keep(("a", 1), Counted())
    os.utime(files(cache)[0], (1, 1))
    cache.keep(("a", 1), Counted())
    assert files(cache)[0].stat().st_mtime > 1


@pytest.mark.parametrize("facts", [("a", 2), ("b", 1), ("a", "1"), ("a",), ("a", 1, None)])
def test_other_facts_are_another_entry(cache, facts):
    cache.keep(("a", 1), Counted())
    assert torch.equal(cache.keep(facts, Counted(5.0)), Counted(5.0)())


def test_another_network_finds_nothing(cache, said):
    cache.keep(("a",), Counted())
    assert torch.equal(Cache(cache.folder, "another", said.append).keep(("a",), Counted(5.0)), Counted(5.0)())


@pytest.mark.parametrize("library", ["diffusers", "pillow", "tokenizers", "torch", "transformers"])
def test_another_version_of_a_library_finds_nothing(cache, said, monkeypatch, library):
    cache.keep(("a",), Counted())
    monkeypatch.setattr("core.data.cache.version", lambda name: "99" if name == library else version(name))
    assert torch.equal(Cache(cache.folder, "a network", said.append).keep(("a",), Counted(5.0)), Counted(5.0)())


@pytest.mark.parametrize("place", [0, 8, 40, -20, -1])
def test_a_flipped_bit_is_noticed_said_and_mended(cache, said, place):
    cache.keep(("a",), Counted())
    (path,) = files(cache)
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    assert torch.equal(cache.keep(("a",), Counted()), Counted()())
    assert len(said) == 1
    assert "is made again" in said[0]
    cache.keep(("a",), lambda: pytest.fail("was not mended"))


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff" * 100])
def test_a_file_of_another_kind_is_made_again(cache, said, content):
    cache.keep(("a",), Counted())
    files(cache)[0].write_bytes(content)
    assert torch.equal(cache.keep(("a",), Counted()), Counted()())
    assert len(said) == 1


def test_a_link_to_nothing_is_made_again(cache, said, tmp_path):
    cache.keep(("a",), Counted())
    (path,) = files(cache)
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    assert torch.equal(cache.keep(("a",), Counted()), Counted()())
    assert not path.is_symlink()


def test_where_nothing_can_be_written_it_goes_on_and_says_so_once(tmp_path, said):
    (tmp_path / "cache").write_text("a file in its place")
    cache = Cache(tmp_path / "cache", "a network", said.append)
    for name in "ab":
        assert torch.equal(cache.keep((name,), Counted()), Counted()())
    assert len(said) == 1
    assert "cannot be written, and encoding goes on without it" in said[0]


def test_a_write_that_fails_leaves_nothing_behind(cache, said, monkeypatch):
    def refuse(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.data.cache.os.replace", refuse)
    cache.keep(("a",), Counted())
    assert files(cache) == []
    assert "no space left" in said[0]
