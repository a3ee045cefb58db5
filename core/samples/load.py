"""Base models as a configuration names them, and finished runs: base and adapter together."""

from core.config.paths import model_path
from core.config.run import RunConfig
from core.errors import RunError
from core.models import FAMILIES
from core.models.family import Family
from core.runs.folder import RunFolder


def load_base(config: RunConfig) -> Family:
    """The base model of a configuration.

    Raises:
        DataError: it cannot be loaded; the sentence says what to do.
    """
    model = config.model
    path = model_path(model.pretrained_model_name_or_path)
    return FAMILIES[model.family].resolve().load(path, revision=model.revision, variant=model.variant)


def load_finished(folder: RunFolder) -> Family:
    """The base model of a run, with the run's final adapter on it.

    Raises:
        RunError: the run has no final adapter.
        DataError: its base model cannot be loaded.
    """
    if not (folder.adapter_dir / "pytorch_lora_weights.safetensors").is_file():
        raise RunError(f"{folder.name} must be a finished run with an adapter; train or resume it first")
    family = load_base(folder.config())
    family.pipeline.load_lora_weights(folder.adapter_dir)
    return family
