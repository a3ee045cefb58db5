"""SimpleTuner's ``scheduled_sampling_*`` keys: nearly all have an equal here, and many behave differently there.

What is said of its behaviour was read in its sources: the ramp, the plan and the rollout of its ``prepare_batch``.
"""

from typing import Any

from core.config.foreign.mapping import Key, Take, Took, Values, as_number, mapped, own
from core.config.foreign.ramps import RampThere
from core.config.foreign.values import switch_of

PREFIX = "scheduled_sampling_"
FLOW_FAMILIES = frozenset({"sd3", "flux"})
OLDER_FAMILIES = ("flux", "sd3", "sdxl")
"""Older keys for the family: read, not written."""
TARGET = PREFIX + "target"


def ramp_there(values: Values) -> RampThere:
    """Its ramp, from the values of a file; what is left out or is no number has its default."""
    return RampThere(
        max_step_offset=int(as_number(values, PREFIX + "max_step_offset")),
        probability=as_number(values, PREFIX + "probability"),
        ramp_steps=int(as_number(values, PREFIX + "ramp_steps")),
        prob_start=as_number(values, PREFIX + "prob_start"),
        prob_end=as_number(values, PREFIX + "prob_end", 0.5),
        start_step=int(as_number(values, PREFIX + "start_step")),
        ramp_shape=str(values.get(PREFIX + "ramp_shape", "linear")),
    )


def _on(values: Values) -> bool:
    return as_number(values, PREFIX + "max_step_offset") > 0


def _ramp(values: Values) -> bool:
    return _on(values) and as_number(values, PREFIX + "ramp_steps") > 0


def family_there(values: Values) -> str:
    """The family as it is called there; older files switch one on by its name."""
    older = next((name for name in OLDER_FAMILIES if switch_of(values.get(name))), "")
    return str(values.get("model_family", older)).strip().lower()


def is_flow(values: Values) -> bool:
    """Whether the file is for a flow matching model."""
    return family_there(values) in FLOW_FAMILIES


def _plain(field: str, value: Any) -> Took:
    return Took("mapped", {PREFIX + field: value})


def _max_step_offset(value: Any, values: Values) -> Took:
    if not _on(values):
        return _plain("max_step_offset", value)
    options = {PREFIX + "max_step_offset": value, PREFIX + "stride": 1, TARGET: "original"}
    words = (
        "its steps are single training timesteps, 1 in 1000 of the path, so stride is 1; the stride of a sampler's own "
        f"steps is 'inference'. It keeps the noise's own target after a rollout, so {TARGET} is original"
    )
    return Took("differs", options, words)


def _probability(value: Any, values: Values) -> Took:
    if not _ramp(values) or ramp_there(values).probability == 0:
        return _plain("probability", value)
    words = "with a ramp it is what a 0.0 of prob_start or prob_end becomes there; here a ramp does not read it"
    return Took("differs", {PREFIX + "probability": 0.0}, words)


def _end_of_ramp(field: str) -> Take:
    def take(value: Any, values: Values) -> Took:
        there = ramp_there(values)
        if not _ramp(values) or there.probability == 0 or as_number({field: value}, field, 1.0) != 0:
            return _plain(field, value)
        words = f"0.0 counts as unset there and becomes probability, {there.probability:g}; here it is 0"
        return Took("differs", {PREFIX + field: value}, words)

    return take


def _start_step(value: Any, values: Values) -> Took:
    there, option = ramp_there(values), {PREFIX + "start_step": value}
    if not _on(values) or there.start_step == 0:
        return Took("mapped", option)
    if there.ramp_steps == 0 and there.probability > 0:
        return Took("differs", option, "read with a ramp only there: rollouts begin at step 0; here they wait for it")
    if there.ramp_steps > 0 and there.first > 0:
        words = f"before it the chance is the ramp's first, {there.first:g}, there; here nothing is rolled out"
        return Took("differs", option, words)
    return Took("mapped", option)


def _sampler(value: Any, values: Values) -> Took:
    word = str(value).strip().lower()
    option = {PREFIX + "sampler": word}
    if not _on(values):
        return Took("mapped", option)
    if is_flow(values):
        return Took("differs", option, "not asked for flow matching there; here it takes the rollout's steps")
    if word == "euler":
        return Took("differs", option, "goes past the target by as many timesteps again there; here it lands on it")
    if word in {"unipc", "dpm"}:
        return Took("differs", option, "inflates the rolled state by 12 to 16 % there; here it lands on the true path")
    return Took("mapped", option)


def _order(value: Any, values: Values) -> Took:
    option = {PREFIX + "order": value}
    if _on(values) and is_flow(values):
        return Took("differs", option, "not asked for flow matching there; here unipc and dpm have it")
    return Took("mapped", option)


def _reflexflow(value: Any, values: Values) -> Took:
    switch = switch_of(value)
    if switch and _on(values) and not is_flow(values):
        words = "without effect on a model that is not flow matching there; refused here, so it is unset"
        return Took("differs", {PREFIX + "reflexflow": None}, words)
    return _plain("reflexflow", value if switch is None else switch)


def _reflexflow_alpha(value: Any, values: Values) -> Took:
    option = {PREFIX + "reflexflow_alpha": value}
    if not (_on(values) and is_flow(values)) or switch_of(values.get(PREFIX + "reflexflow", True)) is False:
        return Took("mapped", option)
    words = "its weights are divided by the sum of the change and so differ from 1 by some 1e-5; here by its mean"
    return Took("differs", option, words)


def _key(field: str, take: Take, words: str, default: Any) -> Key:
    return own(PREFIX + field, PREFIX + field, take, words, standing="differs", default=default)


ROLLOUT_KEYS: tuple[Key, ...] = (
    _key("max_step_offset", _max_step_offset, "single training timesteps there: stride 1; the target is original", 0),
    _key("probability", _probability, "with a ramp, what a 0.0 of its ends becomes there; not read here", 0.0),
    mapped(PREFIX + "ramp_steps", PREFIX + "ramp_steps", default=0),
    _key("prob_start", _end_of_ramp("prob_start"), "0.0 counts as unset there, and becomes probability", 0.0),
    _key("prob_end", _end_of_ramp("prob_end"), "0.0 counts as unset there, and becomes probability", 0.5),
    _key("start_step", _start_step, "the ramp alone waits for it there, and holds its first value before", 0),
    mapped(PREFIX + "ramp_shape", PREFIX + "ramp_shape", default="linear"),
    mapped(PREFIX + "strategy", PREFIX + "strategy", default="uniform"),
    _key("sampler", _sampler, "not asked for flow matching there; for others it misses its target", "unipc"),
    _key("order", _order, "not asked for flow matching there", 2),
    _key("reflexflow", _reflexflow, "on by itself for flow matching in both; elsewhere without effect there", None),
    _key("reflexflow_alpha", _reflexflow_alpha, "weights divided by a sum there, by a mean here", 1.0),
    mapped(PREFIX + "reflexflow_beta1", PREFIX + "reflexflow_beta1", default=10.0),
    mapped(PREFIX + "reflexflow_beta2", PREFIX + "reflexflow_beta2", default=1.0),
)
