"""Traversal of the content of a file in bounded time and memory.

Nested references allow a few hundred bytes of a pickle to describe more values than
could be visited, and a key can have megabytes. A place is therefore a link to its
parent and is formatted only for a message.
"""

from typing import Any, Iterator, NamedTuple

#: Limits of messages: keys of a path, characters of a value.
_KEYS, _CHARACTERS = 20, 60


class Place(NamedTuple):
    """Position of a value: its key and the position of its container."""

    parent: 'Place | None' = None
    key: Any = ''
    depth: int = 0

    def inside(self, key: Any) -> 'Place':
        """Returns the place of an item."""
        return Place(self, key, self.depth + 1)

    def __str__(self) -> str:
        keys: list[str] = []
        place: Place | None = self
        while place is not None and len(keys) < _KEYS:
            if type(place.key) is str:
                keys.append(f'.{place.key[:_CHARACTERS]}')
            else:
                keys.append(f'[{short(place.key)}]')
            place = place.parent
        return ('' if place is None else '…') + ''.join(reversed(keys)).lstrip('.')


def items_of(container: Any) -> Iterator[tuple[Any, Any]]:
    """Returns the items of a container with their keys or indices."""
    return iter(container.items() if isinstance(container, dict)
                else enumerate(container))


def short(value: Any) -> str:
    """Formats a value, or only its type if the text could be long."""
    if type(value) is str:
        return repr(value[:_CHARACTERS])
    if value is None or type(value) in (bool, float) or (
            type(value) is int and abs(value) < 2**64):
        return repr(value)
    return f'a value of type {type(value).__name__}'


def brief(value: Any) -> str:
    """Formats plain values with bounded length; call ``check_plain`` first."""
    text = str(value)
    return text if len(text) <= 5 * _CHARACTERS else f'{text[:5 * _CHARACTERS]}…'
