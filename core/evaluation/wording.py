"""The sentences of a judgement. Only an exact test over six seeds or more may say "difference"."""

import math
from collections.abc import Sequence

from core.evaluation.statistics import LEAST_FOR_VERDICT, LEVEL, MOST_SEEDS
from core.runs.scores import Score

IN_A_SENTENCE = {
    "teacher-forced": "teacher forcing",
    "equal-compute": "teacher forcing at equal compute",
    "input-perturbation": "input perturbation",
    "placebo": "the matched-noise placebo",
    "replicate": "the A/A replicate",
    "too-long": "rollout that is too long",
}


def arm_words(arm: str) -> str:
    """What an arm is called within a sentence; its name where nothing better is known."""
    return IN_A_SENTENCE.get(arm, arm)


def size(value: float, score: Score) -> str:
    """The size of a difference without its sign; a log variance in per cent of the variance too."""
    plain = f"{abs(value):.3g} {score.unit}"
    return f"{plain} ({per_cent(abs(math.expm1(value)))} of the variance)" if score.unit == "nats" else plain


def per_cent(share: float) -> str:
    """A share as people read it."""
    return f"{100 * share:.3g} %"


def counted(number: int, what: str) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def finding(arm: str, reference: str, score: Score, mean: float) -> str:
    """What an arm does beside its reference, and by how much: the middle of a sentence."""
    if mean == 0:
        return f"{arm_words(arm)} and {arm_words(reference)} have the same {score.label}"
    effect = score.below if mean < 0 else score.above
    return f"beside {arm_words(reference)}, {arm_words(arm)} {effect}, by {size(mean, score)}"


def distance(arm: str, reference: str, score: Score, mean: float) -> str:
    """The same without a word on what it would mean."""
    where = "below" if mean < 0 else "above"
    return f"on average {arm_words(arm)} lies {size(mean, score)} {where} {arm_words(reference)} in {score.label}"


def nothing(arm: str, reference: str, score: Score) -> str:
    """Not one pair."""
    both = f"both {arm_words(arm)} and {arm_words(reference)}"
    return f"Nothing to judge yet: no training seed has the score {score.label} of {both}."


def illustration(found: str) -> str:
    """One pair."""
    return (
        f"Illustration, from one training seed: {found}. One seed cannot tell an effect from chance; "
        f"a verdict needs {LEAST_FOR_VERDICT - 1} more."
    )


def exploratory(found: str, differences: Sequence[float], waiting: int) -> str:
    """Two to five pairs; or more, but seeds that were declared are still to come."""
    count = len(differences)
    alike = sum(value * sum(differences) > 0 for value in differences)
    direction = f"; {alike} of {count} seeds point that way" if alike > 0 else ""
    if count < LEAST_FOR_VERDICT:
        rest = f"a verdict needs {LEAST_FOR_VERDICT - count} more"
    else:
        rest = f"the verdict waits for the declared seeds that are still to be trained: {waiting}"
    return f"Exploratory, from {count} training seeds: on average, {found}{direction}; {rest}."


def difference(found: str, seeds: int, p: float) -> str:
    """The test found something."""
    return f"Difference: {found}, over {seeds} training seeds (exact sign-flip test, p = {p:.2g})."


def no_difference_shown(found: str, seeds: int, p: float, more: int | None) -> str:
    """The test did not find anything; that is never turned into "no difference"."""
    if more is None:
        advice = f"To show an effect of this size would take more than {MOST_SEEDS} seeds."
    else:
        advice = f"To show an effect of this size would take about {counted(more, 'more seed')}: a rough estimate."
    return (
        f"No difference shown over {seeds} training seeds (exact sign-flip test, p = {p:.2g}): {found}, "
        f"which chance alone could bring about. {advice}"
    )


def all_equal(arm: str, reference: str, score: Score, seeds: int) -> str:
    """Not one pair differs: most often because nothing was rolled."""
    return (
        f"No difference shown: in all {seeds} training seeds {arm_words(arm)} and {arm_words(reference)} have exactly "
        f"the same {score.label}."
    )


def left_out(arm: str, reference: str, score: Score, seeds: Sequence[int]) -> str:
    """Seeds that make no pair."""
    which = f"seed {seeds[0]} is" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))} are"
    pair = f"{arm_words(arm)} beside {arm_words(reference)}"
    return f"{pair}, {score.label}: {which} left out, where one of the two runs has no such score."


def noise_floor(arm: str, replicate: float, effect: float, score: Score) -> str:
    """How far two trainings lie apart that differ in nothing that matters.

    Args:
        arm: That is judged.
        replicate: Mean over seeds of the A/A replicate's score minus the reference's.
        effect: The arm's, over the same seeds.
        score: In which.
    """
    verb = "no farther than that" if abs(effect) <= abs(replicate) else "farther"
    return (
        f"Noise floor: the A/A replicate lies {size(replicate, score)} from its reference on average, "
        f"{arm_words(arm)} {verb}: {size(effect, score)}."
    )


def control(name: str, arm: str, moved: float, effect: float, score: Score) -> str:
    """Whether a control without rollout does as much as the arm; describes, tests nothing.

    Args:
        name: The control's.
        arm: That is judged.
        moved: Mean over seeds of the control's score minus the reference's.
        effect: The arm's, over the same seeds.
        score: In which.
    """
    begin = f"{arm_words(name)[0].upper()}{arm_words(name)[1:]}"
    if moved * effect < 0:
        verb = "moves it the other way than"
    elif abs(moved) < abs(effect):
        verb = "moves it less than"
    else:
        verb = "moves it as much as, or more than,"
    return f"{score.label}: {begin} {verb} {arm_words(arm)}: {moved:+.3g} beside {effect:+.3g} {score.unit}."


def beside_reference(
    found: Sequence[tuple[str, float | None]], reference: str, score: Score, waiting: int
) -> list[str]:
    """What a sweep's arms show beside the reference; none without a pair.

    Args:
        found: Each arm with its p after Holm's correction over the arms; None where there are too few seeds for any.
        reference: What they are read against.
        score: In which.
        waiting: Declared seeds that are still to be trained: who may stop when he likes what he sees finds more than
            there is.
    """
    if not found:
        return []
    begin = f"Each arm beside {arm_words(reference)} of the unchanged settings, in {score.label}"
    if waiting > 0:
        rest = f"the test waits for the declared seeds that are still to be trained: {waiting}"
        return [f"{begin}: the differences are in the table; {rest}."]
    tested = [(arm, p) for arm, p in found if p is not None]
    least = math.ceil(1 + math.log2(len(found) / LEVEL))
    if not tested:
        needed = f"over {counted(len(found), 'arm')} a test can find something from {least} training seeds on"
        return [f"{begin}: the differences are in the table; {needed}."]
    shown = [f"{arm} (p = {p:.2g})" for arm, p in tested if p <= LEVEL]
    rest = f": {', '.join(shown)}" if shown else f"; from {least} training seeds on the test can find something"
    return [f"{begin}: {len(shown)} of {len(tested)} have p ≤ {LEVEL:g} after Holm's correction over the arms{rest}."]
