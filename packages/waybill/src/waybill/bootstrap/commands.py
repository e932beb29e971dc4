"""The parts of the commands that talk to waybill's own database. Without the catalog: a dead letter
whose type is gone must be seen all the same."""

from __future__ import annotations

from functools import cached_property

from waybill.bootstrap.core import CoreParts
from waybill.jobs.dead_letters import DeadLetters
from waybill.notify.states import NotificationStates


class CommandParts(CoreParts):
    """Dead letters and notifications."""

    @cached_property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.repository, self.queue, max_attempts=self.settings.max_attempts)

    @cached_property
    def notification_states(self) -> NotificationStates:
        return NotificationStates(self.engine, self.clock)
