"""One export: written aside, read back, held against the run's adapter, and only then put in place."""

import gc
import time
from collections.abc import Callable
from pathlib import Path

from core.config.run import RunConfig
from core.errors import ConfigError
from core.evaluation.inspection import Reporter
from core.export.card import Card, card_text
from core.export.check import Answer, Question, ask, compare, put_on, require_agreement
from core.export.formats import format_problem
from core.export.pictures import drawn_pair, sample_pairs
from core.export.source import check_exportable, source_of
from core.export.write import write_format
from core.models.family import Family
from core.models.lora_fit import parts_of, quiet
from core.runs.exported import FILE_NAME, KIND, Agreement, Exported
from core.runs.files import make_folder, to_json
from core.runs.folder import RunFolder
from core.runs.room import require_room
from core.runs.swap import replacing, require_own
from core.samples.generate import Recipe
from core.samples.load import load_to_draw

CARD = "README.md"
ANSWERS = 3
"""Networks that are asked: base model, run's adapter, export."""


def export_run(run: RunFolder, format: str, out: Path, name: str, report: Reporter) -> Exported:
    """Exports a finished run.

    Args:
        run: Its folder.
        format: One of ``FORMATS``.
        out: The export's folder, absolute; an earlier export there is replaced, once the new one has passed.
        name: What the export is called: kohya's file, and what tools show.
        report: Told at every sampling step; what it raises ends the export, of which nothing is left then.

    Raises:
        ConfigError: The run's family cannot have this format.
        RunError: The run is not finished, something else stands at ``out``, the export does not do what the run's
            adapter does, or it cannot be written.
        DataError: The base model or the adapter cannot be read.
    """
    config = run.config()
    problem = format_problem(format, config.model.family)
    if problem is not None:
        raise ConfigError([problem])
    size = check_exportable(run).size
    require_own(out, FILE_NAME, KIND, "export")
    make_folder(out.parent)
    require_room(out.parent, 3 * size, "the export")
    done = _Count(report)
    report.phase("loading", "loading the base model")
    family = load_to_draw(config, out.parent)
    source, question = source_of(run, name, family), _question(config)
    with replacing(out) as folder:
        report.phase("sampling", "comparing base model, adapter and export", ANSWERS * question.steps, "step")
        base = ask(family, question, done.step_of(question))
        files = write_format(source, format, folder, parts_of(family))
        _put_own(family, run)
        own = ask(family, question, done.step_of(question))
        del family  # one base model at a time
        gc.collect()
        measured = _checked(config, format, folder, name, question, base, own, done.step_of(question))
        report.phase("saving", "writing the model card")
        pairs = sample_pairs(run, config, source.steps, folder)
        if not pairs:
            pairs = (drawn_pair(question.prompt, question.seed, (base.picture, own.picture), folder),)
        card = Card(source, format, pairs, _sizes(folder, files), measured)
        (folder / CARD).write_text(card_text(card), encoding="utf-8")
        every = [*files, *sorted(path for path in folder.rglob("*") if path.is_file() and path not in files)]
        found = Exported(run.name, name, format, time.time(), _sizes(folder, every), measured)
        (folder / FILE_NAME).write_text(to_json(found.to_dict(), indent=2), encoding="utf-8")
    return found


class _Count:
    """Counts sampling steps over all answers."""

    def __init__(self, report: Reporter):
        self.report, self.done = report, 0

    def step_of(self, question: Question) -> Callable[[], None]:
        """What an answer calls after each of its sampling steps."""

        def on_step() -> None:
            self.done += 1
            self.report.progress(self.done, ANSWERS * question.steps)

        return on_step


def _checked(
    config: RunConfig, format: str, folder: Path, name: str, question: Question, base: Answer, own: Answer,
    on_step: Callable[[], None],
) -> tuple[Agreement, ...]:  # fmt: skip
    """The export on a base model of its own, held against the two others.

    Raises:
        RunError: It does not load, or does something else.
    """
    fresh = load_to_draw(config, folder)
    put_on(fresh, format, folder, name)
    measured = compare(base, own, ask(fresh, question, on_step))
    require_agreement(format, measured)
    return measured


def _put_own(family: Family, run: RunFolder) -> None:
    """The run's adapter, as everything else here loads it."""
    with quiet():
        family.pipeline.load_lora_weights(run.adapter_dir, use_safetensors=True)
    for part in parts_of(family).values():
        part.eval()


def _question(config: RunConfig) -> Question:
    """The first validation picture of the run."""
    validation, data = config.validation, config.data
    prompt = next(iter(validation.validation_prompts), data.instance_prompt)
    recipe = Recipe(
        validation.validation_num_inference_steps, validation.validation_guidance_scale, data.resolution, batch=1
    )
    return Question(prompt, recipe, validation.validation_seed)


def _sizes(folder: Path, files: list[Path] | tuple[Path, ...]) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
