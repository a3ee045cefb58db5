"""What tests of every part use."""

import pytest

from tests.support import patience


@pytest.fixture
def until():
    """``until(condition)`` waits for it, and fails the test when it does not come."""
    return patience.until
