"""The model card of an export: what it is, how it is loaded, how it was trained, and what is known about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from huggingface_hub import ModelCardData

from core.config.flat import flatten
from core.config.spec import show_value
from core.errors import printable
from core.export.architecture import ARCHITECTURES
from core.export.formats import FORMATS
from core.export.loading import loading_lines
from core.export.pictures import Pair
from core.export.source import Source
from core.regular import size_text
from core.report.facts import portable
from core.report.judged import judge_experiment
from core.report.words import verdict_lines
from core.runs.experiment_folder import FILE_NAME, Experiment
from core.runs.exported import Agreement

NO_EXPERIMENT = (
    "This LoRA was trained on its own, with no matched arm beside it: nothing here says whether rollout helped."
)
PREFIX = "scheduled_sampling_"
TRAINING = (
    "rank", "lora_alpha", "lora_targets", "learning_rate", "train_text_encoder", "text_encoder_lr",
    "lr_scheduler", "max_train_steps", "train_batch_size", "gradient_accumulation_steps", "mixed_precision",
    "resolution", "seed", "with_prior_preservation",
)  # fmt: skip


@dataclass(frozen=True)
class Card:
    """What a card is made of.

    Attributes:
        source: The run.
        format: Of the export.
        pairs: Pictures without and with the LoRA.
        sizes: Bytes by file name, weights first.
        measured: How the export compares with the run's adapter.
    """

    source: Source
    format: str
    pairs: Sequence[Pair]
    sizes: Mapping[str, int]
    measured: Sequence[Agreement]


def card_text(card: Card) -> str:
    """The whole ``README.md``."""
    source = card.source
    parts = [
        f"---\n{front_matter(card)}\n---\n",
        f"# {_plain(source.title)}\n",
        f"DreamBooth LoRA for {_code(source.base)}, {source.steps} optimizer steps. Format: "
        f"{FORMATS[card.format].title}.\n",
        f"Prompt that it was trained with: {_code(source.trigger)}\n",
        *_section("Without and with the LoRA", _picture_lines(card.pairs)),
        *_section("How to load it", loading_lines(source, card.format)),
        *_section("Training", _option_lines(source)),
        *_section("Rollout", _rollout_lines(source)),
        *_section("What its experiment found", verdict_of(source)),
        *_section("Files", [f"- {_code(name)}: {size_text(size)}" for name, size in card.sizes.items()]),
        *_section("Checked", _checked_lines(card.measured)),
    ]
    return "\n".join(parts) + "\n"


def front_matter(card: Card) -> str:
    """What the hub reads; the base model only where the hub knows it."""
    source = card.source
    is_peft = card.format == "peft"
    data = ModelCardData(
        base_model=source.hub_base,
        library_name="peft" if is_peft else "diffusers",
        pipeline_tag="text-to-image",
        tags=["text-to-image", "diffusers", "lora", "dreambooth", "template:sd-lora", "scheduled-sampling",
              ARCHITECTURES[source.config.model.family].tag],
        instance_prompt=source.trigger,
        widget=[{"text": portable(pair.prompt), "output": {"url": pair.with_lora}} for pair in card.pairs],
    )  # fmt: skip
    return data.to_yaml()


def verdict_of(source: Source) -> list[str]:
    """What the run's experiment may conclude, a sentence each; that it cannot, where the run is in none."""
    parent = source.run.path.parent
    if not (parent / FILE_NAME).is_file():
        return [NO_EXPERIMENT]
    experiment = Experiment(parent)
    arm = next((arm for arm in experiment.arms if arm.run.path == source.run.path), None)
    if arm is None:
        return [NO_EXPERIMENT]
    seed = "" if arm.seed is None else f", training seed {arm.seed}"
    told = [_plain(portable(line)) for line in verdict_lines(judge_experiment(experiment).judgement)]
    return [f"This is the arm {_plain(arm.label)}{seed}, of {len(experiment.arms)} runs.", "", *told]


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"## {title}\n"
        yield "\n".join(lines) + "\n"


def _picture_lines(pairs: Sequence[Pair]) -> list[str]:
    if not pairs:
        return []
    rows = [
        f"| {_plain(portable(pair.prompt))} (seed {pair.seed}) | ![without the LoRA]({pair.without}) "
        f"| ![with the LoRA]({pair.with_lora}) |"
        for pair in pairs
    ]
    return ["| prompt | without | with |", "|---|---|---|", *rows]


def _option_lines(source: Source) -> list[str]:
    values = flatten(source.config)
    rows = [f"| {_code(name)} | {_plain(show_value(values[name]))} |" for name in TRAINING]
    return ["| option | value |", "|---|---|", *rows]


def _rollout_lines(source: Source) -> list[str]:
    """The options of scheduled sampling; where rollout is off, that."""
    if not source.config.scheduled_sampling.enabled:
        return ["Off: this LoRA was trained teacher-forced."]
    values = flatten(source.config)
    rows = [
        f"| {_code(name)} | {_plain(portable(show_value(value)))} |"
        for name, value in values.items()
        if name.startswith(PREFIX)
    ]
    return ["| option | value |", "|---|---|", *rows]


def _checked_lines(measured: Sequence[Agreement]) -> list[str]:
    how = "Loaded through its own reader onto a fresh base model, and held against the run's adapter:"
    return [how, "", *(f"- {found.text}" for found in measured)]


def _plain(text: str) -> str:
    """A text as one line that begins nothing in Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#|!" else letter for letter in printable(text))


def _code(text: str) -> str:
    """A text between backticks, as it stands."""
    return f"`{printable(text).replace('`', chr(39))}`"
