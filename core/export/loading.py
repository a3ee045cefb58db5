"""How an export is loaded, tool by tool: lines for its card."""

import json

from core.export.formats import FORMATS, format_problem
from core.export.source import Source
from core.models.saving import NETWORKS


def loading_lines(source: Source, format: str) -> list[str]:
    """Markdown lines.

    Args:
        source: The run.
        format: Of the export.
    """
    return _LINES[format](source, FORMATS[format].file_of(source.name))


def _code(source: Source, load: list[str], imports: list[str]) -> list[str]:
    """Python that draws the training prompt."""
    base = source.hub_base if source.hub_base is not None else f"path/to/{source.base}"
    return [
        "```python",
        "from diffusers import DiffusionPipeline",
        *imports,
        "",
        f"pipe = DiffusionPipeline.from_pretrained({json.dumps(base, ensure_ascii=False)})",
        *load,
        f"picture = pipe({json.dumps(source.trigger, ensure_ascii=False)}).images[0]",
        "```",
    ]


def _diffusers(source: Source, file: str) -> list[str]:
    load = [f'pipe.load_lora_weights("path/to/this/folder", weight_name="{file}")']
    return [*_code(source, load, []), "", *_comfy(source, file)]


def _comfy(source: Source, file: str) -> list[str]:
    """ComfyUI reads these keys of transformers alone, and of their alpha nothing."""
    if format_problem("kohya", source.config.model.family) is None:
        return ["For ComfyUI, AUTOMATIC1111 and Forge export the run as `kohya`."]
    strengths = sorted({f"{module.scale:g}" for module in source.lora.modules})
    how = f"put `{file}` into `models/loras` under another name and add a *Load LoRA* node"
    told = "" if strengths == ["1"] else f" with the strength {', '.join(strengths)}: it reads no alpha from this file"
    return [f"ComfyUI: {how}{told}."]


def _kohya(source: Source, file: str) -> list[str]:
    load = [f'pipe.load_lora_weights("path/to/this/folder", weight_name="{file}")']
    return [
        f"- ComfyUI: put `{file}` into `models/loras` and add a *Load LoRA* node.",
        f"- AUTOMATIC1111 and Forge: put `{file}` into `models/Lora` and write `<lora:{source.name}:1>` in the prompt.",
        "- diffusers:",
        "",
        *_code(source, load, []),
    ]


def _peft(source: Source, file: str) -> list[str]:
    load = []
    for part in sorted({module.part for module in source.lora.modules}, key=lambda part: part not in NETWORKS):
        place = "path/to/this/folder" if part in NETWORKS else f"path/to/this/folder/{part}"
        load.append(f'PeftModel.from_pretrained(pipe.{part}, "{place}")  # its layers go into the {_kind(part)} itself')
    return _code(source, load, ["from peft import PeftModel"])


def _kind(part: str) -> str:
    return "network" if part in NETWORKS else "encoder"


_LINES = {"diffusers": _diffusers, "kohya": _kohya, "peft": _peft}
