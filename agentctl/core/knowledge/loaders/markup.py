"""HTML as Markdown."""

from typing import TYPE_CHECKING, ClassVar

from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.base import from_the_start, one_line
from agentctl.core.knowledge.loaders.markdown import first_heading, markdown_sections

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

_NOT_CONTENT = ("script", "style", "noscript", "template", "nav", "svg", "iframe")


class HtmlLoader:
    """The page as Markdown; its `<title>`, or else its first heading."""

    is_isolated: ClassVar[bool] = True

    def load(self, data: bytes, name: str) -> Document:
        return html_document(data)


def html_document(data: bytes | str) -> Document:
    """The page with its title, and a section for each heading."""
    page = _page(data, None)
    title = one_line(page.title.extract().get_text()) if page.title else ""
    text = _markdown(page)
    sections = from_the_start(markdown_sections(text))
    return Document(
        text=text,
        title=title or first_heading(sections),
        media_type="text/html",
        sections=sections,
    )


def html_to_text(data: bytes, charset: str | None = None) -> str:
    """The page as Markdown, without scripts, styles, navigation and embedded pictures.

    A `charset` that the server named is stronger than the page's own.
    """
    return _markdown(_page(data, charset))


def parse_markup(data: bytes | str, charset: str | None = None) -> "BeautifulSoup":
    """HTML, or XML by a parser that knows no entities but HTML's."""
    import warnings

    from bs4 import BeautifulSoup, UnusualUsageWarning

    with warnings.catch_warnings():
        # It advises against reading XHTML as HTML, and against pages that are a single word.
        warnings.simplefilter("ignore", UnusualUsageWarning)
        return BeautifulSoup(data, "html.parser", from_encoding=charset)


def _page(data: bytes | str, charset: str | None) -> "BeautifulSoup":
    """The page without what is no content."""
    page = parse_markup(data, charset)
    for element in page(_NOT_CONTENT):
        element.decompose()
    for picture in page("img", src=lambda source: source and source.startswith("data:")):
        picture.decompose()
    return page


def _markdown(page: "BeautifulSoup") -> str:
    from markdownify import MarkdownConverter

    try:
        text = str(MarkdownConverter(heading_style="ATX").convert_soup(page))
    except RecursionError:
        # Nested deeper than any reader would follow: its words then, without its shape.
        text = "\n".join(page.stripped_strings)
    return text.strip() + "\n"
