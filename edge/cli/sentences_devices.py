"""Sentences of devices beside gates: instruments, power, network, time, cameras, locators, desks, barriers."""

from collections.abc import Mapping
from typing import Final

from edge.cli.language import N_
from edge.cli.sentence import Sentence

DEVICES: Final[Mapping[str, Sentence]] = {
    "arm_stays_up": Sentence(
        N_("The arm took the order to go down and did not: it is {arm} after {after_s} s, and no fault is told."),
        N_("Go there: vehicles can drive through. Check motor and switches; lower it by hand, lock the lane."),
    ),
    "arm_stays_down": Sentence(
        N_("The arm took the order to go up and did not: it is {arm} after {after_s} s, and no fault is told."),
        N_("Send vehicles to another lane. Check motor, limit switches and controller; raise it by its crank."),
    ),
    "calibration_due": Sentence(
        N_("The calibration ends on {until}: {left_d} days are left (certificate {certificate})."),
        N_("Order the calibration, then write the new day into calibration_due of its settings."),
    ),
    "calibration_over": Sentence(
        N_("The calibration has ended on {until}; what it measures may not be relied on (certificate {certificate})."),
        N_("Put another instrument into its place, or have it calibrated and write the new day into its settings."),
    ),
    "licence_ends": Sentence(
        N_("The licence {name} ends on {until}: {left_d} days are left."),
        N_("Order the renewal and load it into the device before that day."),
    ),
    "licence_over": Sentence(
        N_("The licence {name} has ended on {until}."),
        N_("Load the renewed licence into the device; until then its protection may be out of date."),
    ),
    "certificate_ends": Sentence(
        N_("The certificate {serial} in {desk} ends on {until}: {left_d} days are left."),
        N_("Have the holder renew it with the issuer before that day."),
    ),
    "certificate_over": Sentence(
        N_("The certificate {serial} in {desk} has ended on {until}: it signs nothing valid any more."),
        N_("Renew the certificate; use another desk meanwhile."),
    ),
    "pin_locked": Sentence(
        N_("The certificate {serial} in {desk} is locked after wrong PINs."),
        N_("Have its holder unlock it with the issuer's tool."),
    ),
    "time_unsynchronised": Sentence(
        N_("The time server is not to be believed: {problem}."),
        N_("Check the server's own source of time, its antenna and its link; the clock here follows others meanwhile."),
    ),
    "time_offset": Sentence(
        N_("The clock of this machine and the time server are {offset_ms} ms apart."),
        N_("Compare with another time server: if both agree, see chrony here; else look after this server."),
        N_("The clock of this machine and the time server are far apart."),
    ),
    "stream_silent": Sentence(
        N_("The camera answers, but its stream delivers no pictures: {why} ({detail})."),
        N_("Look whether it streams at all (RTSP switched on, login, too many viewers), and at the network's load."),
    ),
    "slot_fault": Sentence(
        N_("Slot {slot} of the dock tells the fault {fault}; in it: {equipment}."),
        N_("Take the equipment out, clean the contacts and put it back; if it happens again try another slot."),
    ),
    "terminals_refused": Sentence(
        N_("{count} connections of locators were refused since the start, the last one: {why}."),
        N_("If one of ours is missing: check its number in `terminals`, its code, and whether it was registered anew."),
    ),
    "pushes_refused": Sentence(
        N_("{count} logins at this device's place were refused since the start, the last one: {error}."),
        N_("The device itself is well. See who else calls there; change its password if that is no one of ours."),
    ),
    "clock": Sentence(
        N_("The device's clock is wrong by {offset_s} s."),
        N_("Set it, or let it follow the machine's time server."),
        N_("The device's clock is wrong."),
    ),
}
"""By the finding's code."""

