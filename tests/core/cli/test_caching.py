"""``python -m core cache``: what is kept, and how it goes."""

from typer.testing import CliRunner

from core.__main__ import app


def said(*arguments):
    result = CliRunner().invoke(app, ["cache", *arguments])
    assert result.exit_code == 0, result.output
    return {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}


def test_an_empty_workspace_keeps_nothing(tmp_path):
    assert {name: words[0] for name, words in said("--workspace", str(tmp_path)).items()} == {
        "latents": "0", "conditions": "0", "class_images": "0",
    }  # fmt: skip


def test_clearing_removes_what_was_encoded_and_no_class_pictures(tmp_path):
    for name in ("cache/latents", "cache/conditions", "class_images/abc"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a").write_bytes(bytes(2**20))
    assert said("--workspace", str(tmp_path))["latents"] == ["1", "files", "1.0", "MB"]
    after = said("--clear", "--workspace", str(tmp_path))
    assert [after[name][0] for name in ("latents", "conditions", "class_images")] == ["0", "0", "1"]
