"""The commands service: the entry of all commands for charge points, and the directory of sessions."""

from contracts import topology
from contracts.actions import Service
from contracts.broker import Consumer
from workers.commands.desk import Desk
from workers.commands.event_relay import relay_events
from workers.commands.presence_keeping import PresenceKeeper
from workers.commands.untracked import Untracked
from workers.runtime.attachment import AttachmentPlan
from workers.runtime.calls import ServiceDefinition
from workers.settings import WorkerSettings

UNDELIVERABLE_PREFETCH = 100


def service(settings: WorkerSettings) -> ServiceDefinition:
    """The service with these settings; it takes no Calls."""
    keeper = PresenceKeeper()
    return ServiceDefinition(
        service=Service.COMMANDS,
        handlers={},
        requests={topology.PRESENCE: keeper.handle},
        background=(keeper.close_lost_sessions, relay_events),
        attachment=AttachmentPlan(
            make=lambda link: Desk(link, Untracked()),
            consumers=(
                *(Consumer(queue, prefetch=settings.commands_prefetch) for queue in topology.COMMAND_QUEUES),
                Consumer(topology.UNDELIVERABLE_COMMANDS, prefetch=UNDELIVERABLE_PREFETCH),
            ),
            bindings=((topology.SESSIONS, ""),),
        ),
    )
