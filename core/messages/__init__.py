"""The words of the wire: events (past tense), commands (imperative), their envelopes and topics."""
