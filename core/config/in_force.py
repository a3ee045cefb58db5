"""What a configuration means in practice: the things that people overlook, told in sentences. Nothing here is an "
"error."""

from dataclasses import dataclass

from core.config.run import RunConfig


@dataclass(frozen=True)
class Note:
    """One thing that is in force.

    Attributes:
        option: The flat name of the option that it follows from.
        text: One whole sentence.
    """

    option: str
    text: str


def notes_of(config: RunConfig) -> tuple[Note, ...]:
    """What is in force: rollout that never happens, how far it reaches, who stays teacher-forced, ReflexFlow.

    Args:
        config: Any valid configuration.
    """
    rollout = config.scheduled_sampling
    if rollout.max_step_offset == 0:
        return (Note("scheduled_sampling_max_step_offset", "Rollout is off: max_step_offset is 0."),)
    if not rollout.enabled:
        return (_never(config),)
    return (*_when(config), _reach(config), *_teacher_forced(config), *_unused(config), *_reflexflow(config))


def _never(config: RunConfig) -> Note:
    if config.scheduled_sampling.ramp_steps > 0:
        text = "Nothing is ever rolled out: the ramp never leaves 0; raise prob_start or prob_end."
        return Note("scheduled_sampling_prob_end", text)
    text = "Nothing is ever rolled out: probability is 0 and there is no ramp; raise it."
    return Note("scheduled_sampling_probability", text)


def _when(config: RunConfig) -> tuple[Note, ...]:
    rollout, steps = config.scheduled_sampling, config.training.max_train_steps
    if rollout.start_step >= steps:
        text = f"Nothing is rolled out before step {rollout.start_step}, and the run has {steps}; lower start_step."
        return (Note("scheduled_sampling_start_step", text),)
    end = rollout.start_step + rollout.ramp_steps
    if rollout.ramp_steps > 0 and end > steps:
        text = f"The ramp ends at step {end} and the run at step {steps}: the probability does not get to prob_end."
        return (Note("scheduled_sampling_ramp_steps", text),)
    return ()


def _reach(config: RunConfig) -> Note:
    rollout, points = config.scheduled_sampling, config.validation.validation_num_inference_steps
    if isinstance(rollout.stride, str):
        text = f"The longest rollout covers {rollout.max_step_offset} of the {points} steps of a validation picture."
        return Note("scheduled_sampling_stride", text)
    covered = rollout.max_step_offset * rollout.stride
    text = (
        f"The longest rollout covers {covered} of 1000 timesteps, {covered / 10:g} % of the path, which is the way of "
        f"{covered * points / 1000:.2g} of a validation picture's {points} sampling steps."
    )
    return Note("scheduled_sampling_stride", text)


def _teacher_forced(config: RunConfig) -> tuple[Note, ...]:
    rollout = config.scheduled_sampling
    if rollout.strategy != "uniform":
        return ()
    text = (
        f"k is drawn from 0 to {rollout.max_step_offset}: of the items that the probability picks, "
        f"1 in {rollout.max_step_offset + 1} stays teacher-forced, and so do those with no room before the noisy end."
    )
    return (Note("scheduled_sampling_probability", text),)


def _unused(config: RunConfig) -> tuple[Note, ...]:
    rollout = config.scheduled_sampling
    if rollout.ramp_steps == 0 or rollout.probability == 0:
        return ()
    text = f"The ramp decides the probability: {rollout.probability:g} is not used while ramp_steps is above 0."
    return (Note("scheduled_sampling_probability", text),)


def _reflexflow(config: RunConfig) -> tuple[Note, ...]:
    if not config.reflexflow_on:
        return ()
    how = "by itself, because the family is flow matching" if config.scheduled_sampling.reflexflow is None else "as set"
    return (Note("scheduled_sampling_reflexflow", f"ReflexFlow is on {how}."),)
