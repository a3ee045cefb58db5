"""The ramp: zero before it starts, exact at both ends, and zero is a value like any other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise_schedules import options

from core.rollout.ramp import SHAPES, probability_at


def test_without_a_ramp_the_probability_is_constant():
    plain = options(probability=0.3)
    assert [probability_at(step, plain) for step in (0, 1, 10_000)] == [0.3, 0.3, 0.3]


@pytest.mark.parametrize("ramp_steps", [0, 100])
def test_nothing_is_rolled_out_before_the_start(ramp_steps):
    late = options(probability=1.0, ramp_steps=ramp_steps, prob_start=0.4, prob_end=0.8, start_step=50)
    assert probability_at(49, late) == 0.0
    assert probability_at(50, late) == (0.4 if ramp_steps else 1.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_both_ends_are_exact_and_the_middle_is_half_way(shape):
    ramp = options(ramp_steps=100, prob_start=0.1, prob_end=0.7, start_step=20, ramp_shape=shape, probability=0.9)
    assert probability_at(20, ramp) == 0.1
    assert probability_at(70, ramp) == pytest.approx(0.4)
    assert probability_at(120, ramp) == probability_at(5000, ramp) == 0.7


def test_shapes_differ_a_quarter_of_the_way():
    linear, cosine = (options(ramp_steps=100, prob_end=1.0, ramp_shape=shape) for shape in ("linear", "cosine"))
    assert probability_at(25, linear) == pytest.approx(0.25)
    assert probability_at(25, cosine) == pytest.approx(0.1464466)


def test_a_ramp_may_fall_and_may_end_at_zero():
    falling = options(ramp_steps=10, prob_start=1.0, prob_end=0.0, probability=0.5)
    assert [probability_at(step, falling) for step in (0, 5, 10, 11)] == pytest.approx([1.0, 0.5, 0.0, 0.0])


@given(
    step=st.integers(0, 300),
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    ramp_steps=st.integers(1, 200),
    start_step=st.integers(0, 100),
    shape=st.sampled_from(sorted(SHAPES)),
)
def test_a_probability_stays_between_its_ends(step, start, end, ramp_steps, start_step, shape):
    ramp = options(ramp_steps=ramp_steps, prob_start=start, prob_end=end, start_step=start_step, ramp_shape=shape)
    low, high = (0.0, 0.0) if step < start_step else (min(start, end), max(start, end))
    assert low - 1e-12 <= probability_at(step, ramp) <= high + 1e-12


def test_an_unknown_shape_is_named():
    with pytest.raises(ValueError, match="ramp_shape must be one of linear, cosine, got 'steep'"):
        probability_at(0, options(ramp_shape="steep"))
