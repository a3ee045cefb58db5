"""The bench prints what it measured; nothing here asserts a time."""

import re

import pytest

from core.bench import BENCHES, run_benches
from core.errors import ConfigError


def test_an_unknown_bench_is_refused_with_the_known_names():
    with pytest.raises(ConfigError, match="calls, steps, page"):
        run_benches(["calls", "speed"])


@pytest.mark.slow
def test_calls_bench_finds_that_a_batch_costs_its_longest_rollout(capsys, monkeypatch):
    monkeypatch.setattr("core.bench.calls.TIMED", 1)
    run_benches(["calls"])
    printed = capsys.readouterr().out
    together, apart = (float(number) for number in re.findall(r"(\d+\.\d+)(?:  ≤ 9\.5)?\s*$", printed, re.M)[:2])
    assert 8.5 < together <= 9.5  # E[max of 8 uniform draws from 0..10] = 9.2, less what the noisy end cuts
    assert 38 < apart < 41  # 8 items x mean length 5


def test_every_bench_names_a_function():
    from importlib import import_module

    for target in BENCHES.values():
        module, attribute = target.split(":")
        assert callable(getattr(import_module(module), attribute))
