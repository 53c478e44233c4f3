"""From the raw bytes of an e-mail to what a person reads: subject, sender and the body as plain text.

Nothing here fails on a malformed mail: what cannot be decoded as declared is decoded as well as it can be.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header
from email.message import Message

SHOWN_CHARACTERS = 20_000

_MARKUP = re.compile(r"</?(?:a|b|body|br|center|div|font|html|img|p|table|td|tr)\b[^<>]*>", re.IGNORECASE)
_HIDDEN = re.compile(r"<!--.*?-->|<(script|style|title)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_BLOCK = re.compile(r"</?(?:p|br|div|tr|li|ul|ol|table|hr|h[1-6]|blockquote)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z!?][^<>]*>", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200b\ufeff]")


@dataclass(frozen=True)
class Mail:
    """What a person reads of an e-mail.

    Attributes:
        subject: The decoded subject line.
        sender: The decoded From line.
        body: The text parts, HTML turned into plain text.
    """

    subject: str
    sender: str
    body: str

    @property
    def shown(self) -> str:
        """Subject, sender and body; a long body is cut, and the cut is told."""
        body = self.body or "[This mail has no text.]"
        left_out = len(body) - SHOWN_CHARACTERS
        if left_out > 0:
            body = f"{body[:SHOWN_CHARACTERS]}\n\n[{left_out:,} more characters are not shown.]"
        return f"Subject: {self.subject}\nFrom: {self.sender}\n\n{body}"


def read_mail(raw: bytes) -> Mail:
    """Decode an e-mail; every other header is dropped."""
    message = message_from_bytes(raw)
    bodies = [_part_text(part) for part in _readable_parts(message)]
    body = "\n\n".join(text for text in bodies if text)
    return Mail(_header(message, "Subject"), _header(message, "From"), body)


def plain_text(source: str) -> str:
    """The visible text of an HTML page without tags, comments, scripts and styles; each block on its line."""
    spaced = re.sub(r"\s+", " ", _HIDDEN.sub(" ", source))
    return html.unescape(_TAG.sub("", _BLOCK.sub("\n", spaced)))


def _readable_parts(message: Message) -> list[Message]:
    """The text parts; of alternatives the plain one, or the HTML one if the plain one is empty."""
    if message.get_content_type() == "multipart/alternative" and message.is_multipart():
        choices = [_readable_parts(part) for part in message.get_payload() if isinstance(part, Message)]
        filled = [choice for choice in choices if any(_part_text(part) for part in choice)]
        return filled[0] if filled else []
    if message.is_multipart():
        return [leaf for part in message.get_payload() if isinstance(part, Message) for leaf in _readable_parts(part)]
    # a multipart mail whose boundary is missing arrives here as one undivided text
    return [message] if message.get_content_maintype() in ("text", "multipart") else []


def _part_text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    text = _decode(payload, part.get_content_charset()) if isinstance(payload, bytes) else ""
    if part.get_content_subtype() == "html" or _is_undeclared_html(text):
        text = plain_text(text)
    return _tidy(text)


def _is_undeclared_html(text: str) -> bool:
    """A tag in every 200 characters: no mail that merely quotes a line of HTML has as many."""
    return len(_MARKUP.findall(text)) * 200 > len(text)


def _header(message: Message, name: str) -> str:
    value = message.get(name, "")
    try:
        pieces = decode_header(value)
    except (MessageError, ValueError):  # a damaged encoded word is shown as it stands
        return " ".join(_tidy(str(value)).split())
    text = "".join(piece if isinstance(piece, str) else _decode(piece, charset) for piece, charset in pieces)
    return " ".join(_tidy(text).split())


def _decode(data: bytes, charset: str | None) -> str:
    """By the declared character set, else UTF-8, else Western European, which accepts most bytes."""
    # mail that says ISO-8859-1 means Windows' superset of it, as browsers know
    declared = "cp1252" if charset == "iso-8859-1" else charset
    for candidate in (declared or "utf-8", "utf-8"):
        try:
            return data.decode(candidate)
        except (LookupError, ValueError):
            continue
    return data.decode("cp1252", errors="replace")


def _tidy(text: str) -> str:
    """No control characters, no trailing blanks, at most one empty line in a row."""
    unified = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " "))
    lines = [line.rstrip() for line in unified.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
