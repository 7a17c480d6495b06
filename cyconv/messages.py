"""Error messages in the words of the function that was called."""

import re


def renamed(error: Exception, **names: str) -> Exception:
    """The same error with the arguments of an inner function called by the outer one's names: x="A_prev", ..."""
    pattern = re.compile(rf"\b({'|'.join(names)})\b(?! \d)")
    return type(error)(pattern.sub(lambda match: names[match[0]], str(error)))
