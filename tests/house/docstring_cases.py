"""Planted violations and good cases for docstring_rules.py: (rule, house, what must be found)."""

from __future__ import annotations

from tests.house import docstring_rules as rules
from tests.house.source import House, mini

_PUBLIC = rules.what_is_public_is_documented
A, SIMPLE, DOORS = "asyncq/core/a.py", "asyncq/simple.py", "asyncq/core/doors.py"
LONG = '"""Says in more than forty characters what the module is good for."""'


def _front(a: str, front: str = "from asyncq.core.a import Door", **more: str) -> House:
    """A front door that exports Door, and core/a.py, where it is defined."""
    files = {"asyncq/__init__.py": f'{front}\n__all__ = ["Door"]', A: a}
    return mini(files | {f"asyncq/{name.replace('__', '/')}.py": text for name, text in more.items()})


_DOCUMENTED = '''
class Base:
    """Documented."""
    def inherited(self): """Documented."""

class Result:
    """Documented."""
    part: "int"

class Door(Base):
    """Documented."""
    def __init__(self): ...
    def _inner(self): ...
    @overload
    def run(self, a: int) -> int: ...
    def run(self, a): """Documented."""
    @property
    def size(self) -> Result: """Documented."""
    @size.setter
    def size(self, size): ...
    class _Hidden: ...

def nobody_reaches_it(): ...
'''

PLANTED = [
    (rules.modules_say_what_they_are, mini({A: "x = 1"}), f"{A}:1: the module has no docstring; say what it does"),
    (rules.modules_say_what_they_are, mini({A: "# note"}), f"{A}:1: the module has no docstring; say what it does"),
    (
        rules.modules_say_what_they_are,
        mini({A: '"""Too short."""'}),
        f"{A}:1: the module's docstring is no sentence that says what it does: 'Too short.'",
    ),
    *(
        (
            rules.modules_say_what_they_are,
            mini({f"{folder}/a.py": text}),
            f"{folder}/a.py:1: the module's docstring is no sentence that says what it does: 'No sentence'",
        )
        for folder, text in [("tests", '"""No sentence"""'), ("benchmarks", '"""No sentence"""')]
    ),
    (
        rules.modules_say_what_they_are,
        mini({"examples/b/c.py": "import a"}),
        "examples/b/c.py:1: the module has no docstring; say what it does",
    ),
    (_PUBLIC, _front("class Door: ..."), f"{A}:1: Door has no docstring"),
    (_PUBLIC, _front("def Door(): ..."), f"{A}:1: Door has no docstring"),
    (_PUBLIC, _front("@dataclass\nclass Door: ..."), f"{A}:2: Door has no docstring"),
    (_PUBLIC, _front('class Door:\n """Yes."""\n async def go(self): ...'), f"{A}:3: Door.go has no docstring"),
    (_PUBLIC, _front('class Door:\n """Yes."""\n @property\n def a(self): ...'), f"{A}:4: Door.a has no docstring"),
    (
        _PUBLIC,
        _front("class Door: ...", "if TYPE_CHECKING:\n    from asyncq.core.a import Door"),
        f"{A}:1: Door has no docstring",
    ),
    (
        _PUBLIC,  # renamed on the way, through a second module
        _front("class Inner: ...", "from asyncq.core.b import Door", core__b="from asyncq.core.a import Inner as Door"),
        f"{A}:1: Inner has no docstring",
    ),
    (_PUBLIC, _front("class Real: ...\nDoor: Final = Real()"), f"{A}:1: Real has no docstring"),
    (_PUBLIC, _front("class Real: ...\n_real = Real()\nDoor = _real"), f"{A}:1: Real has no docstring"),
    (_PUBLIC, _front('class Base: ...\nclass Door(Base):\n """Yes."""'), f"{A}:1: Base has no docstring"),
    (_PUBLIC, _front('class Got: ...\ndef Door() -> Got | None:\n """Yes."""'), f"{A}:1: Got has no docstring"),
    (
        _PUBLIC,
        _front('class Got: ...\nclass Door:\n """Yes."""\n got: Got'),
        f"{A}:1: Got has no docstring",
    ),
    (
        _PUBLIC,
        _front("", "x = 1"),
        "asyncq/__init__.py:1: Door stands in __all__, but no definition of it was found",
    ),
    (_PUBLIC, mini({SIMPLE: '__all__ = ["f"]\ndef f(): ...'}), f"{SIMPLE}:2: f has no docstring"),
    (
        _PUBLIC,
        mini({SIMPLE: 'from asyncq.core.a import f\n__all__: Final = ("f",)', A: "async def f(): ..."}),
        f"{A}:1: f has no docstring",
    ),
    (_PUBLIC, mini({DOORS: "class Slot(Protocol): ..."}), f"{DOORS}:1: Slot has no docstring"),
    (
        _PUBLIC,
        mini({DOORS: 'class Slot(Protocol):\n """Yes."""\n def beat(self): ...'}),
        f"{DOORS}:3: Slot.beat has no docstring",
    ),
    (
        rules.front_door_stays_narrow,
        mini({"asyncq/__init__.py": f"__all__ = {[f'name{number}' for number in range(31)]}"}),
        "asyncq/__init__.py:1: the front door has 31 names; at most 30",
    ),
]

GOOD = [
    (
        rules.modules_say_what_they_are,
        mini({A: LONG, "tests/a.py": '"""A sentence."""', "examples/b.py": '"""First.\n\nMore of it: a, b\n"""'}),
    ),
    (_PUBLIC, _front(_DOCUMENTED)),
    (_PUBLIC, mini({A: "class Inner: ...", "asyncq/core/b.py": "def inner(): ...", DOORS: "class _Own: ..."})),
    (
        rules.front_door_stays_narrow,
        mini({"asyncq/__init__.py": f"__all__ = {[f'name{number}' for number in range(30)]}"}),
    ),
]
