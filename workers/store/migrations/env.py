"""Alembic's environment: always on a connection whose transaction the caller owns (see `workers.store.migrating`)."""

from alembic import context

from workers.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
