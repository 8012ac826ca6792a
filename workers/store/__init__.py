"""The store: SQLAlchemy Core tables, migrations, and the queries that services share."""
