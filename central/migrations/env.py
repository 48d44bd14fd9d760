"""Alembic's entry: it is given a connection within a transaction and leaves the commit to its owner."""

from alembic import context

from central.db import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
