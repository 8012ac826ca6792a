"""What backend services need: commands, events, the frame log, operator requests and dead letters, over AMQP."""

from contracts.client.commands import CommandClient
from contracts.client.dead_letters import DeadLetters
from contracts.client.events import EventStream
from contracts.client.frames import FrameStream
from contracts.client.letters import Letter

__all__ = ["CommandClient", "DeadLetters", "EventStream", "FrameStream", "Letter"]
