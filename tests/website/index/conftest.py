"""An index on a database of its own, as the website's role uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from website.commands.migrate import migrate_research
from website.index import Index


@pytest.fixture(scope="session")
def index_template(postgresql) -> str:
    """Make a migrated database to clone."""
    name = "index_template"
    postgresql.execute(f"CREATE DATABASE {name}")
    owner = postgresql.database(name)
    migrate_research(owner, "rpacs_website")
    owner.close()
    return name


@pytest.fixture
def make_index(make_database, index_template) -> Iterator[Callable[[], Index]]:
    """Give a function that makes an empty index."""
    pools = []

    def make(**arguments) -> Index:
        pools.append(make_database(index_template).login("rpacs_website"))
        return Index(pools[-1], **arguments)

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture
def index(make_index) -> Index:
    """Give an empty index."""
    return make_index()
