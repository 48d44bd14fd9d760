"""Sentences of platforms above: GA/T 1400 and GB/T 28181."""

from collections.abc import Mapping
from typing import Final

from edge.cli.language import N_
from edge.cli.sentence import Sentence

PLATFORMS: Final[Mapping[str, Sentence]] = {
    "platform_ok": Sentence(N_("The platform above has registered us, and takes what it is sent.")),
    "platform_not_registered": Sentence(
        N_("The platform at {place} has not registered us: {error}."),
        N_("Compare ids, user name and password with its operator; check the network up to it. What waits is kept."),
    ),
    "platform_not_durable": Sentence(
        N_("Nothing more can be kept for the platform: {error}."),
        N_("Check the disk of this machine: cameras are told to send again."),
    ),
    "platform_refuses": Sentence(
        N_("The platform refused {count} objects for good, the last with: {last}."),
        N_("Ask its operator what it finds wrong; they are set aside in the platform's outbox."),
    ),
    "platform_dropped": Sentence(
        N_("For want of room {pictures} pictures were given up, and {objects} objects."),
        N_("Bring the platform back, or raise quota_mb of the platform in the configuration."),
    ),
}
