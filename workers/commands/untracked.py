"""What stands for tracked commands where none are served."""

import asyncio

from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest, Reason
from contracts.envelope import OutcomeKind
from workers.commands.faces import Dispatches
from workers.runtime.context import ServiceContext


class Untracked:
    """Refuses them, and holds none."""

    async def shard_gained(self, queue: str) -> None:
        """Nothing is held."""

    async def take(self, identity: str, request: CommandRequest, now_ms: int) -> CommandReceipt | CommandOutcome:
        return CommandOutcome(
            command_id=request.command_id,
            identity=identity,
            action=request.action,
            outcome=OutcomeKind.REJECTED,
            reason=Reason.BAD_REQUEST,
            description="tracked commands are not served yet",
            tracked=True,
            queued_ms=now_ms,
        )

    async def wake(self, identity: str) -> None:
        """Nothing is held."""

    def holds(self, identity: str) -> bool:  # noqa: ARG002 - the face
        return False

    async def ahead(self, identity: str) -> None:
        """Nothing comes first."""

    def link_lost(self) -> None:
        """Nothing is known."""

    async def run(self, context: ServiceContext, dispatches: Dispatches) -> None:  # noqa: ARG002 - the face
        await asyncio.Event().wait()
