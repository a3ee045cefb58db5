"""What a configuration means in practice: what people overlook, told in sentences. Nothing here is an error."""

from dataclasses import dataclass

from core.config.run import RunConfig

CLIP_ENCODERS = {
    "stable_diffusion": "The CLIP text encoder is",
    "sdxl": "Both CLIP text encoders are",
    "sd3": "Both CLIP text encoders, not T5, are",
    "flux": "The CLIP text encoder, not T5, is",
}


@dataclass(frozen=True)
class Note:
    """One thing that is in force.

    Attributes:
        option: The flat name of the option that it follows from.
        text: One or two whole sentences.
    """

    option: str
    text: str


def notes_of(config: RunConfig) -> tuple[Note, ...]:
    """What is in force: rollout that never happens, its reach, mode and target, who stays teacher-forced, ReflexFlow,
    and before them what Prodigy makes of the learning rate, and which text encoders are trained.

    Args:
        config: Any valid configuration.
    """
    rollout, own = config.scheduled_sampling, (*_step_size(config), *_encoders(config))
    if rollout.max_step_offset == 0:
        return (*own, Note("scheduled_sampling_max_step_offset", "Rollout is off: max_step_offset is 0."))
    if not rollout.enabled:
        return (*own, _never(config))
    parts = (_mode, _teacher_forced, _unused, _target, _guidance, _reflexflow)
    return (*own, *_when(config), _reach(config), *(note for part in parts for note in part(config)))


def _step_size(config: RunConfig) -> tuple[Note, ...]:
    training = config.training
    if training.optimizer != "prodigy" or training.learning_rate == 1.0:
        return ()
    text = (
        f"Prodigy finds its own step size, and learning_rate multiplies it by {training.learning_rate:g}: "
        "1 is what it is made for."
    )
    return (Note("learning_rate", text),)


def _encoders(config: RunConfig) -> tuple[Note, ...]:
    if not config.lora.train_text_encoder:
        return ()
    own = config.training.text_encoder_lr
    rate = f"learning rate {own:g}" if own is not None else "the network's learning rate"
    text = (
        f"{CLIP_ENCODERS[config.model.family]} trained too, at {rate}: they stay in memory and encode their prompts "
        "anew at every step."
    )
    return (Note("train_text_encoder", text),)


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
        text = (
            f"The longest rollout covers {rollout.max_step_offset} of the {points} steps of a validation picture, on "
            "its sampler's own grid; items below the grid's first point stay teacher-forced."
        )
        return Note("scheduled_sampling_stride", text)
    covered = rollout.max_step_offset * rollout.stride
    text = (
        f"The longest rollout covers {covered} of 1000 timesteps, {covered / 10:g} % of the path, which is the way of "
        f"{covered * points / 1000:.2g} of a validation picture's {points} sampling steps."
    )
    return Note("scheduled_sampling_stride", text)


def _mode(config: RunConfig) -> tuple[Note, ...]:
    if config.scheduled_sampling.mode != "visited":
        return ()
    spared = "with no other extra forwards than ReflexFlow's" if config.reflexflow_on else "with no extra forwards"
    text = (
        f"Visited mode trains on every state of a rollout, {spared}. Only timestep, picture and noise of each item's "
        "anchor are paired with the other arms; its other states are not."
    )
    return (Note("scheduled_sampling_mode", text),)


def _teacher_forced(config: RunConfig) -> tuple[Note, ...]:
    rollout = config.scheduled_sampling
    longest = rollout.max_step_offset
    if rollout.mode == "visited":
        return (Note("scheduled_sampling_probability", _teacher_forced_states(config)),)
    if rollout.strategy != "uniform":
        return ()
    text = (
        f"k is drawn from 0 to {longest}: of the items that the probability picks, "
        f"1 in {longest + 1} stays teacher-forced, and so do those with no room before the noisy end."
    )
    return (Note("scheduled_sampling_probability", text),)


def _teacher_forced_states(config: RunConfig) -> str:
    """Visited mode: each block of k + 1 states starts teacher-forced; for uniform k that is E[1/(k+1)] of the loss."""
    rollout = config.scheduled_sampling
    text = "The first, noisiest state of every rollout is teacher-forced; one with k = 0 is that state alone."
    if rollout.strategy != "uniform":
        return text
    count = rollout.max_step_offset + 1
    share = sum(1 / states for states in range(1, count + 1)) / count
    return f"{text} Of the loss of the items that the probability picks, about {share:.0%} is therefore teacher-forced."


def _unused(config: RunConfig) -> tuple[Note, ...]:
    rollout = config.scheduled_sampling
    if rollout.ramp_steps == 0 or rollout.probability == 0:
        return ()
    text = f"The ramp decides the probability: {rollout.probability:g} is not used while ramp_steps is above 0."
    return (Note("scheduled_sampling_probability", text),)


def _target(config: RunConfig) -> tuple[Note, ...]:
    if config.scheduled_sampling.target != "posterior":
        return ()
    text = (
        "The posterior target is the mean of the training pictures that a rolled state could be: it pulls towards the "
        "training pictures."
    )
    return (Note("scheduled_sampling_target", text),)


def _guidance(config: RunConfig) -> tuple[Note, ...]:
    scale = config.scheduled_sampling.guidance_scale
    if scale == 1:
        return ()
    text = f"Rollouts are guided at {scale:g}: each of their steps forwards an item twice, with and without its prompt."
    return (Note("scheduled_sampling_guidance_scale", text),)


def _reflexflow(config: RunConfig) -> tuple[Note, ...]:
    if not config.reflexflow_on:
        return ()
    rollout = config.scheduled_sampling
    how = "by itself, because the base model is flow matching" if rollout.reflexflow is None else "as set"
    direction, error = rollout.reflexflow_beta1, rollout.reflexflow_beta2
    if direction == error == 0:
        loss = "beta 1 and beta 2 are 0, so a rolled item has no loss at all"
    else:
        loss = (
            f"a rolled item's loss is {direction:g} × its direction loss + {error:g} × its squared error, weighted "
            f"with alpha {rollout.reflexflow_alpha:g}"
        )
    return (Note("scheduled_sampling_reflexflow", f"ReflexFlow is on {how}: {loss}."),)
