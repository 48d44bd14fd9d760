"""Lost updates do not happen: every single resource has an ETag, every change names the version it is based on."""

from typing import Annotated

from fastapi import Depends, Header, Response

from central.errors import MatchRequired, Stale


def etag(version: int | str) -> str:
    """Return the strong ETag of a version (RFC 9110, 8.8.3)."""
    return f'"{version}"'


def set_etag(response: Response, version: int | str) -> None:
    """Name the version of what is answered."""
    response.headers["ETag"] = etag(version)


class Match:
    """The If-Match of a change."""

    def __init__(self, header: str) -> None:
        self._tags = {part.strip() for part in header.split(",")}

    def check(self, version: int | str) -> None:
        """Raise Stale unless the present version is one of those named; `*` names any."""
        if "*" not in self._tags and etag(version) not in self._tags:
            raise Stale(
                "it was changed since you read it", cure=f"read it again; the present version is {etag(version)}"
            )


def _match(
    if_match: Annotated[str | None, Header(description="The ETag of the version this change is based on")] = None,
) -> Match:
    if if_match is None:
        raise MatchRequired("a change needs If-Match", cure="send the ETag of the version you read")
    return Match(if_match)


IfMatch = Annotated[Match, Depends(_match)]
"""A route parameter: 428 where the header is absent. With the row locked call `check(version)`: 412 where stale."""


def _match_given(
    if_match: Annotated[str | None, Header(description="The ETag of the version a change is based on")] = None,
) -> Match | None:
    return None if if_match is None else Match(if_match)


IfMatchGiven = Annotated[Match | None, Depends(_match_given)]
"""A route parameter for a PUT that also makes what is not there: whether If-Match is needed is the service's to say."""
