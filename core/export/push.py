"""Puts an export on the hub: only when it is asked for, with a token from the environment, and said before it goes."""

import os
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from core.errors import Problem, RunError
from core.regular import size_text

TOKEN = "HF_TOKEN"
REFUSED = (401, 403)


def push_problem(repo: str) -> Problem | None:
    """Why nothing can be pushed there, as far as it is known without asking; None where it may be tried.

    Args:
        repo: ``NAME`` or ``ACCOUNT/NAME``.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError:
        return Problem("--push", f"--push must be a repository's name such as me/my-cat, got {repo!r}")
    if constants.is_offline_mode():
        return Problem("--push", f"--push must go to the hub, got {repo!r} while HF_HUB_OFFLINE is set; unset it")
    if not os.environ.get(TOKEN, ""):
        rule = f"--push must come with a token that may write, got none in the environment variable {TOKEN}"
        return Problem("--push", f"{rule}; make one on the hub's page of access tokens and set it")
    return None


def push_text(folder: Path, repo: str) -> str:
    """What will go where, one sentence."""
    files = _files(folder)
    size = size_text(sum((folder / name).stat().st_size for name in files))
    where = f"{constants.ENDPOINT}/{repo}"
    return f"pushing {len(files)} files, {size}, to {where} (a new repository is made private): {', '.join(files)}"


def push(folder: Path, repo: str) -> str:
    """Uploads the files of an export in one commit.

    Args:
        folder: Of the export.
        repo: ``NAME`` or ``ACCOUNT/NAME``; made private where it is new.

    Returns:
        The commit's address.

    Raises:
        RunError: The hub does not take it; the export stays where it is.
    """
    api = HfApi(token=os.environ[TOKEN])
    try:
        made = api.create_repo(repo, private=True, exist_ok=True)
        commit = api.upload_folder(
            repo_id=made.repo_id, folder_path=folder, allow_patterns=_files(folder), commit_message="Add a LoRA"
        )
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = "check that the token may write there" if status in REFUSED else "try again later"
        raise RunError(f"the hub must take {repo}, got the answer {status}; {advice}; the export is kept") from error
    except (OSError, HTTPError) as error:
        rule = f"the hub must be in reach to push {repo}, got no answer from {constants.ENDPOINT}"
        raise RunError(f"{rule}; check the connection; the export is kept") from error
    return commit.commit_url


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
