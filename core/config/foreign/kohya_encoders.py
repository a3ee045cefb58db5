"""What kohya's scripts say of text encoders: which are trained, and how fast."""

from typing import Any

from core.config.foreign.mapping import OPTIMIZERS, Took, Values, as_number
from core.config.foreign.values import number_of, switch_of

TEXT_ENCODER = "the text encoders' feed-forward is trained too there; here their attention alone"
NO_TEXT_ENCODER = "the text encoders are trained too there; here, with network_dropout, the denoiser alone"


def unet_only(value: Any, values: Values) -> Took:
    """Left out, text encoders are trained there; a learning rate of 0 leaves them as they are."""
    rates = _rates(values)
    if switch_of(value) or (rates and max(rates) == 0):
        return Took("mapped", {"train_text_encoder": False})
    if as_number(values, "network_dropout") > 0:
        return Took("differs", {"train_text_encoder": False}, NO_TEXT_ENCODER)
    return Took("differs", {"train_text_encoder": True}, TEXT_ENCODER)


def _rates(values: Values) -> list[float]:
    """Of the text encoders, one for all or one for each."""
    said = values.get("text_encoder_lr")
    found = [number_of(each) for each in (said if isinstance(said, list) else [said])]
    return [each for each in found if each is not None]


def text_encoder_lr(value: Any, values: Values) -> Took:
    """Left out, ``learning_rate`` counts for them there, though ``unet_lr`` may be the denoiser's."""
    told = unet_only(values.get("network_train_unet_only", False), values)
    if not told.options["train_text_encoder"]:
        return Took("ignored", words="the text encoders are not trained")
    if OPTIMIZERS.get(str(values.get("optimizer_type", "")).strip().lower()) == "prodigy":
        return Took("ignored", words="Prodigy has one learning rate for all here")
    rates = _rates(values)
    if len(set(rates)) > 1:
        return Took("differs", {"text_encoder_lr": max(rates)}, "one for each there; here the largest for all")
    if value is not None:
        return Took("mapped", {"text_encoder_lr": rates[0] if rates else value})
    apart = as_number(values, "unet_lr") > 0  # else learning_rate counts for all, here as there
    return Took("mapped", {"text_encoder_lr": values.get("learning_rate")} if apart else {})
