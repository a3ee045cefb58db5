"""What of a hub model is missing on this machine, and fetching it: only ever what was asked for. Imports no torch."""

from collections.abc import Iterator
from dataclasses import dataclass

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

from core.errors import DataError, Problem, first_line
from core.models.hub import hub_problem

OPTION = "pretrained_model_name_or_path"
SMALL = (".json", ".txt", ".model")
"""Settings, vocabularies, lists of shards."""
WEIGHTS = ".safetensors"
WEIGHTED = frozenset({"unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"})
"""Parts whose weights some family reads. Repositories hold others too: a safety checker, and whole encoders again in
another layout, as many gigabytes as the model itself."""
GIGABYTE = 1e9
_NO_ANSWER = (OSError, ValueError, HTTPError)
"""What the library raises: no connection, a refusal, a name that is none."""


@dataclass(frozen=True)
class Missing:
    """What a hub model lacks here.

    Attributes:
        name: of the model.
        revision: that was asked for, under which it is found again without a connection.
        files: all that belong to the pipeline, by their paths.
        absent: those of them that are not on this machine.
        size: of those, in bytes.
    """

    name: str
    revision: str | None
    files: tuple[str, ...]
    absent: tuple[str, ...]
    size: int

    @property
    def told(self) -> str:
        """How much there is to fetch, for people."""
        return f"{len(self.absent)} files, {self.size / GIGABYTE:.2f} GB"


def missing_of(name: str, revision: str | None, variant: str | None) -> Missing:
    """Asks the hub what belongs to a model and looks for it on this machine; fetches nothing.

    Args:
        name: of the model on the hub.
        revision: branch, tag or commit; None for the main branch.
        variant: of the weight files; where a part has none of it, the plain ones.

    Raises:
        DataError: the hub cannot be asked, or does not give the model out.
    """
    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True)
        sizes = {each.rfilename: each.size if each.size is not None else 0 for each in info.siblings or ()}
        files = tuple(_wanted(sorted(sizes), variant))
        looked = snapshot_download(name, revision=info.sha, allow_patterns=list(files), dry_run=True)
    except _NO_ANSWER as error:
        raise _refused(name, error) from error
    absent = tuple(each.filename for each in looked if each.will_download)
    return Missing(name, revision, files, absent, sum(sizes[each] for each in absent))


def fetch(missing: Missing) -> str:
    """Fetches what is missing; returns the model's folder.

    Raises:
        DataError: the hub does not give it out.
    """
    try:
        return snapshot_download(missing.name, revision=missing.revision, allow_patterns=list(missing.files))
    except _NO_ANSWER as error:
        raise _refused(missing.name, error) from error


def fetch_command(name: str, revision: str | None, variant: str | None) -> str:
    """What is typed to fetch a model."""
    given = (("revision", revision), ("variant", variant))
    return f"python -m core fetch {name}" + "".join(f" --{option} {value}" for option, value in given if value)


def folder_of(name: str, revision: str | None, variant: str | None) -> str:
    """The folder of a hub model that lies whole in the hub's cache; fetches nothing.

    Without a connection what lies there counts as whole: what is missing shows when it is loaded.

    Raises:
        DataError: it has to be fetched first, and how much of it; or the hub does not know it.
    """
    try:
        missing = missing_of(name, revision, variant)
    except DataError:
        here = _cached(name, revision)
        if here is None:
            raise
        return here
    if missing.absent:
        how = fetch_command(name, revision, variant)
        rule = f"be on this machine, got {name!r}, of which {missing.told} are to be fetched; say so with '{how}'"
        raise DataError([Problem(OPTION, f"{OPTION} must {rule}")])
    return fetch(missing)  # nothing is left to fetch: where it lies


def _cached(name: str, revision: str | None) -> str | None:
    try:
        return snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=["model_index.json"])
    except (LocalEntryNotFoundError, *_NO_ANSWER):
        return None


def _wanted(names: list[str], variant: str | None) -> Iterator[str]:
    """The files of a pipeline's parts: everything small, and of each that is read the weights, variant or plain."""
    inside = [name for name in names if name.count("/") == 1]
    for name in names:
        if name == "model_index.json" or (name in inside and name.endswith(SMALL)):
            yield name
    for folder in sorted(WEIGHTED.intersection(name.partition("/")[0] for name in inside)):
        weights = [name for name in inside if name.startswith(f"{folder}/") and name.endswith(WEIGHTS)]
        asked = [name for name in weights if variant is not None and _variant(name) == variant]
        yield from asked if asked else [name for name in weights if _variant(name) is None]


def _variant(name: str) -> str | None:
    """``fp16`` of ``unet/model.fp16.safetensors`` and ``unet/model.fp16-00001-of-00002.safetensors``."""
    stem = name.rpartition("/")[2].removesuffix(WEIGHTS)
    mark = stem.partition(".")[2]
    return mark.partition("-")[0] if mark else None


def _refused(name: str, error: BaseException) -> DataError:
    problem = hub_problem(name, error)
    if problem is None:
        first = first_line(error)
        problem = f"be a diffusers folder or a hub id in reach, got {name!r} ({first:.200})"
    return DataError([Problem(OPTION, f"{OPTION} must {problem}; or use 'embedded', which ships with the workbench")])
