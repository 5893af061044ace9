"""Hook of MkDocs: links to files outside docs/ lead to the repository; without its address they are plain text."""

import posixpath
import re

LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)\s#]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown, page, config, **_):
    """Return the page's Markdown with links to files outside docs/ rewritten."""

    def outside(match):
        text, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), target))
        if path.startswith("docs/"):
            return match[0]
        address = (config.repo_url or "").rstrip("/")
        return f"[{text}]({address}/blob/main/{path}{anchor or ''})" if address else text

    return LINK.sub(outside, markdown)
