"""`MISSING`, which stands for no value where `None` is a value."""

import enum
from typing import Final, Literal


class Missing(enum.Enum):
    """The type of `MISSING`."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    # `if value` is false for what is no value, as it is for `None`.
    def __bool__(self) -> Literal[False]:
        return False


MISSING: Final[Literal[Missing.MISSING]] = Missing.MISSING


class _Shown(str):
    """A default as `help()` shows it: `inspect` accepts only numbers and strings."""

    __slots__ = ()
    __repr__ = str.__str__


SHOWN: Final = _Shown("MISSING")
