"""Aspect-ratio buckets: read and chosen as diffusers' scripts do."""

import random

import pytest
from diffusers.training_utils import find_nearest_bucket, parse_buckets_string

from core.data.buckets import bucket_of, buckets_in_force, parse_buckets


def test_buckets_are_read_as_diffusers_reads_them():
    text = "512,512; 448 ,576;576,448"
    assert [(height, width) for width, height in parse_buckets(text)] == parse_buckets_string(text)


def test_the_nearest_bucket_is_the_one_that_diffusers_finds():
    dice = random.Random(0)
    for _ in range(500):
        buckets = list({(8 * dice.randint(1, 40), 8 * dice.randint(1, 40)) for _ in range(dice.randint(1, 6))})
        width, height = dice.randint(1, 300), dice.randint(1, 300)
        theirs = find_nearest_bucket(height, width, [(high, wide) for wide, high in buckets])
        assert bucket_of((width, height), buckets) == buckets[theirs]


def test_of_equally_near_buckets_diffusers_choice_is_taken():
    buckets = [(512, 512), (768, 768), (1024, 1024)]
    theirs = find_nearest_bucket(100, 100, [(high, wide) for wide, high in buckets])
    assert bucket_of((100, 100), buckets) == buckets[theirs]


@pytest.mark.parametrize(
    "text", ["", ";", "512", "512,512;", "512x512", "512,-8", "500,512", "512,500", "0,8", "8,8.0", "999999,8"]
)
def test_what_is_no_bucket_is_refused(text):
    with pytest.raises(ValueError):
        parse_buckets(text)


def test_without_buckets_there_is_the_square():
    assert buckets_in_force(None, 64) == ((64, 64),)
    assert buckets_in_force("64,32;64,32", 64) == ((32, 64),)
