"""Batches of one size: which bucket a micro-step has, that pictures are seen equally often, and whole trainings."""

import shutil
from collections import Counter

import pytest
import torch
from noise_schedules import options
from tiny_runs import ROLLOUT, adapter, metrics, reset_accelerate, run, same_bits

from core.data.latents import LatentSet
from core.runs.workspace import Workspace
from core.training.batches import BatchStream, Position, Source
from core.training.forecasting import measure_here
from core.training.shapes import BucketStream

COUNTS = (5, 1, 3)
BUCKETS = {"aspect_ratio_buckets": "16,16;16,32", "train_batch_size": 2}


def latent_set(bucket):
    count = COUNTS[bucket]
    numbers = torch.arange(count)
    return LatentSet(
        latents=torch.full((count, 1, 2, 2 + bucket), 100.0 * bucket) + numbers[:, None, None, None],
        first=numbers, variants=torch.ones_like(numbers), framing=torch.zeros(count, 6, dtype=torch.long),
        prompt=torch.zeros_like(numbers), conditions=torch.ones(1, 2, 3), empty=torch.zeros(2, 3), prompts=("a",),
        repeats=torch.ones_like(numbers),
    )  # fmt: skip


def stream(**changes):
    values = {
        "seed": 7, "batch_size": 2, "micro_steps": 2, "caption_dropout": 0.0, "kind": "v_prediction", "last": 999,
        "rollout": options(), "grid": None, **changes,
    }  # fmt: skip

    def make(bucket, turn):
        names = tuple(f"{bucket}-{index}" for index in range(COUNTS[bucket]))
        source = Source(latent_set(bucket), "order", "variant", 1.0, torch.tensor([1]), names)
        return BatchStream([source], turn=turn, **values)

    return BucketStream(COUNTS, make, values["seed"])


def drawn(stream, steps):
    return [stream.draw(Position(step, micro), 0.0).clean for step in range(steps) for micro in range(2)]


def test_in_a_round_every_picture_is_seen_equally_often():
    micro = 4 * sum(COUNTS)
    seen = Counter(value for clean in drawn(stream(), micro // 2) for value in clean[:, 0, 0, 0].tolist())
    assert len(seen) == sum(COUNTS)
    assert set(seen.values()) == {8}


def test_the_stream_is_a_function_of_seed_and_position():
    whole, late = drawn(stream(), 20), stream()
    again = [late.draw(Position(step, micro), 0.0).clean for step in range(12, 20) for micro in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(whole[24:], again, strict=True))
    other = drawn(stream(seed=8), 20)
    assert [clean.shape for clean in other] != [clean.shape for clean in whole]


def test_processes_share_each_batch_and_its_size():
    one = stream(batch_size=4)
    two = [stream(process=process, processes=2) for process in range(2)]
    for step in range(10):
        halves = [each.draw(Position(step, 1), 0.0).clean for each in two]
        assert torch.equal(torch.cat(halves), one.draw(Position(step, 1), 0.0).clean)


def test_the_names_are_those_of_the_batch():
    batches = stream()
    for step in range(10):
        values = [
            value for micro in range(2) for value in batches.draw(Position(step, micro), 0.0).clean[:, 0, 0, 0].tolist()
        ]
        assert batches.names(step) == list(dict.fromkeys(f"{int(value // 100)}-{int(value % 100)}" for value in values))


@pytest.mark.parametrize("target", ["anchored", "posterior"])
@pytest.mark.parametrize("mode", ["fresh", "visited"])
def test_a_training_with_buckets_class_pictures_and_rollout_resumes_bit_for_bit(trained, mode, target):
    given = {
        **ROLLOUT, **BUCKETS, "scheduled_sampling_mode": mode, "scheduled_sampling_target": target,
        "max_train_steps": 5,
        "with_prior_preservation": True, "class_prompt": "a cat", "checkpointing_steps": 2, "drift_pairs": 2,
        "drift_samples": 2, "checkpoints_total_limit": None, "caption_dropout": 0.3,
    }  # fmt: skip
    folder = trained("run", **given)
    before, lines = adapter(folder), [line["loss"] for line in metrics(folder)]
    for name in ("step-000004", "step-000005"):
        shutil.rmtree(folder.checkpoints_dir / name)
    run(folder, resume=True)
    assert same_bits(before, adapter(folder))
    assert [line["loss"] for line in metrics(folder)] == lines


def test_one_bucket_of_the_resolution_is_the_training_without_buckets(trained):
    plain = trained("plain")
    assert same_bits(adapter(plain), adapter(trained("one", aspect_ratio_buckets="16,16")))


def test_a_forecast_reckons_with_the_largest_bucket(one_thread, config, tmp_path):
    found = {}
    for name, buckets in (("small", "16,16"), ("both", "16,16;16,32"), ("large", "16,32")):
        reset_accelerate()
        measured = measure_here(config(aspect_ratio_buckets=buckets), Workspace(tmp_path / name))
        assert measured.memory is not None
        found[name] = measured.memory
    assert found["small"].activations < found["both"].activations == found["large"].activations
    assert found["small"].picture == found["large"].picture  # samples are squares
    assert measured.facts.distance is not None
