"""Arms see the same pictures, timesteps and noises; probability 0 is teacher forcing, bit for bit."""

from dataclasses import replace

import pytest
import torch
from noise_schedules import options
from tiny_checkpoint import KINDS
from tiny_runs import ROLLOUT, adapter, metrics, same_bits

from core.data.latents import LatentSet
from core.training.batches import BatchStream, Position, Source, seed_dropout, shuffled
from core.training.candidates import EMPTY_GROUP
from core.training.controls import Control
from core.training.streams import key, stream

PICTURES, LAST = 5, 999
ONE_GROUP = torch.tensor([1])
ROLLOUTS = [
    {},
    {"max_step_offset": 3, "stride": 50, "probability": 1.0},
    {"max_step_offset": 10, "probability": 0.5, "strategy": "biased_late", "sampler": "rk4"},
    {"max_step_offset": 2, "ramp_steps": 5, "ramp_shape": "cosine", "start_step": 1},
]


def latent_set(seed=0, pictures=PICTURES, variants=2):
    generator = torch.Generator().manual_seed(seed)
    return LatentSet(
        latents=torch.randn(pictures * variants, 1, 2, 2, generator=generator),
        first=torch.arange(pictures) * variants,
        variants=torch.full((pictures,), variants),
        framing=torch.arange(pictures * variants)[:, None].expand(-1, 6),
        prompt=torch.zeros(pictures, dtype=torch.long),
        conditions=torch.ones(1, 2, 3),
        empty=torch.zeros(2, 3),
        prompts=("a",),
        repeats=torch.ones(pictures, dtype=torch.long),
    )


def batches(sources=None, **changes):
    values = {
        "seed": 7, "batch_size": 4, "micro_steps": 2, "caption_dropout": 0.5, "kind": "v_prediction", "last": LAST,
        "rollout": options(), "grid": None,
    }  # fmt: skip
    sources = [Source(latent_set(), "order", "variant", 1.0, ONE_GROUP)] if sources is None else sources
    return BatchStream(sources, **{**values, **changes})


def with_prior(prior_loss_weight=0.5):
    return [
        Source(latent_set(0), "order", "variant", 1.0, ONE_GROUP),
        Source(latent_set(1, pictures=3), "class_order", "class_variant", prior_loss_weight, ONE_GROUP),
    ]


POSITIONS = [Position(step, micro) for step in range(4) for micro in range(2)]


@pytest.mark.parametrize("kind", ["v_prediction", "flow_matching"])
@pytest.mark.parametrize("rollout", ROLLOUTS[1:])
def test_rollout_options_leave_pictures_timesteps_and_noises_alone(kind, rollout):
    plain = batches(kind=kind)
    rolled = batches(kind=kind, rollout=options(**rollout))
    for position in POSITIONS:
        a, b = plain.draw(position, 0.0), rolled.draw(position, 1.0)
        for name in ("clean", "noise", "condition", "weight"):
            assert torch.equal(getattr(a, name), getattr(b, name)), name
        assert torch.equal(a.plan.target, b.plan.target)
    assert any(rolled.draw(position, 1.0).plan.rolled.any() for position in POSITIONS)


def test_streams_do_not_depend_on_what_was_drawn_before():
    first = batches().draw(Position(3, 1), 0.0)
    later = batches()
    for position in POSITIONS:
        drawn = later.draw(position, 0.0)
    assert torch.equal(first.noise, drawn.noise)
    assert torch.equal(first.clean, drawn.clean)


def test_every_position_has_its_own_numbers():
    drawn = [batches().draw(position, 0.0).noise for position in POSITIONS]
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_purposes_have_streams_of_their_own():
    purposes = ("order", "variant", "class_order", "class_variant", "timestep", "noise", "plan", "adapter", "drift")
    first = {torch.rand(1, generator=stream(0, purpose, 0, 0)).item() for purpose in purposes}
    assert len(first) == len(purposes)


def test_keys_do_not_run_into_each_other():
    assert len({key(1, "noise", 11), key(1, "noise", 1, 1), key(11, "noise", 1), key(1, "noise", 1)}) == 4


