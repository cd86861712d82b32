"""Run by Alembic: migrates over the connection that it is handed."""

from alembic import context

from registry.storage.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction holds it all
)
context.run_migrations()
