"""Users and their permissions on the broker: made through its management API, or written as definitions to import."""

import asyncio
import base64
import hashlib
import hmac
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from contracts.broker.endpoint import SYSTEM_ROOTS, TlsFiles
from contracts.errors import BrokerRefusedError, LinkDownError
from contracts.permissions import PERMISSIONS, BrokerUser, Permission

HASHING = "rabbit_password_hashing_sha256"
LEAST_PASSWORD = 12
_SALT_BYTES = 4
_TIMEOUT_S = 30

Passwords = Mapping[BrokerUser, str]


def read_passwords(file: Path) -> dict[BrokerUser, str]:
    """The passwords of a TOML file: `user = "password"` lines. Raises ValueError saying what is wrong, without one."""
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: {type(error).__name__}") from None
    except tomllib.TOMLDecodeError:  # its words may quote a line
        raise ValueError(f"{file}: is not TOML") from None
    passwords: dict[BrokerUser, str] = {}
    for name, password in content.items():
        if name not in PERMISSIONS:
            raise ValueError(f"{file}: there is no user {name}; there are {', '.join(PERMISSIONS)}")
        if not isinstance(password, str) or len(password) < LEAST_PASSWORD:
            raise ValueError(f"{file}: the password of {name} has to be text of {LEAST_PASSWORD} characters or more")
        passwords[BrokerUser(name)] = password
    return passwords


def new_password() -> str:
    """A password that nobody will guess."""
    return secrets.token_urlsafe(32)


def hash_of(password: str, salt: bytes | None = None) -> str:
    """A password as RabbitMQ stores it: salted SHA-256, base64."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(users: Iterable[BrokerUser], passwords: Passwords, *, vhost: str, prefix: str) -> dict[str, Any]:
    """What `rabbitmqctl import_definitions` takes; users without a password get none and cannot log in by one."""
    chosen = tuple(users)
    return {
        "users": [
            {
                "name": prefix + user,
                "password_hash": hash_of(passwords[user]) if user in passwords else "",
                "hashing_algorithm": HASHING,
                "tags": PERMISSIONS[user].tags,
            }
            for user in chosen
        ],
        "permissions": [{"user": prefix + user, "vhost": vhost, **_body(PERMISSIONS[user])} for user in chosen],
    }


async def grant(
    management_url: str,
    users: Iterable[BrokerUser],
    passwords: Passwords,
    *,
    vhost: str,
    prefix: str,
    generate: bool = False,
    files: TlsFiles = SYSTEM_ROOTS,
) -> dict[BrokerUser, str]:
    """Make the users, or change them to what they should be; a second time changes nothing.

    A user on record keeps its password unless `passwords` has another one. A new user without one gets a random
    password, which is returned, with `generate`; else nothing is changed and BrokerRefusedError names it. Raises
    LinkDownError when the API does not answer.
    """
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.TCPConnector(ssl=files.context()) if management_url.startswith("https:") else None
    try:
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            api = _Api(session, management_url.rstrip("/"))
            chosen = tuple(users)
            known = {user: await api.user(prefix + user) for user in chosen}
            fresh = [user for user in chosen if known[user] is None and user not in passwords]
            if fresh and not generate:
                raise BrokerRefusedError(f"no password for the new users {', '.join(fresh)}: give or generate them")
            made = {user: new_password() for user in fresh}
            for user in chosen:
                name, permission = prefix + user, PERMISSIONS[user]
                await api.put_user(name, known[user], {**passwords, **made}.get(user), permission.tags)
                await api.put(f"permissions/{quote(vhost, safe='')}/{quote(name, safe='')}", _body(permission))
            return made
    except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise LinkDownError(f"cannot reach the management API: {type(error).__name__}") from None


class _Api:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def user(self, name: str) -> dict[str, Any] | None:
        async with self._session.get(f"{self._url}/api/users/{quote(name, safe='')}") as response:
            if response.status == 404:
                return None
            if response.status != 200:
                raise BrokerRefusedError(f"looking at user {name} was refused with HTTP {response.status}")
            found: dict[str, Any] = await response.json()
            return found

    async def put_user(self, name: str, known: dict[str, Any] | None, password: str | None, tags: str) -> None:
        stored = "" if known is None else str(known.get("password_hash", ""))
        if known is not None and _tags(known.get("tags")) == tags and (password is None or _is(password, stored)):
            return
        hashed = stored if password is None or _is(password, stored) else hash_of(password)
        body = {"password_hash": hashed, "hashing_algorithm": HASHING, "tags": tags}
        await self.put(f"users/{quote(name, safe='')}", body)

    async def put(self, path: str, body: dict[str, Any]) -> None:
        async with self._session.put(f"{self._url}/api/{path}", json=body) as response:
            if response.status not in {201, 204}:
                raise BrokerRefusedError(f"{path} was refused with HTTP {response.status}")


def _tags(tags: Any) -> str:
    """RabbitMQ 3.8 and before tell text, later ones a list."""
    return ",".join(tags) if isinstance(tags, list) else str(tags or "")


def _is(password: str, stored: str) -> bool:
    try:
        salt = base64.b64decode(stored)[:_SALT_BYTES]
    except ValueError:
        return False
    return hmac.compare_digest(hash_of(password, salt), stored)


def _body(permission: Permission) -> dict[str, str]:
    return {"configure": permission.configure, "write": permission.write, "read": permission.read}
