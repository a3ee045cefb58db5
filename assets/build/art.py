"""Fetches the art (npm), renders it (resvg) and composes it on flat backgrounds."""

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import resvg_py
import torch
from PIL import Image

from assets.build.vocabulary import BACKGROUNDS, NOUNS, STYLES

RENDER_SIZE = 256
PICTURE_SIZE = 64
AUTOENCODER_CATEGORIES = (
    "Smileys & Emotion", "Animals & Nature", "Food & Drink", "Travel & Places", "Objects", "Activities",
)  # fmt: skip
SUBJECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "orange-cat": (
        "noto-v1",
        ("cat-face", "grinning-cat", "pouting-cat", "crying-cat", "kissing-cat", "cat-with-wry-smile",
         "grinning-cat-with-smiling-eyes", "cat-with-tears-of-joy"),
    ),
    "brown-monkey": ("fxemoji", ("monkey", "monkeyface", "monkeyhear", "monkeysee", "monkeyspeak")),
}  # fmt: skip
"""DreamBooth subject -> (npm package that the base never sees, icon ids)."""


def fetch(work: Path) -> Path:
    """Installs the pinned icon packages below ``work``; returns the folder that holds them."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "package.json").write_text((Path(__file__).parent / "package.json").read_text())
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=work, check=True)
    return work / "node_modules" / "@iconify-json"


def _svg(icons: dict, name: str) -> str | None:
    for _ in range(4):  # an alias may name an alias
        if name in icons["icons"]:
            icon = icons["icons"][name]
            width, height = icon.get("width", icons.get("width")), icon.get("height", icons.get("height"))
            box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
            return (
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'width="{RENDER_SIZE}" height="{RENDER_SIZE}" viewBox="{box}">{icon["body"]}</svg>'
            )
        if name not in icons.get("aliases", {}):
            return None
        name = icons["aliases"][name]["parent"]
    return None


def render(packages: Path, package: str, name: str) -> np.ndarray | None:
    """Premultiplied RGBA, uint8, (256, 256, 4); None when the package has no such icon."""
    icons = json.loads((packages / package / "icons.json").read_text())
    return _render(icons, name)


def _render(icons: dict, name: str) -> np.ndarray | None:
    svg = _svg(icons, name)
    if svg is None:
        return None
    picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    values = np.asarray(picture).astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255
    return values.round().astype(np.uint8)


def shrink(rgba: np.ndarray, size: int) -> np.ndarray:
    """Lanczos on premultiplied channels, so that edges carry no dark fringe."""
    channels = [Image.fromarray(rgba[..., c]).resize((size, size), Image.Resampling.LANCZOS) for c in range(4)]
    return np.stack([np.asarray(c) for c in channels], axis=-1)


def wide_set(packages: Path) -> np.ndarray:
    """Every icon of six categories in the three styles, for the autoencoder: uint8 (n, 64, 64, 4)."""
    categories = json.loads((packages / "noto" / "metadata.json").read_text())["categories"]
    names = sorted({name for category in AUTOENCODER_CATEGORIES for name in categories[category]})
    pictures = []
    for package in STYLES.values():
        icons = json.loads((packages / package / "icons.json").read_text())
        rendered = (_render(icons, name) for name in names)
        pictures += [shrink(picture, PICTURE_SIZE) for picture in rendered if picture is not None]
    return np.stack(pictures)


def narrow_set(packages: Path) -> dict[tuple[str, str], np.ndarray]:
    """The base model's own icons: (style, noun) -> uint8 (64, 64, 4). Raises when an icon is missing."""
    pictures = {}
    for style, package in STYLES.items():
        icons = json.loads((packages / package / "icons.json").read_text())
        for noun in NOUNS:
            picture = _render(icons, noun.replace(" ", "-"))
            if picture is None:
                raise LookupError(f"{package} has no icon named {noun!r}")
            pictures[style, noun] = shrink(picture, PICTURE_SIZE)
    return pictures


def compose(rgba: torch.Tensor, background: torch.Tensor, placement: torch.Tensor) -> torch.Tensor:
    """Art on flat colours.

    Args:
        rgba: premultiplied, uint8, (batch, size, size, 4).
        background: colour in -1..1, (batch, 3).
        placement: affine map from output to input coordinates, (batch, 2, 3).

    Returns:
        Pictures in -1..1, (batch, 3, size, size).
    """
    art = rgba.float().permute(0, 3, 1, 2) / 255
    grid = torch.nn.functional.affine_grid(placement, list(art.shape), align_corners=False)
    art = torch.nn.functional.grid_sample(art, grid, padding_mode="zeros", align_corners=False)
    colour, opacity = art[:, :3], art[:, 3:]
    return colour * 2 - opacity + (1 - opacity) * background[:, :, None, None]


def background_colours() -> torch.Tensor:
    """The named backgrounds in order, in -1..1, (8, 3)."""
    return torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32) / 127.5 - 1


def centred(batch: int, scale: float = 1.16) -> torch.Tensor:
    """Placement of the art in the middle with a margin: (batch, 2, 3)."""
    placement = torch.zeros(batch, 2, 3)
    placement[:, 0, 0] = placement[:, 1, 1] = scale
    return placement


def save_subjects(packages: Path, assets: Path) -> None:
    """Writes each DreamBooth subject as PNGs of 256 pixels on white, centred with the same margin as the base's art."""
    for subject, (package, names) in SUBJECTS.items():
        folder = assets / "subjects" / subject
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            rgba = render(packages, package, name)
            if rgba is None:
                raise LookupError(f"{package} has no icon named {name!r}")
            picture = compose(torch.from_numpy(rgba)[None], torch.ones(1, 3), centred(1))[0]
            to_image(picture).save(folder / f"{name}.png", optimize=True)


def to_image(picture: torch.Tensor) -> Image.Image:
    """(3, height, width) in -1..1 -> 8-bit RGB."""
    values = ((picture.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous()
    return Image.fromarray(values.numpy())


def contact_sheet(pictures: torch.Tensor, columns: int, scale: int = 2, gap: int = 2) -> Image.Image:
    """Pictures (n, 3, size, size) in -1..1, row by row on white, enlarged without smoothing."""
    size = pictures.shape[-1]
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (size + gap) - gap, rows * (size + gap) - gap), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(to_image(picture), (index % columns * (size + gap), index // columns * (size + gap)))
    return sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)
