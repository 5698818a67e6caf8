"""Walking through what a file contains, in bounded time and memory.

References in a pickle can nest, so that a few hundred bytes describe more values than
could be visited, and a key can be megabytes long. A place is therefore kept as a link
to its parent, and becomes text only in a message.
"""

from typing import Any, Iterator, NamedTuple

#: Of messages: keys of a path, and characters of one value.
_KEYS, _CHARACTERS = 20, 60


class Place(NamedTuple):
    """The position of a value: its key, and the position of its container."""

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
    """Returns a container's items, each with its key or index."""
    return iter(container.items() if isinstance(container, dict)
                else enumerate(container))


def short(value: Any) -> str:
    """Returns a value as text, or its type where the text could be long."""
    if type(value) is str:
        return repr(value[:_CHARACTERS])
    if value is None or type(value) in (bool, float) or (
            type(value) is int and abs(value) < 2**64):
        return repr(value)
    return f'a value of type {type(value).__name__}'


def brief(value: Any) -> str:
    """Returns plain values as text of bounded length; ``check_plain`` goes before."""
    text = str(value)
    return text if len(text) <= 5 * _CHARACTERS else f'{text[:5 * _CHARACTERS]}…'
