"""What makes a site of pages that are written for reading in the repository.

README.md becomes the home page, so that nothing is written twice. Links between it and
the pages lead to the same places on both; a link that leaves README.md and docs/, to a
config for example, is plain text on the site.
"""

import logging
import posixpath
import re
from pathlib import Path
from typing import Callable

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
HOME, README, DOCS = 'index.md', 'README.md', 'docs'
# A block of code with its title, code within a line, a link or picture, an HTML tag.
_PIECES = re.compile(
    r'(?P<block>^(?P<indent>[ ]*)```(?P<info>[^\n]*)\n.*?^[ ]*```[ ]*$)'
    r'|(?P<picture>!?)\[(?P<text>(?:[^][]|\[[^][]*\])*)\]\((?P<target>[^()\s]+)\)'
    r'|(?P<attribute>\b(?:src|srcset|href)=")(?P<address>[^"]*)(?=")'
    r'|(?P<code>`[^`\n]+`)', re.MULTILINE | re.DOTALL)
_log = logging.getLogger('mkdocs.hooks.fdsr')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Makes README.md the home page."""
    files.append(File.generated(
        config, HOME, content=(ROOT / README).read_text(encoding='utf-8')))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig,
                     files: Files) -> str:
    """Rewrites what reads otherwise on the site than in the repository."""
    folder = '' if page.file.src_uri == HOME else posixpath.dirname(
        posixpath.join(DOCS, page.file.src_uri))
    return _PIECES.sub(_rewriter(page.file.src_uri, folder), markdown)


def _rewriter(page: str, folder: str) -> Callable[[re.Match], str]:
    start = posixpath.dirname(page)

    def rewrite(match: re.Match) -> str:
        if match['block'] is not None:
            return _titled(match)
        if match['code'] is not None:
            return match[0]
        address = match['target'] or match['address']
        found = site_address(address, folder, start)
        if found is None and (match['picture'] or match['attribute']):
            _log.warning('%s: %s is not on the site; put it into %s/.',
                         page, address, DOCS)
        if match['attribute'] is not None:
            return match['attribute'] + (found or '')
        text = _PIECES.sub(rewrite, match['text'])  # which may hold a picture
        return text if found is None else f'{match["picture"]}[{text}]({found})'

    return rewrite


def site_address(address: str, folder: str, start: str) -> str | None:
    """Where a link of a page leads on the site.

    Args:
        address: as it is written for the repository.
        folder: of the page, from the repository's root.
        start: of the page, from the site's root.

    Returns:
        None for what is in the repository, but not on the site.
    """
    if re.match(r'[a-z]+:|#|//', address):
        return address
    path, hash_sign, anchor = address.partition('#')
    path = posixpath.normpath(posixpath.join(folder, path))
    if path == README:
        path = HOME
    elif path.startswith(f'{DOCS}/'):
        path = path.removeprefix(f'{DOCS}/')
    else:
        return None
    return posixpath.relpath(path, start or '.') + hash_sign + anchor


def _titled(match: re.Match) -> str:
    """A block of code with its title, which Markdown here has none for, above it."""
    language, _, title = match['info'].partition(' title=')
    if not title:
        return match[0]
    indent, name = match['indent'], title.strip('"')
    code = match[0].split('\n', 1)[1]
    return f'{indent}`{name}`:\n\n{indent}```{language}\n{code}'
