"""What the tests of the configuration share."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import settings

from core.config.flat import parse_config
from core.errors import ConfigError

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

REQUIRED = {
    "pretrained_model_name_or_path": "embedded",
    "instance_data_dir": "pictures",
    "instance_prompt": "a photo of sks dog",
}


@pytest.fixture
def parse():
    """Makes a configuration from flat values, the required ones filled in."""
    return lambda **values: parse_config({**REQUIRED, **values})


@pytest.fixture
def complaints():
    """The sentences about flat values, which have to be wrong."""

    def collect(values: Mapping[str, Any] | None = None, **more: Any) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            parse_config({**REQUIRED, **(values or {}), **more})
        return [problem.message for problem in caught.value.problems]

    return collect
