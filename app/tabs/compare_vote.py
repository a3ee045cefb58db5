"""The blind vote on Compare: two pictures, no arms, a choice; the tally only when somebody asks for it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from app.comparison import chosen_of
from app.html import empty, paragraph
from app.parts import ACT, Parts, text_output
from app.pictures import prompt_text
from app.votes import compared_arms, next_pair, pair_html, pairs_of, votes_path
from core.errors import DataError, RunError
from core.report.words import tally_text
from core.runs.experiment import Experiment
from core.runs.votes import Choice, read_votes, record_vote, tally

CHANCE = secrets.SystemRandom()
CHOICES: dict[Choice, str] = {"left": "Left is better (J)", "neither": "Can't tell (K)", "right": "Right is better (L)"}
HELP = (
    "Two pictures of the same prompt, step and seeds; which arm drew which is hidden, and the sides change by chance. "
    "Keys J, K and L choose while one of the buttons has the focus. Votes are kept with the experiment."
)
Answer = list[Any]
"""What the handlers fill: the pictures, their token, the three buttons, a message, the tally."""


def build(parts: Parts) -> None:
    """Makes the section's components."""
    gr.Markdown("## Blind vote", elem_classes=["rw-heading"])
    with gr.Column(elem_id="vote"):
        gr.Markdown(HELP, elem_classes=["rw-note"])
        parts["compare.pair"] = text_output("vote-pair")
        parts["compare.token"] = gr.Textbox(value="", visible=False, label="pair")
        with gr.Row(elem_classes=["rw-actions"]):
            for choice, title in CHOICES.items():
                parts[f"compare.{choice}"] = gr.Button(
                    title, visible=False, scale=0, min_width=150, elem_id=f"vote-{choice}"
                )
        parts["compare.voted"] = text_output("vote-message")
        with gr.Row(elem_classes=["rw-actions"]):
            parts["compare.begin"] = gr.Button("Show two pictures", scale=0, min_width=170, elem_id="vote-begin")
            parts["compare.count"] = gr.Button("Show the tally", scale=0, min_width=150, elem_id="vote-count")
        parts["compare.tally"] = text_output("vote-tally")


def outputs(parts: Parts) -> list[Any]:
    """The components of an answer, in its order."""
    names = ("pair", "token", *CHOICES, "voted", "tally")
    return [parts[f"compare.{name}"] for name in names]


def wire(parts: Parts) -> None:
    """Binds the section's events."""
    pick, token = parts["compare.pick"], parts["compare.token"]
    parts["compare.begin"].click(lambda picked: deal(parts, picked), pick, outputs(parts), **ACT)
    for choice in CHOICES:
        cast: Callable[[Any, Any], Answer] = partial(cast_vote, parts, choice=choice)
        parts[f"compare.{choice}"].click(cast, [pick, token], outputs(parts), **ACT)
    parts["compare.count"].click(lambda picked: show_tally(parts, picked), pick, parts["compare.tally"], **ACT)


def nothing(message: str = "") -> Answer:
    """No pictures and no buttons, as before a vote."""
    return ["", "", *(gr.Button(visible=False) for _ in CHOICES), message, ""]


def deal(parts: Parts, picked: list[str] | None, message: str = "") -> Answer:
    """The next two pictures; the tally goes, so that voting stays blind."""
    experiment = chosen_of(parts.workbench, picked).experiment
    if experiment is None:
        return nothing(empty("A blind vote needs one experiment: its arms share everything but the rollout."))
    pairs = pairs_of(experiment)
    if not pairs:
        return nothing(empty("No two pictures to vote on yet: both arms must have drawn samples after step 0."))
    pair = next_pair(experiment, pairs, CHANCE)
    try:
        shown = pair_html(pair, prompt_text(experiment.arms, pair.spot.prompt))
    except DataError:
        return nothing(empty("A picture of this pair cannot be read; take another."))
    token = parts.workbench.ballots.hand_out(pair)
    buttons = (gr.Button(visible=True) for _ in CHOICES)
    return [shown, token, *buttons, paragraph(f"{message} {_how_many(experiment, len(pairs))}".strip()), ""]


def cast_vote(parts: Parts, picked: list[str] | None, token: Any, choice: Choice) -> Answer:
    """Records a choice between the two pictures that the token stands for, and shows the next two."""
    experiment = chosen_of(parts.workbench, picked).experiment
    pair = parts.workbench.ballots.take(token, experiment.name) if experiment is not None else None
    if experiment is None or pair is None:
        return deal(parts, picked, "Not counted: that pair was voted on already, or is no longer known here.")
    try:
        record_vote(votes_path(experiment), pair.vote(choice))
    except RunError as error:
        return deal(parts, picked, f"Not counted: {error}")
    return deal(parts, picked, "Counted.")


def show_tally(parts: Parts, picked: list[str] | None) -> str:
    """How all votes fell so far."""
    experiment = chosen_of(parts.workbench, picked).experiment
    arms = compared_arms(experiment) if experiment is not None else None
    if experiment is None or arms is None:
        return empty("No votes to count: choose one experiment.")
    return paragraph(tally_text(tally(read_votes(votes_path(experiment)), *arms), *arms))


def _how_many(experiment: Experiment, pairs: int) -> str:
    votes = len(read_votes(votes_path(experiment)))
    again = " All have been voted on: more votes repeat them, and the interval looks narrower than it is."
    counted = "1 vote" if votes == 1 else f"{votes} votes"
    return f"{counted} so far, {pairs} pairs.{again if votes >= pairs else ''}"
