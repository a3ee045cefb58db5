from core.config.paths import EMBEDDED_BASE_DIR, PROJECT_ROOT, model_path


def test_a_base_model_is_the_embedded_one_a_folder_that_exists_or_a_hub_name(tmp_path):
    assert model_path("embedded") == str(EMBEDDED_BASE_DIR)
    assert model_path(str(tmp_path)) == str(tmp_path)
    assert model_path("core") == str(PROJECT_ROOT / "core")
    assert model_path("some-owner/some-model") == "some-owner/some-model"
