"""Sample prompts and class prompt that follow an instance prompt of one's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.config.run import RunConfig

USUAL = {"sks", "zwx", "ohwx"}
"""Rare words that people commonly give a subject."""


@dataclass(frozen=True)
class Prompts:
    """The prompts that belong to one subject.

    Attributes:
        instance: Of the subject's pictures.
        of_class: Of the class's pictures, None where there is none.
        samples: What is drawn.
    """

    instance: str
    of_class: str | None
    samples: tuple[str, ...]

    @classmethod
    def of(cls, config: RunConfig) -> Prompts:
        """Those of a config."""
        return cls(config.data.instance_prompt, config.data.class_prompt, config.validation.validation_prompts)


def follow(model: Prompts, instance: str) -> Prompts:
    """The prompts of another subject, made as those of ``model`` are from its instance prompt.

    The rare words are those that the model's instance prompt has beyond its class prompt. Left out of the new instance
    prompt they give the new class prompt; where none can be told, the class prompt stays. A sample prompt that differs
    from the instance prompt in one phrase ("white" → "blue") differs in it again, if the new instance prompt holds that
    phrase. Sample prompts of other things stay.

    Args:
        model: For example the preset's prompts.
        instance: The new instance prompt.
    """
    rare = _rare_words(model)
    new_rare = _rare_words_like(model, rare, instance)
    of_class = model.of_class
    if of_class is not None and new_rare:
        of_class = " ".join(word for word in instance.split() if word not in new_rare) or None
    samples = []
    for prompt in model.samples:
        if prompt == model.of_class and of_class is not None:
            samples.append(of_class)
        elif rare and not rare & set(prompt.split()):
            samples.append(prompt)
        else:
            samples.append(_vary(model.instance, prompt, instance))
    return Prompts(instance, of_class, tuple(dict.fromkeys(samples)) or (instance,))


def _rare_words(model: Prompts) -> set[str]:
    return set(model.instance.split()) - set(model.of_class.split()) if model.of_class else set()


def _rare_words_like(model: Prompts, rare: set[str], instance: str) -> set[str]:
    """Which words of a new instance prompt name the subject: usual ones, or what stands where the model's stands."""
    words = instance.split()
    usual = (rare | USUAL) & set(words)
    if usual or not rare:
        return usual
    before = []
    for word in model.instance.split():
        if word in rare:
            break
        before.append(word)
    follows = len(words) > len(before) + 1 and words[: len(before)] == before
    return {words[len(before)]} if follows else set()


def _vary(old_instance: str, old_prompt: str, instance: str) -> str:
    """The new instance prompt, changed as the old one was to give ``old_prompt``; unchanged where it cannot be."""
    before, after = old_instance.split(), old_prompt.split()
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = (" ".join(words[start : len(words) - end]) for words in (before, after))
    if not old or not re.search(rf"\b{re.escape(old)}\b", instance):
        return instance
    return re.sub(rf"\b{re.escape(old)}\b", lambda match: new, instance, count=1)
