"""CSV files from users: limits, and errors with file and line."""

import time

import numpy as np
import pytest

from fdsr.datasets.vggface2_files import LANDMARK_COLUMNS, read_csv, read_listing

HEADER = 'NAME_ID,' + ','.join(LANDMARK_COLUMNS)
ROW = '"n1/a",1,2,3,4,5,6,7,8,9,10'


@pytest.mark.parametrize('text, line, problem', [
    (f'{HEADER}\n{ROW}\n"b",1,2,\r3,4,5,6,7,8,9,10\n', 3, 'carriage return'),
    (f'{HEADER}\r{ROW}\r', 1, 'carriage return'),
    (f'{HEADER}\n{ROW}\0\n', 2, 'NUL'),
    (f'{HEADER}\n"{"n" * 500_000}",1,2,3,4,5,6,7,8,9,10\n', 2, 'longer than 16,384'),
    (','.join(f'c{number}' for number in range(50_000)) + '\n', 1, 'longer than'),
    (HEADER + ',' * 300 + '\n', 1, 'more than 256 columns'),
    (f'{HEADER}\n{ROW}{"," * 9_000}\n', 2, '9011 cells, expected 11'),
    (f'{HEADER}\n"a"{",75,25" * 10}\n', 2, '21 cells.*decimal'),
    (f'{HEADER}\n{ROW}\n"a"' + ',"75,25"' * 10, 3, "'75,25' has a decimal comma"),
    (f'{HEADER}\n"a,1\n', 2, 'quotation mark is not closed'),
    (f'{HEADER}\n"a\nb",1,2,3,4,5,6,7,8,9,10\n', 2, 'quotation mark is not closed'),
    (f'{HEADER}\n"n\xe9",1'.encode('latin-1'), 2, 'not UTF-8'),
    (f'{HEADER}\n{ROW}\n'.encode('utf-16'), 1, ''),
])
def test_malformed_lines_are_named_within_a_second(tmp_path, text, line, problem):
    path = tmp_path / 'points.csv'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    start = time.process_time()
    with pytest.raises(ValueError, match=f'points.csv, line {line}: .*{problem}'):
        read_csv(path, LANDMARK_COLUMNS)
    assert time.process_time() - start < 1


def test_long_names_are_refused(tmp_path):
    path = tmp_path / 'points.csv'
    path.write_text(f'{HEADER}\n{ROW}\n"{"n" * 2_000}",1,2,3,4,5,6,7,8,9,10\n')
    with pytest.raises(ValueError, match='line 3: a name of 2,000 bytes'):
        read_csv(path, LANDMARK_COLUMNS)
    path.write_text('a.jpg\n' + 'n' * 500_000)
    with pytest.raises(ValueError, match='line 2: a name of 500,000 bytes'):
        read_listing(path)


def test_semicolons_and_columns_that_repeat(tmp_path):
    path = tmp_path / 'points.csv'
    path.write_text(HEADER.replace(',', ';') + '\n' + ROW.replace(',', ';'))
    with pytest.raises(ValueError, match='separated by commas'):
        read_csv(path, LANDMARK_COLUMNS)
    path.write_text(f'{HEADER},P1X\n{ROW},1\n')
    with pytest.raises(ValueError, match=r'column\(s\) P1X, or has one twice'):
        read_csv(path, LANDMARK_COLUMNS)


def test_a_broken_row_among_many_is_named(tmp_path):
    path = tmp_path / 'points.csv'
    path.write_text('\n'.join([HEADER, *[ROW] * 12_000, ROW + ',1']))
    with pytest.raises(ValueError, match='line 12002'):
        read_csv(path, LANDMARK_COLUMNS)


def test_spellings_and_cells_without_a_number(tmp_path):
    path = tmp_path / 'points.csv'
    columns = ['X', 'NAME_ID', 'OTHER', 'Y']
    path.write_bytes(('\ufeff' + ', '.join(columns) + '\r\n'
                      '1.5,"a ""b"", c",,2\r\n\r\n1e2, d,x,-3\r\n,e\r\nword,f,,1_0\r\n'
                      ).encode())
    names, numbers = read_csv(path, ('X', 'Y'))
    assert names.tolist() == [b'a "b", c', b'd', b'e', b'f']
    nan = np.nan
    assert np.array_equal(numbers, np.array(
        [[1.5, 2], [100, -3], [nan, nan], [nan, nan]], np.float32), equal_nan=True)


def test_plain_and_unusual_blocks_give_the_same(tmp_path):
    """An empty last line alone sends the same rows through the slower reader."""
    rows = [f'"n{number}/a",' + ','.join(f'{number + 0.25 * k:.2f}' for k in range(10))
            for number in range(500)]
    files = tmp_path / 'plain.csv', tmp_path / 'unusual.csv'
    files[0].write_text('\n'.join([HEADER, *rows]))
    files[1].write_text('\n'.join([HEADER, *rows, '', '']))
    (names, numbers), (others, same) = (
        read_csv(path, LANDMARK_COLUMNS) for path in files)
    assert names.tolist() == others.tolist() and names.dtype == others.dtype
    np.testing.assert_array_equal(numbers, same)
    assert numbers[7, 2] == 7.5
