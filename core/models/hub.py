"""Why a model does not come from the hub, told as what it is: gated, unknown, offline, out of reach."""

from collections.abc import Iterator

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

_TRANSPORT = ("httpx", "httpcore", "requests", "urllib3")
"""How the names of the packages begin whose errors mean that no answer came."""
_REFUSED = (401, 403)


def hub_problem(name: str, error: BaseException) -> str | None:
    """What a model's name must be, and what to do; None where the hub has nothing to do with the error.

    Args:
        name: that was asked for.
        error: that loading raised; its causes are looked through.
    """
    for cause in _causes(error):
        if isinstance(cause, OfflineModeIsEnabled):
            rule = "be on this machine while HF_HUB_OFFLINE is set"
            return f"{rule}, got {name!r}, which is not; fetch it once without, or name a folder"
        if isinstance(cause, GatedRepoError):
            return (
                f"be a model that this account may load, got {name!r}, which is gated; "
                "accept its terms on its page on the hub and set HF_TOKEN in the environment"
            )
        if isinstance(cause, RepositoryNotFoundError) or _status(cause) in _REFUSED:
            rule = "be a model that the hub knows and this account may see"
            return f"{rule}, got {name!r}; check its name, and set HF_TOKEN in the environment where it is private"
        if isinstance(cause, HfHubHTTPError):
            return f"be a model that the hub gives out, got {name!r} and the answer {_status(cause)}; try again later"
        if isinstance(cause, (ConnectionError, TimeoutError, LocalEntryNotFoundError)) or _is_transport(cause):
            rule = "be a model on this machine or in reach"
            return f"{rule}, got {name!r}, but the hub cannot be reached; check the connection, or name a folder"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ if following.__cause__ is not None else following.__context__


def _status(error: BaseException) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _is_transport(error: BaseException) -> bool:
    return type(error).__module__.startswith(_TRANSPORT)