@pytest.mark.parametrize("with_class_pictures", [False, True])
def test_two_processes_share_the_batch_of_one(with_class_pictures):
    sources = with_prior if with_class_pictures else lambda: None
    rollout = options(max_step_offset=5, probability=1.0)
    one = batches(sources(), batch_size=4, rollout=rollout)
    two = [batches(sources(), batch_size=2, rollout=rollout, process=rank, processes=2) for rank in range(2)]
    assert one.items == two[0].items == two[1].items
    sets = 2 if with_class_pictures else 1
    for position in POSITIONS:
        whole, parts = one.draw(position, 1.0), [stream.draw(position, 1.0) for stream in two]
        for name in ("clean", "noise", "condition", "weight", "group"):
            halves = [getattr(part, name).unflatten(0, (sets, 2)) for part in parts]
            assert torch.equal(torch.cat(halves, 1).flatten(0, 1), getattr(whole, name)), name
        for name in ("source", "target", "steps"):
            halves = [getattr(part.plan, name).unflatten(0, (sets, 2)) for part in parts]
            assert torch.equal(torch.cat(halves, 1).flatten(0, 1), getattr(whole.plan, name)), name
        halves = [part.share.unflatten(1, (sets, 2)) for part in parts]
        assert torch.equal(torch.cat(halves, 2).flatten(1, 2), whole.share)


@pytest.mark.parametrize("control", [Control("perturbation", 0.1), Control("placebo", drift=[0.1] * 4)])
def test_a_control_leaves_the_paired_streams_alone_and_is_shared_like_the_batch(control):
    rollout = options(max_step_offset=5, probability=1.0)
    plain, own = batches(with_prior(), rollout=rollout), batches(with_prior(), rollout=rollout, control=control)
    halves = [
        batches(with_prior(), batch_size=2, rollout=rollout, control=control, process=rank, processes=2)
        for rank in range(2)
    ]
    drawn = []
    for position in POSITIONS:
        a, b = plain.draw(position, 1.0), own.draw(position, 1.0)
        assert a.disturbance is None
        for name in ("clean", "noise", "condition", "weight"):
            assert torch.equal(getattr(a, name), getattr(b, name)), name
        assert torch.equal(a.plan.steps, b.plan.steps)
        assert not torch.equal(b.disturbance.noise, b.noise)
        parts = [half.draw(position, 1.0).disturbance.noise.unflatten(0, (2, 2)) for half in halves]
        assert torch.equal(torch.cat(parts, 1).flatten(0, 1), b.disturbance.noise)
        drawn.append(b.disturbance.noise)
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_an_item_whose_caption_is_dropped_may_be_any_picture():
    for position in POSITIONS:
        drawn = batches(caption_dropout=0.5).draw(position, 0.0)
        dropped = (drawn.condition == 0).flatten(1).all(1)
        assert torch.equal(drawn.group == EMPTY_GROUP, dropped)


@pytest.mark.parametrize("kind", ["v_prediction", "flow_matching"])
def test_visited_blocks_hold_the_anchors_of_the_other_mode(kind):
    given = {"max_step_offset": 3, "stride": 50, "probability": 1.0}
    for position in POSITIONS:
        fresh = batches(kind=kind, rollout=options(**given)).draw(position, 1.0)
        visited = batches(kind=kind, rollout=options(mode="visited", **given)).draw(position, 1.0)
        assert torch.equal(fresh.clean, visited.clean)
        assert torch.equal(fresh.noise, visited.noise)
        distance = (visited.plan.itinerary() - fresh.plan.target.double()).abs().min(0).values
        assert (distance < 1e-3).all()
        torch.testing.assert_close(visited.share.sum(0), torch.ones(4))
        assert torch.equal(fresh.share, torch.ones(1, 4))


def test_the_losses_weights_sum_to_one_for_each_set_of_pictures():
    drawn = batches(with_prior(0.25), batch_size=3).draw(Position(0, 0), 0.0)
    assert drawn.weight[:3].sum().item() == pytest.approx(1.0)
    assert drawn.weight[3:].sum().item() == pytest.approx(0.25)


def test_an_epoch_shows_every_picture_once_and_the_next_in_another_order():
    first, second = (shuffled(0, "order", epoch * 50, 50, torch.arange(50)) for epoch in range(2))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second


def test_micro_steps_go_on_through_the_epoch():
    pictures = latent_set(pictures=8, variants=1)
    stream = batches([Source(pictures, "order", "variant", 1.0, ONE_GROUP)], batch_size=2, micro_steps=2)
    seen = [stream.draw(Position(step, micro), 0.0).clean for step in range(2) for micro in range(2)]
    shown = torch.cat(seen).flatten(1).tolist()
    assert sorted(shown) == sorted(pictures.latents.flatten(1).tolist())


