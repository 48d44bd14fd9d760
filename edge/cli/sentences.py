"""Why a device is sick and what to do, in sentences: the daemon finds codes, people read this.

A finding is `{"code", "args", "since"}`; a code that is not known here, from a newer daemon, is shown as it stands.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from edge.cli.language import N_, _
from edge.cli.output import cell
from edge.cli.sentence import Sentence
from edge.cli.sentences_devices import DEVICES, MORE_FAULTS, SIGNALS, WORDS
from edge.cli.sentences_platforms import PLATFORMS

__all__ = ["FAULTS", "SENTENCES", "Sentence", "told"]

SENTENCES: Final[Mapping[str, Sentence]] = {
    **DEVICES,
    **PLATFORMS,
    "ok": Sentence(N_("The device is well.")),
    "never_seen": Sentence(
        N_("The device has not answered since the daemon started."),
        N_("Check its power, its cable, and the address in the link setting of the configuration."),
    ),
    "silent": Sentence(
        N_("The device has not answered for {for_s} s ({timeouts} timeouts on {link})."),
        N_("Check its power and its cable; if its neighbours are silent too, check the bus or the switch."),
        N_("The device does not answer on {link}: {error}."),
    ),
    "link_down": Sentence(
        N_("The link {link} is down: {error}."),
        N_("Check the cable, the switch port or the serial adapter, and that no other program uses the link."),
    ),
    "bus_neighbour_ok": Sentence(
        N_("{n} other devices on the same bus answer, so the bus is well."),
        N_("Look at this device only: its power, its stub cable, its unit address."),
    ),
    "garbled": Sentence(
        N_("Bytes arrive broken: {count} bad frames, the last: {last}."),
        N_("Check termination and shielding of the line, baud rate and parity, and for two devices with one address."),
    ),
    "refuses": Sentence(
        N_("The device answers but refuses: {exception}."),
        N_(
            "The profile may not fit the device or its firmware; check the model, and the device's own access settings."
        ),
    ),
    "mode_not_normal": Sentence(
        N_("The gate is in mode {mode}, so it does not check travellers one by one."),
        N_("To end it: gatefleet gate release LANE --reason TEXT; see its key switch and the fire alarm too."),
    ),
    "login_refused": Sentence(
        N_("The device calls at {link}, but its login is refused: {error}."),
        N_("Compare user name and password in the device with the access table; look at its clock and its address."),
    ),
    "doubtful": Sentence(
        N_("The point {point} cannot be trusted: {why}."),
        N_("Check the sensor and its cable, and the point in the profile."),
    ),
    "signal": Sentence(
        N_("The device tells {topic} ({source})."),
        N_("Go and see; the device's manual says what clears it."),
    ),
    "count_drift": Sentence(
        N_("The counter told {counted} persons where its lanes passed {passed}, over {buckets} periods."),
        N_("Check the counter's view, its line and its height; clean the lens."),
    ),
    "cabin_power": Sentence(
        N_("The cabin's mains have failed; both doors are free."),
        N_("Let nobody use the cabin; check its fuse and supply. Passengers are met by hand meanwhile."),
    ),
    "cabin_emergency": Sentence(
        N_("The cabin's emergency button is pressed; both doors are free."),
        N_("See that nobody is hurt, let the button go, then: gatefleet gate release CABIN --reason TEXT"),
    ),
    "cabin_sensor": Sentence(
        N_("The cabin's person sensor tells {name}: persons may be counted wrong."),
        N_("Clean the sensor and take away what stands before it."),
    ),
    "cabin_count_stale": Sentence(
        N_("The cabin tells of its contacts, but no longer how many persons are inside."),
        N_("Check the person sensor and its place in the profile; nobody is released meanwhile."),
    ),
    "cabin_bolt": Sentence(
        N_("The bolt of the {door} does not shoot although it was told to."),
        N_("Close the door fully; check the bolt, its contact and its wiring. The other door stays locked meanwhile."),
    ),
    "cabin_door_open": Sentence(
        N_("The {door} was held open too long."),
        N_("Close the door and see what keeps it open."),
    ),
    "cabin_door_forced": Sentence(
        N_("The {door} opened although it was locked."),
        N_("Look who passed, then check the door and its bolt."),
    ),
    "cabin_officer_late": Sentence(
        N_("A passenger waits in the cabin for the officer: {attempt}."),
        N_("Go there, then: gatefleet boarding rule CABIN ATTEMPT release|refuse|again --reason TEXT"),
    ),
    "cabin_occupied": Sentence(
        N_("Somebody is in the cabin who should not be: {persons} persons are counted."),
        N_("Go there and ask them out by the entrance; if nobody is there, check the person sensor."),
    ),
    "cabin_mode": Sentence(
        N_("The cabin is in mode {mode}, so it takes no passengers."),
        N_("To end it: gatefleet gate release CABIN --reason TEXT; see its emergency button too."),
    ),
    "cabin_no_record": Sentence(
        N_("What the cabin decides cannot be made durable; it follows when_unrecordable."),
        N_("Check the disk of this machine: gatefleet buffer status"),
    ),
    "cabin_command_failed": Sentence(
        N_("The cabin's doors could not be told what to do: {error}."),
        N_("Check the controller, its cable and its address; without the daemon it frees both doors by itself."),
    ),
    "profile_mismatch": Sentence(
        N_("The device is not what its profile says: {detail}."),
        N_("Put the right profile into the configuration, or the right device into its place."),
    ),
}

FAULTS: Final[Mapping[str, Sentence]] = {
    **MORE_FAULTS,
    "door_jam": Sentence(
        N_("The gate tells that its door is jammed."),
        N_("Lock the lane, free the door of what blocks it, move it by hand, then release the lane."),
    ),
    "motor": Sentence(
        N_("The gate tells a motor fault."),
        N_("Lock the lane and call service: the drive or its controller needs repair."),
    ),
    "sensor_blocked": Sentence(
        N_("The gate tells that a sensor is blocked."),
        N_("Clean the light barriers and take away what stands in the passage."),
    ),
    "power_low": Sentence(
        N_("The gate tells that its supply voltage is low."),
        N_("Measure the supply; check its power unit, the fuse and the battery."),
    ),
    "cover_open": Sentence(
        N_("The gate tells that its cover is open."),
        N_("Find out who opened it, then close and lock the cover."),
    ),
    "contact": Sentence(
        N_("A contact of the gate is not as it must be."),
        N_("Check the wiring of the contact and its relay."),
    ),
}
_OTHER_FAULT: Final = Sentence(
    N_("The device tells the fault {name}."),
    N_("Look the fault up in the device's manual."),
)


_FIELD: Final = re.compile(r"\{(\w+)\}")
_EMPTY: Final = re.compile(r" ?\(-\)|（-）")


def told(finding: Mapping[str, Any]) -> tuple[str, str]:
    """Return a finding as (why, cure), in the technician's language."""
    code = finding.get("code")
    raw = finding.get("args")
    args = raw if isinstance(raw, dict) else {}
    if code == "fault_bit":
        sentence = FAULTS.get(str(args.get("name")), _OTHER_FAULT)
    elif code == "signal" and args.get("topic") == "fault" and args.get("source") in FAULTS:
        sentence = FAULTS[args["source"]]
    elif code == "signal" and args.get("topic") in SIGNALS:
        sentence = SIGNALS[args["topic"]]
    elif isinstance(code, str) and code in SENTENCES:
        sentence = SENTENCES[code]
    else:
        return f"{cell(code)} {cell(args) if args else ''}".rstrip(), ""
    whole = not sentence.short or all(name in args for name in _FIELD.findall(sentence.why))
    return _filled(sentence.why if whole else sentence.short, args), _filled(sentence.cure, args)


def _filled(message: str, args: Mapping[str, Any]) -> str:
    """Return the message with its arguments; a question mark where one is missing, nothing for an empty bracket."""
    filled = _FIELD.sub(lambda match: _word(args[match[1]]) if match[1] in args else "?", _(message))
    return _EMPTY.sub("", filled)


def _word(value: Any) -> str:
    """Return an argument as people say it."""
    return _(WORDS[value]) if isinstance(value, str) and value in WORDS else cell(value)
