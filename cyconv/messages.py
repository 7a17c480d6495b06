"""Error messages in the words of the function that was called.

A message puts the names of arguments in backquotes: what is shared by several functions says `x`, and a function whose
argument has another name passes the error on under that one.
"""

import re


def renamed(error: Exception, **names: str) -> Exception:
    """The same error with other names for the arguments: ``renamed(error, x="A_prev")``."""
    return type(error)(re.sub(r"`(\w+)`", lambda match: f"`{names.get(match[1], match[1])}`", str(error)))