def test_each_item_is_framed_as_its_variant_was_cut():
    heard = []

    def frame(condition, framing):
        heard.append(framing)
        return condition + framing.sum(1)[:, None, None]

    pictures = latent_set()
    batch = batches([Source(pictures, "order", "variant", 1.0, ONE_GROUP)], frame=frame).draw(Position(0, 0), 0.0)
    places = [next(i for i, known in enumerate(pictures.latents) if torch.equal(known, one)) for one in batch.clean]
    assert heard[0][:, 0].tolist() == places
    framed = torch.tensor(places).float() * 6
    assert set((batch.condition[:, 0, 0] - framed).tolist()) == {0.0, 1.0}  # with the caption left out, too


def test_an_epoch_may_end_within_a_batch():
    order = torch.arange(5)
    assert shuffled(3, "order", 4, 3, order) == shuffled(3, "order", 0, 10, order)[4:7]


def test_a_repeated_picture_comes_so_often_in_every_epoch():
    pictures = replace(latent_set(pictures=3), repeats=torch.tensor([1, 4, 2]))
    for epoch in range(3):
        seen = shuffled(3, "order", epoch * 7, 7, pictures.order)
        assert [seen.count(index) for index in range(3)] == [1, 4, 2]


def test_all_variants_of_a_picture_come_up():
    stream = batches([Source(latent_set(pictures=1, variants=3), "order", "variant", 1.0, ONE_GROUP)])
    seen = {drawn.item() for step in range(8) for drawn in stream.draw(Position(step, 0), 0.0).clean[:, 0, 0, 0]}
    assert len(seen) == 3


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.0), (1.0, 1.0), (0.3, 0.3)])
def test_captions_are_dropped_as_often_as_asked_for(chance, share):
    stream = batches(batch_size=500, caption_dropout=chance)
    empty = (stream.draw(Position(0, 0), 0.0).condition == 0).all(dim=(1, 2)).float().mean().item()
    assert empty == pytest.approx(share, abs=0.06)


def test_timesteps_cover_the_whole_noise_schedule():
    uniform = batches(batch_size=20000).draw(Position(0, 0), 0.0).plan.target
    assert not uniform.is_floating_point()
    assert (uniform.min().item(), uniform.max().item()) == (0, LAST)
    assert uniform.float().mean().item() == pytest.approx(LAST / 2, rel=0.03)


def test_flow_matching_timesteps_are_logit_normal():
    target = batches(batch_size=20000, kind="flow_matching", last=1000).draw(Position(0, 0), 0.0).plan.target
    logit = torch.logit(target.double() / 1000)
    assert logit.mean().item() == pytest.approx(0.0, abs=0.03)
    assert logit.std().item() == pytest.approx(1.0, abs=0.03)


def test_dropout_draws_from_a_stream_of_its_own(one_thread):
    seed_dropout(1, Position(2, 0), 0)
    first = torch.rand(3)
    torch.rand(100)
    seed_dropout(1, Position(2, 0), 0)
    assert torch.equal(first, torch.rand(3))
    others = [(1, Position(2, 0), 1), (1, Position(2, 1), 0), (1, Position(3, 0), 0), (2, Position(2, 0), 0)]
    for other in others:
        seed_dropout(*other)
        assert not torch.equal(first, torch.rand(3))


@pytest.mark.parametrize("kind", KINDS)
def test_probability_zero_is_teacher_forcing_bit_for_bit(trained, kind):
    never = (
        {**ROLLOUT, "scheduled_sampling_probability": 0.0, "scheduled_sampling_reflexflow": False}
        if (kind == "flow_matching")
        else {**ROLLOUT, "scheduled_sampling_probability": 0.0}
    )
    off = trained("teacher-forced", kind, lora_dropout=0.2)
    zero = trained("rollout", kind, lora_dropout=0.2, **never)
    assert same_bits(adapter(off), adapter(zero))
    assert [line["loss"] for line in metrics(off)] == [line["loss"] for line in metrics(zero)]


def test_a_rollout_with_probability_changes_the_adapter(trained):
    assert not same_bits(adapter(trained("off")), adapter(trained("on", **ROLLOUT)))


def test_before_the_first_rolled_step_both_arms_are_equal_bit_for_bit(trained):
    off = trained("off", max_train_steps=2)
    on = trained("on", max_train_steps=2, scheduled_sampling_start_step=2, **ROLLOUT)
    assert same_bits(adapter(off), adapter(on))
