"""The bench prints what it measured; nothing here asserts a time."""

import re

import pytest
import torch
from tiny_runs import alone

from core.bench import BENCHES, run_benches, visited
from core.bench.memory import peak_bytes
from core.bench.network import demo_loop
from core.errors import ConfigError
from core.training.batches import Position


def test_an_unknown_bench_is_refused_with_the_known_names():
    with pytest.raises(ConfigError, match="calls, steps, visited, memory, forecast, metrics"):
        run_benches(["calls", "speed"])


@pytest.mark.slow
def test_calls_bench_finds_that_a_batch_costs_its_longest_rollout(capsys, monkeypatch):
    monkeypatch.setattr("core.bench.calls.TIMED", 1)
    monkeypatch.setattr("core.bench.calls.COUNTED", 200)
    run_benches(["calls"])
    printed = capsys.readouterr().out
    numbers = re.findall(r"(\d+\.\d+)(?:  ≤ \d+\.5)?\s*$", printed, re.M)[:3]
    together, apart, with_reflexflow = (float(number) for number in numbers)
    assert 8.5 < together <= 9.5  # E[max of 8 uniform draws from 0..10] = 9.2, less what the noisy end cuts
    assert 38 < apart < 41  # 8 items x mean length 5
    assert together + 0.7 < with_reflexflow <= 10.5  # one call more, of the rolled items


def test_the_peak_is_what_is_held_at_once():
    mebibyte = 2**20

    def one_after_the_other():
        for _ in range(3):
            torch.ones(mebibyte // 4)

    assert peak_bytes(lambda: [torch.ones(mebibyte // 4) for _ in range(3)]) == 3 * mebibyte
    assert peak_bytes(one_after_the_other) in (mebibyte, 2 * mebibyte)  # the name may hold one until the next is there


@pytest.mark.slow
def test_the_visited_bench_rolls_every_item_out_to_its_full_length(tmp_path):
    with alone():
        loop = demo_loop(tmp_path, **visited.VISITED)
    stream = visited._FullLength.of(loop.parts.stream)
    for step in range(20):
        batch = stream.draw(Position(step, 0), 1.0)
        assert (batch.plan.steps == visited.LONGEST).all()
        assert batch.plan.source.max() <= 999
        torch.testing.assert_close(batch.share.sum(0), torch.ones(visited.BATCH))


def test_every_bench_names_a_function():
    from importlib import import_module

    for target in BENCHES.values():
        module, attribute = target.split(":")
        assert callable(getattr(import_module(module), attribute))
