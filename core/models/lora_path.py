"""Which file a LoRA's path means. Imports no torch: the page checks with it what people type."""

from pathlib import Path

from core.errors import DataError, Problem

SUFFIX = ".safetensors"
DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
PEFT_FILE = "adapter_model.safetensors"


def lora_problem(path: Path, rule: str) -> DataError:
    """The error that a file is no LoRA that can be used."""
    return DataError([Problem(path.name, f"{path.name} must {rule}")])


def lora_path(path: Path) -> Path:
    """The safetensors file that is meant: itself, or the one in a diffusers or PEFT folder.

    Raises:
        DataError: there is none, or it is of another sort; a pickle can run code when it is opened, so none is.
    """
    if path.is_dir():
        found = [path / name for name in (DIFFUSERS_FILE, PEFT_FILE) if (path / name).is_file()]
        if not found:
            raise lora_problem(path, f"hold {DIFFUSERS_FILE} or {PEFT_FILE}, got a folder without them")
        return found[0]
    if path.suffix.lower() != SUFFIX:
        rule = "be a .safetensors file, got another kind; convert it, since a pickle can run code when it is opened"
        raise lora_problem(path, rule)
    if not path.is_file():
        raise lora_problem(path, f"be a file that exists, got nothing at {path}; check the path")
    return path
