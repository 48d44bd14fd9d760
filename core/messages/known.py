"""Importing this makes every event known: `Event.KNOWN` has them by type."""

from core.messages import cabin_events, device_events, events, locator_events, vehicle_events, view_events

__all__ = ["cabin_events", "device_events", "events", "locator_events", "vehicle_events", "view_events"]
