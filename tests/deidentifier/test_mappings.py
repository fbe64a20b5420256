"""Mappings: stable, unique, and right when many workers ask for the first time at once."""

from __future__ import annotations

import threading

import pytest

from deidentifier.mappings import MappingCache, MemoryMappings, PostgresMappings


@pytest.fixture(params=["memory", "postgresql"])
def store(request):
    if request.param == "memory":
        return MemoryMappings()
    return PostgresMappings(request.getfixturevalue("ingest_database").login("rpacs_deidentifier"))


def text(original, scope=("Always", "")):
    return ("TEXT", *scope, original)


def test_the_first_value_wins(store):
    assert store.fetch_or_create({text("a"): "AAAAAAAA", text("b"): "BBBBBBBB"}) == {
        text("a"): "AAAAAAAA",
        text("b"): "BBBBBBBB",
    }
    assert store.fetch_or_create({text("b"): "CCCCCCCC", text("c"): "DDDDDDDD"}) == {
        text("b"): "BBBBBBBB",
        text("c"): "DDDDDDDD",
    }


@pytest.mark.parametrize("scope", [("Always", ""), ("SamePatient", "p")])
def test_two_patients_never_share_a_pseudonym_whatever_its_case(store, scope):
    store.fetch_or_create({text("a"): "AAAAAAAA"})
    assert store.fetch_or_create({text("b", scope): "aaaaAAAA"}) == {}
    assert store.fetch_or_create({text("b", scope): "BBBBBBBB"}) == {text("b", scope): "BBBBBBBB"}


def test_what_has_little_room_may_repeat(store):
    study, date = text("a", ("SameStudy", "1.2")), ("DA", "Always", "", "20240101")
    store.fetch_or_create({text("a"): "AAAAAAAA", ("DA", "Always", "", "20240102"): "20230101"})
    assert store.fetch_or_create({study: "AAAAAAAA", date: "20230101"}) == {study: "AAAAAAAA", date: "20230101"}


def test_uids_are_unique(store):
    first, second = ("UID", "Always", "", "1.1"), ("UID", "Always", "", "1.2")
    store.fetch_or_create({first: "2.25.1"})
    assert store.fetch_or_create({second: "2.25.1"}) == {}


@pytest.mark.parametrize("original", ["x" * 100_000, "ü\\'\"%s{}", "nul\0", "", "日本"])
def test_any_original_is_a_key(store, original):
    assert store.fetch_or_create({text(original): "AAAAAAAA"}) == {text(original): "AAAAAAAA"}
    assert store.fetch_or_create({text(original): "BBBBBBBB"}) == {text(original): "AAAAAAAA"}


def test_parts_of_a_key_do_not_run_into_each_other(store):
    first, second = ("TEXT", "SamePatient", "a/1", "b"), ("TEXT", "SamePatient", "a", "1/b")
    store.fetch_or_create({first: "AAAAAAAA"})
    assert store.fetch_or_create({second: "BBBBBBBB"}) == {second: "BBBBBBBB"}


def test_concurrent_first_uses_agree(store):
    keys = [text(f"value {number}") for number in range(40)]
    answers = []
    barrier = threading.Barrier(4)

    def use(worker):
        barrier.wait()
        mine = keys if worker % 2 else keys[::-1]
        answers.append(store.fetch_or_create({key: f"{worker}{number:07}" for number, key in enumerate(mine)}))

    threads = [threading.Thread(target=use, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)


def test_the_secret_stays(store):
    assert len(store.secret()) == 32
    assert store.secret() == store.secret()


def test_the_secret_is_shared_by_all_workers(ingest_database):
    login = ingest_database.login
    assert (
        PostgresMappings(login("rpacs_deidentifier")).secret() == PostgresMappings(login("rpacs_deidentifier")).secret()
    )


def test_an_imported_value_is_never_drawn_again(ingest_database):
    with ingest_database.owner.transaction() as cursor:
        cursor.execute(
            "INSERT INTO ingest.mappings (kind, scope_type, scope_value, original, replacement, imported) "
            "VALUES ('TEXT', 'Always', '', 'a', 'Doe', true)"
        )
    store = PostgresMappings(ingest_database.login("rpacs_deidentifier"))
    assert store.fetch_or_create({text("b"): "DOE"}) == {}
    assert store.fetch_or_create({text("a"): "X"}) == {text("a"): "Doe"}


def test_the_cache_is_bounded_and_asks_once():
    asked = []

    class Store(MemoryMappings):
        def fetch_or_create(self, wanted):
            asked.extend(wanted)
            return super().fetch_or_create(wanted)

    cache = MappingCache(Store(), limit=8)
    for number in range(100):
        cache.fetch_or_create({text(str(number)): f"{number:08}"})
        assert cache.get(text(str(number))) == f"{number:08}"
        assert len(cache) <= 8
    assert len(asked) == 100
