"""The blind vote: which two pictures are shown, and that nobody can say afterwards that they were others.

The browser holds a token that tells nothing. Which arms stand behind it is known here alone, and once.
"""

from __future__ import annotations

import base64
import io
import random
import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from app.html import escape, paragraph
from app.samples import samples_of
from core.data.pictures import read_picture
from core.runs.experiment import Experiment
from core.runs.experiment_folder import ArmRun
from core.runs.votes import Choice, Vote, read_votes
from core.samples.found import Spot

KEPT = 500
"""Pairs that are remembered; older ones can no longer be voted on."""
SIDE = 320
"""Pixels of a picture on the page, at most."""
FILE_NAME = "votes.jsonl"
PREFERRED = ("rollout", "teacher-forced")
KEYS_SCRIPT = """document.addEventListener("keydown", (event) => {
  const name = {j: "left", k: "neither", l: "right"}[event.key?.toLowerCase()];
  if (!name || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("#vote")) document.querySelector(`#vote-${name}`)?.click();
});"""
"""J, K and L choose while the focus is within the vote."""


@dataclass(frozen=True)
class Pair:
    """Two pictures that differ in the arm alone.

    Attributes:
        experiment: Name of the experiment.
        seed: Training seed of both.
        spot: Step, prompt and sample seed of both.
        arms: Left and right.
        paths: The pictures, left and right.
    """

    experiment: str
    seed: int | None
    spot: Spot
    arms: tuple[str, str]
    paths: tuple[Path, Path]

    def vote(self, choice: Choice) -> Vote:
        """What is recorded when somebody chooses."""
        spot = self.spot
        return Vote(time.time(), self.seed, spot.step, spot.prompt, spot.seed, *self.arms, choice)


class Ballots:
    """The pairs that are shown now, by token; lost with the server, which costs a new pair."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pairs: OrderedDict[str, Pair] = OrderedDict()

    def hand_out(self, pair: Pair) -> str:
        """Remembers a pair and gives the token for it."""
        token = secrets.token_urlsafe(18)
        with self._lock:
            self._pairs[token] = pair
            while len(self._pairs) > KEPT:
                self._pairs.popitem(last=False)
        return token

    def take(self, token: object, experiment: str) -> Pair | None:
        """The pair behind a token, once; None for any other text and for another experiment's token."""
        with self._lock:
            pair = self._pairs.get(token) if isinstance(token, str) else None
            if pair is None or pair.experiment != experiment:
                return None
            return self._pairs.pop(token)  # type: ignore[arg-type]


def compared_arms(experiment: Experiment) -> tuple[str, str] | None:
    """The arm that is voted on and its reference: rollout and teacher forcing, else the second and the first."""
    names = list(dict.fromkeys(arm.arm for arm in experiment.arms))
    if all(name in names for name in PREFERRED):
        return PREFERRED
    return (names[1], names[0]) if len(names) > 1 else None


def votes_path(experiment: Experiment) -> Path:
    """Where an experiment's votes are kept."""
    return experiment.path / FILE_NAME


def pairs_of(experiment: Experiment) -> list[Pair]:
    """All pairs that can be voted on, the reference left: of each training seed at the last step that both arms have.

    Before training the arms draw the same pictures: step 0 is left out.
    """
    arms = compared_arms(experiment)
    if arms is None:
        return []
    runs = {(arm.arm, arm.seed): arm for arm in experiment.arms}
    found = []
    for seed in dict.fromkeys(arm.seed for arm in experiment.arms):
        one, other = runs.get((arms[1], seed)), runs.get((arms[0], seed))
        if one is not None and other is not None:
            found += _pairs_of_seed(experiment.name, one, other)
    return found


def _pairs_of_seed(experiment: str, one: ArmRun, other: ArmRun) -> list[Pair]:
    left, right = samples_of(one.run), samples_of(other.run)
    common = [spot for spot in left if spot in right and spot.step > 0]
    last = max((spot.step for spot in common), default=0)
    return [
        Pair(experiment, one.seed, spot, (one.arm, other.arm), (left[spot], right[spot]))
        for spot in common
        if spot.step == last
    ]


def next_pair(experiment: Experiment, pairs: Sequence[Pair], chance: random.Random) -> Pair:
    """One of the pairs that have the fewest votes, its sides by chance.

    Args:
        experiment: Whose votes count.
        pairs: At least one.
        chance: What decides.
    """
    voted = Counter(_key(vote) for vote in read_votes(votes_path(experiment)))
    fewest = min(voted[_key_of(pair)] for pair in pairs)
    pair = chance.choice([pair for pair in pairs if voted[_key_of(pair)] == fewest])
    return pair if chance.random() < 0.5 else replace(pair, arms=pair.arms[::-1], paths=pair.paths[::-1])


def _key(vote: Vote) -> tuple:
    return (vote.seed, vote.step, vote.prompt, vote.sample_seed)


def _key_of(pair: Pair) -> tuple:
    return (pair.seed, pair.spot.step, pair.spot.prompt, pair.spot.seed)


def pair_html(pair: Pair, prompt: str) -> str:
    """Both pictures as data within the page: no address and no metadata tells the arm.

    Raises:
        DataError: If a picture cannot be read.
    """
    sides = "".join(
        f'<figure class="rw-picture"><img src="{data_uri(path)}" alt="{side} picture of: {escape(prompt)}" '
        f'width="{SIDE}" height="{SIDE}"><figcaption>{side}</figcaption></figure>'
        for side, path in zip(("Left", "Right"), pair.paths, strict=True)
    )
    return f'{paragraph(prompt, "asked")}<div class="rw-pair rw-pixels">{sides}</div>'


def data_uri(path: Path) -> str:
    """A picture's pixels and nothing else of the file: a sample's metadata names its settings.

    Raises:
        DataError: If it cannot be read.
    """
    pixels = read_picture(path)
    plain = Image.frombytes("RGB", pixels.size, pixels.tobytes())
    buffer = io.BytesIO()
    plain.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
