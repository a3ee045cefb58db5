"""What an experiment was, beside its scores: settings in which its arms differ, alarms, and how it was measured."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.config.flat import flatten
from core.config.spec import option_specs
from core.config.table import value_text
from core.errors import WorkbenchError
from core.report.words import Table, how_tested, tally_text
from core.runs.alarms import read_alarm_events
from core.runs.arms import REFERENCE
from core.runs.drift import DriftRecord
from core.runs.experiment_folder import ArmRun, Experiment
from core.runs.files import read_object
from core.runs.records import read_records
from core.runs.votes import read_votes, tally

PATH = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:)?(?:[/\\][^\s/\\\"'<>|:,;]+){2,}")
VOTES_FILE = "votes.jsonl"
PAIRED = (
    "The arms of one training seed share the LoRA's first weights, the order of the pictures, timesteps, noises, and "
    "the noises of the samples: they differ in the settings that are listed, and in nothing else. A replicate has a "
    "seed of its own on purpose: it shares the noises of the samples only."
)
VIEWS = {
    "steps": "Equal steps: arms of the same planned length are compared at the same optimizer step.",
    "compute": "Equal compute: each run is read at its last measurement within the compute that the rollout had spent, "
    "in a sweep the teacher-forced reference.",
}


def portable(text: str) -> str:
    """The text with every absolute path cut to its last part: what is handed on says nothing of this machine."""
    return PATH.sub(lambda match: re.split(r"[/\\]", match[0])[-1], text)


def settings_of(arm: ArmRun) -> dict[str, Any]:
    """All options of a run by their flat names, fit to be handed on; empty where its config cannot be read."""
    try:
        values = flatten(arm.run.config())
    except WorkbenchError:
        return {}
    return {name: portable(value) if isinstance(value, str) else value for name, value in values.items()}


def one_of_each(arms: Sequence[ArmRun]) -> list[ArmRun]:
    """The run of the first training seed of every arm."""
    return list({arm.arm: arm for arm in reversed(arms)}.values())[::-1]


def difference_table(arms: Sequence[ArmRun]) -> Table:
    """The options in which the arms differ, a row each, at the first training seed."""
    shown = [(arm, settings_of(arm)) for arm in one_of_each(arms)]
    shown = [(arm, values) for arm, values in shown if values]
    rows = [
        [spec.label, *(value_text(values[name]) for _, values in shown)]
        for name, spec in option_specs().items()
        if len({value_text(values[name]) for _, values in shown}) > 1
    ]
    return ["Setting", *(arm.label for arm, _ in shown)], rows


def alarm_lines(arms: Sequence[ArmRun]) -> list[str]:
    """The drift alarms of all runs, a sentence each."""
    return [portable(f"{arm.run.name}: {event.text}.") for arm in arms for event in read_alarm_events(arm.run)]


def vote_lines(experiment: Experiment) -> list[str]:
    """How blind votes fell between each arm and the reference, a sentence or two each; none without votes."""
    votes, labels = read_votes(experiment.path / VOTES_FILE), {arm.arm: arm.label for arm in experiment.arms}
    tallies = {arm: tally(votes, arm, REFERENCE) for arm in labels if arm != REFERENCE}
    return [
        tally_text(found, labels[arm], labels.get(REFERENCE, REFERENCE))
        for arm, found in tallies.items()
        if found.wins + found.losses + found.ties > 0
    ]


def prompts_of(arms: Sequence[ArmRun]) -> tuple[str, ...]:
    """The sample prompts, from the first run whose config can be read."""
    found = (settings_of(arm) for arm in arms)
    return tuple(next((values["validation_prompts"] for values in found if values), ()))


def method_lines(arms: Sequence[ArmRun], view: str) -> list[str]:
    """How the numbers came about, a sentence each."""
    lines = [VIEWS[view], PAIRED, how_tested(arm.arm for arm in arms)]
    records = (record for arm in arms for record in reversed(read_records(DriftRecord, arm.run.drift_path)))
    record = next((record for record in records if record.chain is not None and record.scope != "sweep"), None)
    if record is not None and record.chain is not None:
        chain = record.chain
        guidance = "without guidance" if chain.guidance == 1 else f"at guidance {chain.guidance:g}"
        lines.append(
            f"End-of-chain scores come from {chain.samples} finished samples of the instance prompts, "
            f"{chain.inference_steps} sampling steps, {guidance}; those of short paths from {record.pairs} pairs of "
            "latent and noise."
        )
    return [*lines, *_origin(arms)]


def _origin(arms: Sequence[ArmRun]) -> list[str]:
    """Base model and versions."""
    lines = []
    settings = next((values for arm in arms if (values := settings_of(arm))), None)
    if settings is not None:
        base = Path(settings["pretrained_model_name_or_path"]).name
        lines.append(
            f"Base model {base}, LoRA rank {settings['rank']}, {settings['max_train_steps']} optimizer steps of "
            f"{settings['train_batch_size']} items in the first arm."
        )
    facts = next((found for arm in arms if (found := read_object(arm.run.env_path)) is not None), None)
    packages = None if facts is None else facts.get("packages")
    if facts is not None and isinstance(packages, dict):
        versions = ", ".join(f"{name} {version}" for name, version in packages.items())
        lines.append(portable(f"Trained on {facts.get('device', 'an unknown device')} with {versions}."))
    return lines
