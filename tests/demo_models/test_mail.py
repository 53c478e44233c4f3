"""Mails as they come: encoded, in HTML, in parts, or broken."""

from __future__ import annotations

import base64
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo_models.mail import SHOWN_CHARACTERS, Mail, plain_text, read_mail

HEAD = b"From box Thu Aug 22 12:36:23 2002\nReceived: from secret.example\nX-Spam-Flag: YES\n"


def test_only_subject_sender_and_body_are_kept() -> None:
    mail = read_mail(HEAD + b"From: Ann <ann@example.org>\nSubject: Lunch\n\nAt noon?\n")
    assert mail == Mail("Lunch", "Ann <ann@example.org>", "At noon?")
    assert mail.shown == "Subject: Lunch\nFrom: Ann <ann@example.org>\n\nAt noon?"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"=?iso-8859-1?Q?Gr=FC=DFe?= aus Wien", "Grüße aus Wien"),
        (b"=?utf-8?B?4pyT?=", "✓"),
        (b"=?no-such-charset?Q?plain?=", "plain"),
        (b"=?utf-8?B?x?=", "=?utf-8?B?x?="),
        (b"caf\xe9 cr\xe8me", "café crème"),
        (b"two\n lines", "two lines"),
    ],
)
def test_subjects_are_decoded(header: bytes, expected: str) -> None:
    assert read_mail(b"Subject: " + header + b"\n\nx").subject == expected


@pytest.mark.parametrize(
    ("charset", "content", "expected"),
    [
        ("iso-8859-1", b"it\x92s 5 \x80", "it’s 5 €"),
        ("no-such-charset", "é".encode(), "é"),
        ("us-ascii", b"caf\xe9", "café"),
        ("utf-8", b"a\x00b\r\nc\x07", "ab\nc"),
    ],
)
def test_bodies_are_decoded(charset: str, content: bytes, expected: str) -> None:
    raw = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: base64\n\n".encode()
    assert read_mail(raw + base64.b64encode(content)).body == expected


def test_html_becomes_text() -> None:
    source = (
        "<html><head><title>t</title><style>p {color: red}</style></head><body><!-- 1 < 2 -->"
        "<p>Save&nbsp;10&#37;"
        "<br>now <b>or</b>\nnever</p><script>steal()</script><img src='http://x.example/y.gif'></body></html>"
    )
    mail = read_mail(b"Content-Type: text/html\n\n" + source.encode())
    assert mail.body == "Save 10%\nnow or never"
    assert read_mail(b"Content-Type: text/plain\n\n" + source.encode()).body == mail.body
    code = "How do I centre this? " + 60 * "I tried a lot. " + "<center>x</center>"
    assert read_mail(b"Subject: s\n\n" + code.encode()).body == code
    assert plain_text("1 < 2 and 3 > 2") == "1 < 2 and 3 > 2"


def test_of_alternatives_the_plain_one_is_shown_and_attachments_are_not() -> None:
    message = EmailMessage()
    message["Subject"] = "Parts"
    message.set_content("plain words")
    message.add_alternative("<html><body>rich words</body></html>", subtype="html")
    message.add_attachment(b"\x00\x01", maintype="image", subtype="gif")
    assert read_mail(message.as_bytes()).body == "plain words"


def test_an_empty_plain_alternative_gives_way_to_the_html() -> None:
    message = EmailMessage()
    message.set_content("\n")
    message.add_alternative("<html><body>rich words</body></html>", subtype="html")
    assert read_mail(message.as_bytes()).body == "rich words"


def test_parts_without_their_boundary_are_still_read() -> None:
    raw = b'Content-Type: multipart/alternative; boundary="missing"\n\n--other\nbuy now\n'
    assert "buy now" in read_mail(raw).body


def test_a_long_text_is_cut_and_says_so() -> None:
    long = Mail("s", "f", "x" * (SHOWN_CHARACTERS + 1234))
    assert long.shown.endswith("x\n\n[1,234 more characters are not shown.]")
    assert len(long.shown) < SHOWN_CHARACTERS + 100
    assert "more characters" not in Mail("s", "f", "x" * SHOWN_CHARACTERS).shown


def test_a_mail_without_text_says_so() -> None:
    assert read_mail(b"Subject: s\n\n").shown.endswith("[This mail has no text.]")


PIECES = [  # of a mail that the parser must not stumble over
    b"Subject: ",
    b"From: ",
    b"Content-Type: text/html",
    b"; charset=",
    b"multipart/mixed; boundary=x",
    b"\n--x\n",
    b"\n",
    b"=?",
    b"?B?",
    b"?=",
    b"<html>",
    b"<![",
    b"&#x",
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=12)), max_size=30).map(b"".join))
def test_any_bytes_give_printable_text(raw: bytes) -> None:
    shown = read_mail(raw).shown
    shown.encode("utf-8")
    assert not set(shown) & set(map(chr, range(9)))
