"""Clearance: an attempt, the rules, the lists and the time give a decision. The same code at edge and centre."""
