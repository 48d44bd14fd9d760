"""The durable outbox of a checkpoint machine.

Its promises:

1. Nothing acked to a device, a caller or a lane is lost: `append` returns after the commit and its fsync.
2. Three streams, each with its own sequence: `vital` (passages, decisions, audit, command results), `state` (device
   state, alarms), `telemetry` (readings, positions). Order holds within a stream.
3. Bounded in bytes. Telemetry goes first, oldest first, then superseded state; vital is never dropped. What was dropped
   is counted and told upstream in a gap record.
4. Disk full, a corrupt file or a changed config never stop the daemon and never need `rm`.
5. An entry leaves only after central has committed it (not when the broker has it).

`epoch` names a buffer's life (a new file, a new epoch); `(edge, epoch, stream, seq)` names an event for ever.

How: one SQLite file (WAL, synchronous=FULL), four tables of one shape (`rows`, `schema_v1.sql`), every change a
transaction (`store`, `transaction`, `memos`), dropping by `quota`, one thread that writes in groups (`writer`) and one
that reads (`reader`), asyncio in front (`buffer`). Each row carries a checksum, so that whatever is whole is found
again in a damaged file (`salvage`, `rescue`, `opening`). `tools` are for the technician.
"""

from edge.buffer.buffer import Buffer, open_buffer
from edge.buffer.rows import Depth, Entry, EntryRefused
from edge.buffer.store import Counts

__all__ = ["Buffer", "Counts", "Depth", "Entry", "EntryRefused", "open_buffer"]
