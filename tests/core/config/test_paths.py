from core.config.paths import ASSETS_DIR, EMBEDDED_BASES, PROJECT_ROOT, model_path


def test_a_base_model_is_an_embedded_one_a_folder_that_exists_or_a_hub_name(tmp_path):
    assert model_path("embedded") == str(ASSETS_DIR / "base")
    assert model_path("embedded-flow") == str(ASSETS_DIR / "base-flow")
    assert model_path(str(tmp_path)) == str(tmp_path)
    assert model_path("core") == str(PROJECT_ROOT / "core")
    assert model_path("some-owner/some-model") == "some-owner/some-model"


def test_a_name_that_no_folder_can_have_is_left_as_it_stands():
    assert model_path("x" * 5000) == "x" * 5000


def test_the_embedded_bases_have_a_folder_each():
    assert len(set(EMBEDDED_BASES.values())) == len(EMBEDDED_BASES) == 2
