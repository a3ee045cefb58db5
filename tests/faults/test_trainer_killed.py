"""SIGKILL of the trainer at fifty moments: each run resumes and ends where an undisturbed one ends, bit for bit."""

import random
from collections import Counter

import pytest
from real_trainings import Place, finish
from survival import ANY, EVERY, VALUES, Kill, check_equal, killed

from core.runs import journal
from core.runs.folder import RunFolder

KILLS, UNIFORM = 50, 26
LIVES = 15  # so many kills at most befall one run
AIMS = (
    "loading", "saving a checkpoint", "sampling", "deleting a checkpoint", "training", "writing a sample",
    "cutting a journal back", "renamed", "appended", "cutting a journal back", "saving the adapter", "saving",
)  # fmt: skip
PLACES = ("loading", "training", "sampling", "saving a checkpoint", "deleting a checkpoint", "cutting a journal back")


def spree(place: Place, name: str, aims: list[str], chance: random.Random, whole: float) -> list[Kill]:
    """Kills a run again and again, at the first of the aims each time, and lets it end."""
    folder = place.run(name, **VALUES)
    kills: list[Kill] = []
    while aims and len(kills) < LIVES:
        found = killed(folder, aims[0], chance, whole)
        if found is None:
            return kills  # it was done: the aim waits for the next run
        kills.append(found)
        aims.pop(0)
    finish(folder, "resume")
    return kills


@pytest.mark.faults
def test_fifty_kills_lose_no_bit_and_at_most_the_steps_since_the_last_checkpoint(tmp_path, capsys):
    place, chance = Place(tmp_path), random.Random(5)
    other = place.run("undisturbed", **VALUES)
    whole = finish(other)
    aims = [ANY] * UNIFORM + [AIMS[index % len(AIMS)] for index in range(KILLS - UNIFORM)]
    chance.shuffle(aims)
    kills: list[Kill] = []
    runs: list[RunFolder] = []
    while aims:
        kills += spree(place, f"run-{len(runs) + 1}", aims, chance, whole)
        runs.append(RunFolder(place.workspace / "runs" / f"run-{len(runs) + 1}"))
        check_equal(runs[-1], other)
    places = Counter(kill.place for kill in kills)
    with capsys.disabled():
        print(f"\n{len(kills)} kills in {len(runs)} runs, at any moment and aimed: {dict(places.most_common())}")
        print(f"steps lost to each: {dict(sorted(Counter(kill.lost for kill in kills).items()))}")
    assert [kill.code for kill in kills] == [-9] * KILLS
    assert [place for place in PLACES if places[place] == 0] == []
    assert sum(kill.aim == ANY for kill in kills) == UNIFORM
    said = [row["lost"] for run in runs for row in journal.read_all(run.events_path) if row["kind"] == "resume"]
    assert max(said) <= EVERY
