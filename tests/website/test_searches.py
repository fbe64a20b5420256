from __future__ import annotations

import pytest

from common.errors import NotFoundError, RefusedError
from website.searches import Searches


@pytest.fixture
def searches(research_database) -> Searches:
    database = research_database.login("rpacs_website")
    yield Searches(database)
    database.close()


def test_the_latest_twenty_are_kept_each_once(searches) -> None:
    for number in [*range(25), 24]:
        searches.remember("ann", f"InstanceNumber NbEquals {number}")
    recent = searches.list("ann")
    assert [search.query.split()[-1] for search in recent] == [str(number) for number in range(24, 4, -1)]
    searches.remember("ann", "  ")
    assert len(searches.list("ann")) == 20


def test_saving_again_under_a_name_replaces(searches) -> None:
    searches.save("ann", " my  chests ", "Modality StrEquals CT")
    searches.save("ann", "my chests", "Modality StrEquals MR")
    assert [(search.name, search.query) for search in searches.list("ann")] == [("my chests", "Modality StrEquals MR")]


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_names_are_bounded(searches, name) -> None:
    with pytest.raises(RefusedError):
        searches.save("ann", name, "")


def test_nobody_reaches_anothers(searches) -> None:
    searches.save("ann", "a", "Modality StrEquals CT")
    assert searches.list("bob") == []
    with pytest.raises(NotFoundError):
        searches.delete("bob", searches.list("ann")[0].id)
    searches.delete("ann", searches.list("ann")[0].id)
    assert searches.list("ann") == []
