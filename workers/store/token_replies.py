"""A token verdict in the words of each OCPP version; one vocabulary for authorization and metering."""

from typing import Any

from workers.store.tokens import TokenVerdict


def id_tag_info(verdict: TokenVerdict, expires_at: str | None) -> dict[str, Any]:
    """OCPP 1.6 IdTagInfo (7.29); idTags are 20 characters, so a longer group is left out."""
    info: dict[str, Any] = {"status": verdict.status}
    if expires_at is not None:
        info["expiryDate"] = expires_at
    if verdict.group_token is not None and len(verdict.group_token) <= 20:
        info["parentIdTag"] = verdict.group_token
    return info


def id_token_info(verdict: TokenVerdict, expires_at: str | None) -> dict[str, Any]:
    """OCPP 2.x IdTokenInfoType."""
    info: dict[str, Any] = {"status": verdict.status}
    if expires_at is not None:
        info["cacheExpiryDateTime"] = expires_at
    if verdict.group_token is not None and len(verdict.group_token) <= 36:
        info["groupIdToken"] = {"idToken": verdict.group_token, "type": "Central"}
    return info
