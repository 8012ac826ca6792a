"""The commands service: the entry of all commands for charge points, and the directory of sessions."""

from contracts import topology
from contracts.actions import Service
from contracts.broker import Consumer
from workers.commands.desk import Desk
from workers.commands.event_relay import relay_events
from workers.commands.operating import answer_operator
from workers.commands.presence_keeping import PresenceKeeper
from workers.commands.tracking import TrackedCommands
from workers.commands.waking import connected, count_open, forget_ended, wake_what_is_due
from workers.runtime.attachment import AttachmentPlan
from workers.runtime.calls import ServiceDefinition
from workers.settings import WorkerSettings

UNDELIVERABLE_PREFETCH = 100


def service(settings: WorkerSettings) -> ServiceDefinition:
    """The service with these settings; it takes no Calls."""
    keeper = PresenceKeeper(connected)
    return ServiceDefinition(
        service=Service.COMMANDS,
        handlers={},
        requests={topology.PRESENCE: keeper.handle},
        deliveries={topology.OPERATOR: answer_operator},
        background=(keeper.close_lost_sessions, relay_events, wake_what_is_due, count_open, forget_ended),
        attachment=AttachmentPlan(
            make=lambda link: Desk(link, TrackedCommands()),
            consumers=(
                *(Consumer(queue, prefetch=settings.commands_prefetch) for queue in topology.COMMAND_QUEUES),
                Consumer(topology.UNDELIVERABLE_COMMANDS, prefetch=UNDELIVERABLE_PREFETCH),
            ),
            bindings=((topology.SESSIONS, ""),),
        ),
    )
