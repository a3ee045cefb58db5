"""What the options that are set really do, in plain sentences. Nothing that is in force, or not, goes unsaid."""

from __future__ import annotations

from core.config.in_force import notes_of
from core.config.run import RunConfig
from core.config.scheduled_sampling import ScheduledSamplingConfig
from core.rollout.ramp import probability_at
from core.rollout.samplers import SAMPLERS

WASHED_OUT = 0.3
"""Share of the path beyond which anchored labels visibly smooth (K=3 at stride 125 on the embedded base)."""
LOOK_FOR = (
    "Look at the eyes, the mouth and the whiskers: rollout that is too long pulls them towards one averaged face; "
    "moderate rollout is subtle to the eye, so read M1 and V beside it."
)


def in_force(config: RunConfig) -> list[str]:
    """The rollout as it will happen, one sentence a fact."""
    notes = [note.text for note in notes_of(config)]
    options, steps = config.scheduled_sampling, config.training.max_train_steps
    if not options.enabled:
        return [*notes, "Every item is teacher-forced. The other rollout options are kept for later."]
    return [course(options, steps), *notes, *effect(config)]


def course(options: ScheduledSamplingConfig, steps: int) -> str:
    """The course of the probability in words."""
    before = f"No rollout before step {options.start_step}; then the" if options.start_step > 0 else "The"
    if options.ramp_steps == 0:
        return f"{before} probability is {options.probability:g} throughout."
    line = "along a straight line" if options.ramp_shape == "linear" else "along a cosine"
    end = options.start_step + options.ramp_steps
    text = (
        f"{before} probability goes {line} from {options.prob_start:g} to {options.prob_end:g}, reached at step {end}."
    )
    return text if end <= steps else f"{text} At the last step it is {probability_at(steps - 1, options):.2g}."


def effect(config: RunConfig) -> list[str]:
    """What to expect of these rollouts, and what of the settings is not used."""
    options, lines = config.scheduled_sampling, []
    if isinstance(options.stride, int):
        reach = options.max_step_offset * options.stride / config.last_timestep
        sampling = config.validation.validation_num_inference_steps
        if reach * sampling < 1:
            stride = config.last_timestep // sampling
            lines.append(
                "That is less than one sampling step: expect little effect. "
                f"Stride {stride} makes a rollout step as long as one."
            )
        if reach > WASHED_OUT and options.target == "anchored":
            lines.append(
                "So long, with the anchored target, teaches pictures that are too smooth: "
                "backgrounds and edges wash out."
            )
    sampler = SAMPLERS[options.sampler]
    if sampler.calls_per_step > 1:
        lines.append(f"{options.sampler} calls the model {sampler.calls_per_step} times a rollout step.")
    if not sampler.takes_order:
        lines.append(f"Sampler order is not used: {options.sampler} has its own.")
    return lines
