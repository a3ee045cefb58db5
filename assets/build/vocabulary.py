"""What the embedded base model knows: nouns, art styles, named backgrounds, and the captions made of them.

The vocabulary is narrow on purpose: on two CPU cores some seventy nouns of strong shape become crisp, several hundred
stay soft. The background is always named, so that its border colour is a numeric score of prompt adherence.
"""

from collections.abc import Iterator

NOUNS: tuple[str, ...] = tuple(
    """
    cat face, grinning cat, dog face, fox, panda, frog, lion, tiger face, rabbit face, bear, koala, pig face,
    mouse face, monkey face, cow face, hamster, wolf, chicken, penguin, owl, octopus, tropical fish, turtle,
    spouting whale, lady beetle, crab, snail, unicorn, red apple, strawberry, pizza, hamburger, watermelon, banana,
    doughnut, cherries, carrot, lemon, birthday cake, cookie, ear of corn, rose, sunflower, tulip, cactus, mushroom,
    palm tree, evergreen tree, grinning face, angry face, crying face, smiling face with heart eyes,
    smiling face with sunglasses, clown face, robot, ghost, alien, skull, jack o lantern, snowman without snow, star,
    red heart, automobile, rocket, balloon, soccer ball, umbrella, crown
    """.replace("\n", " ").split(",")
)
NOUNS = tuple(" ".join(noun.split()) for noun in NOUNS)

STYLES: dict[str, str] = {"noto": "noto", "fluent": "fluent-emoji", "twemoji": "twemoji"}
"""Style name in a caption -> npm package (without its scope)."""

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "gray": (150, 150, 150),
    "black": (25, 25, 25),
    "red": (225, 60, 60),
    "green": (70, 180, 80),
    "blue": (60, 110, 225),
    "yellow": (250, 225, 90),
    "pink": (250, 160, 200),
}
RARE_TOKENS: tuple[str, ...] = ("sks", "zwx", "ohwx")
"""Words that no picture of the base carries: free for a DreamBooth subject."""


def caption(style: str, noun: str, background: str) -> str:
    """One training caption.

    >>> caption("noto", "octopus", "blue")
    'a noto emoji of an octopus on a blue background'
    """
    article = "an" if noun[0] in "aeiou" and not noun.startswith("unicorn") else "a"
    return f"a {style} emoji of {article} {noun} on a {background} background"


def all_captions() -> Iterator[tuple[str, str, str, str]]:
    """Every (style, noun, background, caption) of the training set, in a fixed order."""
    for style in STYLES:
        for noun in NOUNS:
            for background in BACKGROUNDS:
                yield style, noun, background, caption(style, noun, background)
