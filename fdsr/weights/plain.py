"""Checks of plain data: descriptions in files and the metadata beside them."""

from collections import OrderedDict
from typing import Any

from fdsr.weights.walking import Place, items_of, short

#: Limits of a description: levels, values (references followed), characters of a text.
_DEPTH, _VALUES, _TEXT = 16, 10_000, 4096
#: Limits of other metadata, such as the text of a run's config.
MANY_VALUES, LONG_TEXT = 100_000, 2**24


class NotPlain(ValueError):
    """Raised for a value that is not plain data or exceeds the limits.

    Attributes:
        place: position of the value.
        expected: what was expected there.
        found: what was found, as text.
    """

    def __init__(self, place: Place, expected: str, found: str) -> None:
        self.place, self.expected, self.found = place, expected, found
        super().__init__(f'{place}: expected {expected}, found {found}')


def check_plain(value: Any, where: str = '', values: int = _VALUES,
                text: int = _TEXT) -> None:
    """Checks that a value consists of dicts, lists, strings, numbers, bools and None.

    A container counts once per reference, so that following all references of a
    checked value takes no longer than this check.

    Args:
        value: the value.
        where: name of the value in messages.
        values: maximum number of values.
        text: maximum number of characters of a string.

    Raises:
        NotPlain: another type was found, or a limit was exceeded.
    """
    left, found = values, [(Place(key=where), value)]
    while found:
        place, item = found.pop()
        if type(item) not in (dict, OrderedDict, list, tuple):
            _check_scalar(place, item, text)
            continue
        left -= len(item) + 1
        if left < 0 or place.depth > _DEPTH:
            raise NotPlain(
                place, f'at most {_DEPTH} levels and {values} values',
                'data that is nested too deep or has too many values')
        for key, part in items_of(item):
            if type(key) not in (str, int) or type(key) is str and len(key) > _TEXT:
                raise NotPlain(
                    place, f'keys that are integers, or strings of at most {_TEXT} '
                    'characters', short(key))
            found.append((place.inside(key), part))


def _check_scalar(place: Place, item: Any, text: int) -> None:
    if type(item) is str:
        if len(item) > text or '\0' in item:
            raise NotPlain(place, f'a text of at most {text} characters', short(item))
    elif type(item) is int:
        if abs(item) >= 2**64:
            raise NotPlain(place, 'an integer of 64 bits', short(item))
    elif item is not None and type(item) not in (bool, float):
        raise NotPlain(place, 'a plain, finite value', short(item))
