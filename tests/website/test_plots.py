from __future__ import annotations

from website.plots import by_year, ranking


def test_the_longest_bar_is_the_largest_count() -> None:
    plot = ranking([("CT", 100), ("MR", 50), ("", 0)])
    assert plot is not None
    assert plot.bars[0].width == 2 * plot.bars[1].width
    assert plot.bars[2].width > 0
    assert plot.bars[2].label == "(empty)"
    assert plot.summary == "CT 100, MR 50, (empty) 0"


def test_years_without_studies_are_shown_too() -> None:
    plot = by_year([("20200101", 2), ("20200505", 1), ("20220101", 6), ("", 9), ("x", 1)])
    assert plot is not None
    assert [(bar.label, bar.count) for bar in plot.bars] == [("2020", 3), ("2021", 0), ("2022", 6)]
    assert plot.bars[1].height == 0


def test_nothing_to_draw() -> None:
    assert ranking([]) is None
    assert by_year([("20200101", 1)]) is None
    assert by_year([("00010101", 1), ("20200101", 1)]) is None
