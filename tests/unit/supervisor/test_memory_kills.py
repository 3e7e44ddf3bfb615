"""Each kill for memory that the kernel counts explains one death, and none long afterwards."""

from asyncq.supervisor.memory_kills import MemoryKills


class Counter:
    def __init__(self, count: int | None) -> None:
        self.count = count

    def __call__(self) -> int | None:
        return self.count


def test_each_increase_explains_one_death() -> None:
    counter = Counter(7)
    kills = MemoryKills(counter, 100.0)
    assert not kills.explains()
    counter.count = 9
    assert [kills.explains() for _ in range(3)] == [True, True, False]


def test_an_increase_that_no_death_followed_explains_none_later() -> None:
    counter = Counter(0)
    kills = MemoryKills(counter, 100.0)
    counter.count = 1  # a subprocess of a handler
    for second in range(101, 106):
        kills.look(float(second))
    assert not kills.explains()
    counter.count = 2
    assert kills.explains()


def test_an_increase_is_not_forgotten_before_its_death_can_have_been_noticed() -> None:
    counter = Counter(0)
    kills = MemoryKills(counter, 100.0)
    counter.count = 1
    kills.look(102.0)  # between the kill and its death
    assert kills.explains()
    kills.look(104.0)
    assert not kills.explains()


def test_nothing_is_explained_where_nobody_counts() -> None:
    counter = Counter(None)
    kills = MemoryKills(counter, 100.0)
    kills.look(103.0)
    assert not kills.explains()
    counter.count = 5  # it was mounted later: what it counted before is not ours
    assert not kills.explains()
