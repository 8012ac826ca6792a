"""Where this machine keeps the servers' programs."""

import os
import re
import shutil
from pathlib import Path

from tools.nodes.faces import NodeUnavailable

# Debian's commands in /usr/sbin change the user and refuse others; the scripts they wrap do not.
_RABBITMQ_DIRECTORIES = (
    "/usr/lib/rabbitmq/bin",
    "/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
)
_ERLANG_PATTERN = "/usr/lib/erlang/erts-*/bin"
_PROMETHEUS = ("prometheus", "promtool")
_UNPACKED_PROMETHEUS = Path(__file__).parents[2] / ".dev" / "prometheus" / "usr" / "bin"
_POSTGRES_PATTERN = "/usr/lib/postgresql/*/bin"


def search_path() -> str:
    """The PATH for a server: the caller's, and the system's directories, which a user's PATH may lack."""
    inherited = os.environ.get("PATH", "")
    return ":".join(
        dict.fromkeys([*filter(None, inherited.split(":")), "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    )


def rabbitmq_server() -> Path:
    """Return the script that starts RabbitMQ; NodeUnavailable if there is none."""
    for directory in _RABBITMQ_DIRECTORIES:
        script = Path(directory, "rabbitmq-server")
        if os.access(script, os.X_OK):
            return script
    found = shutil.which("rabbitmq-server", path=search_path())
    if found is None:
        raise NodeUnavailable(
            "RabbitMQ is not installed here (no rabbitmq-server). Set AMQP_URL to the URL of a broker of yours, "
            "or install it: `tools/bootstrap.sh run` does so on Debian and Ubuntu."
        )
    return Path(found)


def epmd() -> Path:
    """Return Erlang's port mapper; NodeUnavailable if there is none."""
    found = shutil.which("epmd", path=search_path())
    candidates = [Path(found)] if found else [directory / "epmd" for directory in _newest_first(_ERLANG_PATTERN)]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    raise NodeUnavailable("Erlang's epmd was not found on PATH, though RabbitMQ needs it: is Erlang installed?")


def postgres_directory() -> Path:
    """Return the directory of `postgres` and `initdb`, the newest version's first; NodeUnavailable if there is none."""
    directories = _newest_first(_POSTGRES_PATTERN)
    found = shutil.which("initdb", path=search_path())
    if found is not None:
        directories.append(Path(found).resolve().parent)
    for directory in directories:
        if all(os.access(directory / program, os.X_OK) for program in ("initdb", "postgres")):
            return directory
    raise NodeUnavailable(
        "PostgreSQL is not installed here (no initdb and postgres). Set DATABASE_URL to the URL of a database "
        "of yours, or install it: `tools/bootstrap.sh test` does so on Debian and Ubuntu."
    )


def prometheus_directory() -> Path:
    """Return the directory of `prometheus` and `promtool`: that on PATH, else what the set-up has unpacked.

    NodeUnavailable if there is none.
    """
    found = shutil.which("prometheus", path=search_path())
    for directory in ([Path(found).parent] if found else []) + [_UNPACKED_PROMETHEUS]:
        if all(os.access(directory / program, os.X_OK) for program in _PROMETHEUS):
            return directory
    raise NodeUnavailable(
        "Prometheus is not installed here (no prometheus and promtool). Put both on PATH, "
        "or have `tools/bootstrap.sh test` unpack them on Debian and Ubuntu."
    )


def _newest_first(pattern: str) -> list[Path]:
    found = Path("/").glob(pattern.lstrip("/"))
    return sorted(found, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))], reverse=True)