SIGNALS: Final[Mapping[str, Sentence]] = {
    "on_battery": Sentence(
        N_("It runs on battery: its mains have failed."),
        N_("Check the breaker and the mains; what hangs on it must be shut down before the battery is empty."),
    ),
    "on_bypass": Sentence(
        N_("The UPS is on bypass: what hangs on it is not protected."),
        N_("Look at its panel for the reason, and have it switched back."),
    ),
    "output_off": Sentence(
        N_("The UPS gives no power out."),
        N_("Turn its output on when the load is safe; look for the reason at its panel."),
    ),
    "overload": Sentence(
        N_("The UPS is overloaded."),
        N_("Take load off it at once."),
    ),
    "fault": Sentence(
        N_("It tells a fault of its own ({source})."),
        N_("Look the fault up in the device's manual; call service."),
    ),
    "input_bad": Sentence(
        N_("Its supply is not as it must be."),
        N_("Measure the mains at its input."),
    ),
    "battery_low": Sentence(
        N_("Its battery is low."),
        N_("Bring the mains back, or shut down what hangs on it."),
    ),
    "battery_replace": Sentence(
        N_("Its battery must be replaced."),
        N_("Order and change the battery."),
    ),
    "battery_missing": Sentence(
        N_("It has no battery."),
        N_("Put the battery in and check its connector."),
    ),
    "shutdown_imminent": Sentence(
        N_("It will turn off in a moment."),
        N_("Shut down what hangs on it now."),
    ),
    "water_leak": Sentence(
        N_("Water is where none should be ({source})."),
        N_("Go there, stop the water, and mind live parts."),
    ),
    "door_open": Sentence(
        N_("The door of the cabinet or room is open ({source})."),
        N_("Find out who opened it, and close it."),
    ),
    "smoke": Sentence(
        N_("Smoke is told ({source})."),
        N_("Follow the fire plan, then look for the source."),
    ),
    "temperature_alarm": Sentence(
        N_("It is too hot or too cold ({source})."),
        N_("Check the air conditioning and what blocks the air."),
    ),
    "humidity_alarm": Sentence(
        N_("It is too damp or too dry ({source})."),
        N_("Check the air conditioning; look for water."),
    ),
    "picture/blank": Sentence(
        N_("The camera's picture shows nothing: all of one shade."),
        N_("Look for a cover, dirt or a lamp before the lens, and at night for its light."),
    ),
    "picture/frozen": Sentence(
        N_("The camera's picture stands still."),
        N_("Restart the camera; if it happens again, update its firmware."),
    ),
    "picture/missing": Sentence(
        N_("The camera answers but gives no picture."),
        N_("Check the rights of its login and the snapshot setting of the profile."),
    ),
    "videoloss": Sentence(
        N_("The camera tells that it has lost its video ({source})."),
        N_("Check the sensor's cable or the channel's camera."),
    ),
    "shelteralarm": Sentence(
        N_("The camera tells that its view is covered ({source})."),
        N_("Go and see what covers it."),
    ),
    "antenna": Sentence(
        N_("The receiver tells that its antenna is bad ({source})."),
        N_("Check the antenna, its cable and its plug."),
    ),
    "antenna_fault": Sentence(
        N_("The receiver tells that its antenna is cut or shorted ({source})."),
        N_("Check the antenna, its cable and its plug."),
    ),
    "sensor_fault": Sentence(
        N_("Its own sensor {source} is broken."),
        N_("Its readings are missing until it is repaired; call service."),
    ),
    "poe_fault": Sentence(
        N_("Port {source} refuses power to what hangs on it."),
        N_("Check the cable and the device on it; then gatefleet can switch the port off and on."),
    ),
    "poe_supply_fault": Sentence(
        N_("The power supply for its ports is broken ({source})."),
        N_("Change the supply; cameras on it are dark meanwhile."),
    ),
    "table_truncated": Sentence(
        N_("It has more rows than are read ({source})."),
        N_("Raise the limit of rows in the profile, or name the rows that matter."),
    ),
    "lens_dirty": Sentence(
        N_("The lens of the gauge is dirty."),
        N_("Clean the lens."),
    ),
    "mark_not_found": Sentence(
        N_("The gauge does not find the draught mark."),
        N_("Check its aim, the light, and whether the mark can be read."),
    ),
    "probe_lost": Sentence(
        N_("The meter does not hear its probe."),
        N_("Check the probe's cable and plug."),
    ),
    "flow_lost": Sentence(
        N_("No water flows through the monitor."),
        N_("Check the pump, the valve and the filter."),
    ),
}
"""By the topic of a finding `signal`."""

MORE_FAULTS: Final[Mapping[str, Sentence]] = {
    "battery": Sentence(
        N_("The gate tells that its battery is bad."),
        N_("Measure and change the battery: without it the arm does not move when the mains fail."),
    ),
    "controller": Sentence(
        N_("The gate's controller tells a fault."),
        N_("Read its display, then call service."),
    ),
    "arm_switches": Sentence(
        N_("The arm is told to be open and closed at once."),
        N_("Check both limit switches and their wiring."),
    ),
    "sensor_dirty": Sentence(
        N_("The person sensor is dirty."),
        N_("Clean the sensor."),
    ),
}
"""By the name of a fault, beside those of gates."""

WORDS: Final[Mapping[str, str]] = {
    "open": N_("up"),
    "closed": N_("down"),
    "moving": N_("on its way"),
    "sentinel": N_("the device says it has no value"),
    "implausible": N_("the value cannot be"),
    "jump": N_("it jumped"),
    "not_a_number": N_("it is no number"),
    "not_bcd": N_("it is no decimal number"),
    "not_text": N_("it is no text"),
    "unknown_value": N_("the profile does not know the value"),
    "contradiction": N_("two signals contradict each other"),
    "leap": N_("it is not synchronised itself"),
    "stratum": N_("it is too far from its source"),
    "root_distance": N_("its own error is too large"),
    "set_in_the_future": N_("its times contradict each other"),
    "impossible_times": N_("its times cannot be"),
    "silent": N_("it said nothing for too long"),
    "it did not prove who it is": N_("it did not prove who it is"),
    "it takes no bytes": N_("it takes no bytes"),
    "there are too many": N_("there are too many"),
    "it is not admitted": N_("it is not admitted"),
}
"""Words of the daemon that stand in arguments, as people say them."""
