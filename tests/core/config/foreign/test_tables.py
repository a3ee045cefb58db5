from pathlib import Path

from core.config.foreign import READERS
from core.config.foreign.tables import markdown_tables

PAGE = Path(__file__).resolve().parents[4] / "docs" / "importing.md"


def test_the_page_holds_the_generated_tables_of_keys():
    assert markdown_tables().strip() in PAGE.read_text()


def test_every_key_and_every_older_name_stands_in_the_tables():
    text = markdown_tables()
    for reader in READERS.values():
        for key in reader.keys.values():
            assert all(f"`{name}`" in text for name in (key.name, *key.aliases))
