"""Prompts that follow an instance prompt of one's own."""

from app.prompts import Prompts, follow

DEMO = Prompts(
    "an emoji of a sks cat on a white background",
    "an emoji of a cat on a white background",
    (
        "an emoji of a sks cat on a blue background",
        "an emoji of a sks cat on a black background",
        "an emoji of a cat on a white background",
        "an emoji of a dog on a red background",
    ),
)


def test_a_subject_alike_gets_the_same_variations_and_its_own_class():
    made = follow(DEMO, "an emoji of a sks monkey on a white background")
    assert made.of_class == "an emoji of a monkey on a white background"
    assert made.samples == (
        "an emoji of a sks monkey on a blue background",
        "an emoji of a sks monkey on a black background",
        "an emoji of a monkey on a white background",
        "an emoji of a dog on a red background",
    )


def test_a_subject_that_cannot_vary_alike_is_drawn_as_it_is_once():
    made = follow(DEMO, "a photo of sks dog")
    assert made.of_class == "a photo of dog"
    assert made.samples == ("a photo of sks dog", "a photo of dog", "an emoji of a dog on a red background")


def test_another_rare_word_is_told_by_its_use_or_its_place():
    for word in ("zwx", "bello"):
        made = follow(DEMO, f"an emoji of a {word} monkey on a white background")
        assert made.of_class == "an emoji of a monkey on a white background"
        assert made.samples[0] == f"an emoji of a {word} monkey on a blue background"


def test_where_no_rare_word_can_be_told_the_class_prompt_stays():
    assert follow(DEMO, "my dog Bello in the garden").of_class == DEMO.of_class


def test_without_a_class_prompt_none_is_made_up():
    made = follow(Prompts("a sks cat", None, ("a sks cat in snow",)), "a sks dog")
    assert made.of_class is None
    assert made.samples == ("a sks dog",)


def test_there_is_always_something_to_draw():
    assert follow(Prompts("a sks cat", None, ()), "a sks dog").samples == ("a sks dog",)


def test_the_same_instance_prompt_changes_nothing():
    assert follow(DEMO, DEMO.instance) == DEMO


def test_phrases_with_special_characters_are_taken_literally():
    made = follow(Prompts("a (red) cat", None, ("a \\1 cat",)), "a (red) dog")
    assert made.samples[0] in {"a \\1 dog", "a (red) dog"}
