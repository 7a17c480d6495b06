"""Error messages in the words of the function that was called.

A message puts the names of arguments in backquotes: what is shared by several functions says `x`, and a function whose
argument has another name passes the error on under that one.
"""

import re
from collections.abc import Callable
from reprlib import Repr
from typing import Any


def renamed(error: Exception, **names: str) -> Exception:
    """The same error with other names for the arguments: ``renamed(error, x="A_prev")``."""
    return type(error)(re.sub(r"`(\w+)`", lambda match: f"`{names.get(match[1], match[1])}`", str(error)))


class _Short(Repr):
    """`repr`, cut short before it is made: what was given may have a million items, or digits."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= 128 else f"an integer of {x.bit_length()} bits"


shown: Callable[[Any], str] = _Short().repr
"""A value as a message shows it; an object whose own `repr` fails is shown by its type and address."""
