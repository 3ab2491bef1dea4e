"""SQLAlchemy: an engine and its sessions on SQLite and on PostgreSQL, errors, threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from sqlalchemy import String, create_engine, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool


class Base(DeclarativeBase):
    """The schema."""


class Bread(Base):
    """A loaf."""

    __tablename__ = "bread"
    __table_args__ = {"prefixes": ["TEMPORARY"]}
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    slices: Mapped[int]


def main(tracer: trace.Tracer) -> Any:
    """Query."""
    SQLAlchemyInstrumentor().instrument()
    port = os.environ["POSTGRESQL_PORT"]
    notes: list[Any] = []
    for url in ("sqlite://", f"postgresql+psycopg://shop@127.0.0.1:{port}/shop"):
        engine = create_engine(url, poolclass=StaticPool)
        SQLAlchemyInstrumentor().instrument(engine=engine)
        with tracer.start_as_current_span(engine.dialect.name):
            Base.metadata.create_all(engine)
            with Session(engine) as session:
                session.add_all([Bread(name="rye", slices=5), Bread(name="oat", slices=7)])
                session.commit()
                notes.append(session.scalars(select(Bread.name).order_by(Bread.name)).all())
                try:
                    session.execute(text("SELECT nothing FROM nowhere"))
                except SQLAlchemyError:
                    session.rollback()
            with engine.begin() as connection, tracer.start_as_current_span("update"):
                connection.execute(text("UPDATE bread SET slices = :n"), {"n": 1})
        engine.dispose()
    pooled = create_engine(f"postgresql+psycopg://shop@127.0.0.1:{port}/shop", pool_size=4)

    def elsewhere(i: int) -> Any:
        with tracer.start_as_current_span(f"thread {i}"), pooled.connect() as connection:
            return connection.scalar(text("SELECT 1 + :i"), {"i": i})

    with ThreadPoolExecutor(4) as pool:
        # One by one: whether a connection is opened or reused is in the spans.
        notes.append([pool.submit(elsewhere, i).result() for i in range(4)])
    pooled.dispose()
    return [list(note) for note in notes]
