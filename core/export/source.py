"""What an export is made of: a finished run, its LoRA, and what its base model says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.config.paths import EMBEDDED_BASES, base_label, is_single_file, model_folder
from core.config.run import RunConfig
from core.errors import RunError
from core.models.family import Family
from core.models.lora_file import LoraFile, read_lora
from core.report.facts import portable
from core.runs.folder import RunFolder
from core.runs.status import derive_state
from core.samples.load import check_finished


@dataclass(frozen=True)
class Source:
    """A finished run.

    Attributes:
        run: Its folder.
        name: What the export is called: in files, and in the prompts of tools that name LoRAs by their files.
        config: Of the run.
        lora: Its adapter.
        network: The configuration of the base model's denoising network.
        scheduler: That of its noise schedule.
        kind: What the network predicts.
    """

    run: RunFolder
    name: str
    config: RunConfig
    lora: LoraFile
    network: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    kind: str

    @property
    def title(self) -> str:
        """What the user called the run, without any path."""
        return portable(self.run.title)

    @property
    def trigger(self) -> str:
        """The prompt that the subject was learnt with."""
        return portable(self.config.data.instance_prompt)

    @property
    def base(self) -> str:
        """The base model as others may read it: its name on the hub, or the last part of its path."""
        return base_label(self.config.model.pretrained_model_name_or_path)

    @property
    def hub_base(self) -> str | None:
        """Its name on the hub; None where it lies in a folder, whose name may be another model's there."""
        name = self.config.model.pretrained_model_name_or_path
        is_local = name in EMBEDDED_BASES or model_folder(name) is not None or is_single_file(name)
        return None if is_local or name.count("/") > 1 else name

    @property
    def date(self) -> str:
        """When the LoRA was saved, ISO 8601 in UTC, whole seconds."""
        moment = datetime.fromtimestamp(self.lora.path.stat().st_mtime, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def steps(self) -> int:
        """Optimizer steps after which the LoRA was saved."""
        said = self.lora.metadata.get("rollout_steps", "")
        return int(said) if said.isdecimal() else self.config.training.max_train_steps


def check_exportable(run: RunFolder) -> LoraFile:
    """The adapter of a run that is finished, and that no process is at work on.

    Raises:
        RunError: It has none, or is in progress.
        DataError: The adapter cannot be read.
    """
    check_finished(run)
    state = derive_state(run)
    if state.live and not state.final:
        raise RunError(f"{run.name} must be a run that is not in progress; wait for it or stop it")
    return read_lora(run.adapter_dir)


def source_of(run: RunFolder, name: str, family: Family) -> Source:
    """The source of an export.

    Args:
        run: Finished.
        name: Of the export.
        family: The run's base model, loaded.
    """
    return Source(
        run=run, name=name, config=run.config(), lora=check_exportable(run), network=family.network.config,  # type: ignore[arg-type]
        scheduler=family.pipeline.scheduler.config, kind=family.kind,
    )  # fmt: skip
