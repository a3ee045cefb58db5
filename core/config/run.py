"""The whole configuration of a run: validated once, frozen, handed from the preset to the run folder to the trainer."""

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core.config.base_model import flow_matching_known, last_timestep
from core.config.checks import cross_problems
from core.config.fields import Block, flat_values
from core.config.scheduled_sampling import ScheduledSamplingConfig
from core.config.subject import DataOptions, ModelOptions
from core.config.training import LoraOptions, TrainingOptions
from core.config.validation import ValidationOptions

CROSS_OPTION_ERROR = "cross_option"


class RunConfig(Block):
    """Every option of a run. ``parse_config`` in ``core.config.flat`` makes one with errors fit for people."""

    model: ModelOptions
    data: DataOptions
    training: TrainingOptions = Field(default_factory=TrainingOptions)
    lora: LoraOptions = Field(default_factory=LoraOptions)
    validation: ValidationOptions = Field(default_factory=ValidationOptions)
    scheduled_sampling: ScheduledSamplingConfig = Field(default_factory=ScheduledSamplingConfig)

    @property
    def flow_matching(self) -> bool:
        """Whether the base model is flow matching, as far as is known before it is loaded; the loaded one decides."""
        return flow_matching_known(self.model.family, self.model.described_by) is True

    @property
    def last_timestep(self) -> int:
        """The noisiest timestep of the base model's noise schedule: 999, or 1000 if known to be flow matching."""
        return last_timestep(self.model.family, self.model.described_by)

    @property
    def reflexflow_on(self) -> bool:
        """Whether ReflexFlow is in force: as set, and when unset, on for flow matching once rollout is on."""
        setting = self.scheduled_sampling.reflexflow
        return self.scheduled_sampling.enabled and (self.flow_matching if setting is None else setting)

    @model_validator(mode="after")
    def _options_agree(self) -> "RunConfig":
        """Refuses options that are fine one by one and contradict each other."""
        problems = cross_problems(flat_values(self))
        if problems:
            text = "; ".join(problem.message for problem in problems)
            raise PydanticCustomError(CROSS_OPTION_ERROR, "{text}", {"text": text, "problems": problems})
        return self
