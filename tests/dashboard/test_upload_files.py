"""Reading what somebody uploads: every encoding, every limit, and what is made to do harm."""

from __future__ import annotations

import io
import stat
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dashboard.services.uploads import archives, csv_files, limits, parquet_files, pictures
from dashboard.services.uploads.limits import UploadError
from dashboard.services.uploads.pictures import CorruptPictureError, decoded, thumbnail
from dashboard.services.uploads.reading import read
from tests.dashboard.uploaded import cancer, csv, digits, parquet, png, zipped

HEADER = "name;size;label\n"
LINES = "".join(f"Zoë {i};{i},5;{'yes' if i % 2 else 'no'}\n" for i in range(30))


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_encodings_and_decimal_commas(encoding: str) -> None:
    upload = read("sizes.csv", (HEADER + LINES).encode(encoding))
    assert upload.table is not None
    assert list(upload.table.columns) == ["name", "size", "label"]
    assert upload.table["name"][3] == "Zoë 3"
    assert upload.table["size"][3] == 3.5
    assert any("Latin-1" in said for said in upload.said) == (encoding == "latin-1")
    assert any("decimal points" in said for said in upload.said)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(separator: str, newline: str) -> None:
    data = csv(cancer(30), sep=separator, lineterminator=newline)
    upload = read("cancer.csv", data)
    assert upload.table is not None
    pd.testing.assert_frame_equal(upload.table, cancer(30), check_dtype=False)


def test_quotes_hold_separators_and_line_ends() -> None:
    rows = "".join(f'"{i}, and\nmore",{i}\n' for i in range(30))
    upload = read("quoted.csv", f"text,label\n{rows}".encode())
    assert upload.table is not None
    assert upload.table["text"][2] == "2, and\nmore"


def test_cells_are_read_as_what_they_are() -> None:
    frame, _ = csv_files.read_csv(b"whole,broken,code,gone,far\n1,1.5,007,,inf\n2,NA,012,,1e400\n3,2,100,?,2\n")
    assert frame["whole"].dtype == np.int64
    assert frame["broken"].tolist()[::2] == [1.5, 2.0]
    assert np.isnan(frame["broken"][1])
    assert frame["code"].tolist() == ["007", "012", "100"]
    assert frame["gone"].isna().all()
    assert np.isnan(frame["far"][:2]).all()


def test_duplicate_and_empty_names_are_told_apart() -> None:
    frame, said = csv_files.read_csv(b"a,,a,a\n1,2,3,4\n")
    assert list(frame.columns) == ["a", "column 2", "a (2)", "a (3)"]
    assert "Several columns are called 'a'" in said[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The file is empty"),
        (b"a,b\n1,2\n1,2,3\n", r"Line 3 has 3 cells and the first line has 2"),
        (b"a;b\n\n1;2\n1\n", r"Line 4 has 1 cell and the first line has 2 \(cut at a semicolon"),
        (b"label\n1\n2\n", "The table has one column"),
        (b"\x00\x01\x02binary", "bytes that no text has"),
        (b"a,b\n1,2\n", "There are 1 rows and at least 20"),
        (b"PAR1 nothing", "The Parquet file cannot be read"),
        (b"PK nothing", "The zip cannot be read"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, message: str) -> None:
    with pytest.raises(UploadError, match=message):
        read("file.csv", data)


def test_a_spreadsheet_is_to_be_saved_as_csv() -> None:
    with pytest.raises(UploadError, match="save the sheet as CSV"):
        read("table.xlsx", b"PK anything")


def test_limits_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * (limits.CHARACTERS + 1)
    with pytest.raises(UploadError, match=r"Line 2 cannot be read .* 1,000,000 characters"):
        read("long.csv", f"a,b\n{long},1\n".encode())
    with pytest.raises(UploadError, match="501 columns and at most 500"):
        read("wide.csv", (",".join(f"c{i}" for i in range(501)) + "\n" + ",".join("1" * 501) + "\n").encode())
    with pytest.raises(UploadError, match=r"50,001 or more rows and at most 50,000"):
        read("high.csv", b"a,b\n" + b"1,2\n" * 50_001)
    with pytest.raises(UploadError, match=r"50,001 or more rows"):
        read("high.parquet", parquet(pd.DataFrame({"a": np.zeros(50_001), "b": np.zeros(50_001)})))
    monkeypatch.setattr("dashboard.services.uploads.reading.MEGABYTES", 0)
    with pytest.raises(UploadError, match="0 MB are the most"):
        read("big.csv", csv(cancer(30)))


def test_texts_of_100000_characters_are_taken() -> None:
    frame = pd.DataFrame({"text": ["word " * 20_000] * 30, "label": ["a", "b"] * 15})
    upload = read("long.csv", csv(frame))
    assert upload.table is not None
    assert len(upload.table["text"][0]) == 99_999


def test_parquet_of_every_kind_of_column() -> None:
    frame = pd.DataFrame(
        {
            "number": [1.5, None] * 15,
            "whole": range(30),
            "flag": [True, False] * 15,
            "word": pd.Series(["a", None] * 15, dtype="category"),
            "day": pd.date_range("2024-01-01", periods=30),
            "list": [[1, 2]] * 30,
        }
    )
    upload = read("all.parquet", parquet(frame))
    assert upload.table is not None
    assert list(upload.table.columns) == ["number", "whole", "flag", "word", "day"]
    assert upload.table["flag"].tolist()[:2] == ["yes", "no"]
    assert upload.table["word"].isna().sum() == 15
    assert "'list'" in upload.said[0]


def test_a_parquet_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is stored once and repeated takes little room in the file, and very much outside of it."""
    monkeypatch.setattr(parquet_files, "UNPACKED_MEGABYTES", 5)
    data = parquet(pd.DataFrame({"text": ["x" * 100_000] * 1000, "label": ["a", "b"] * 500}))
    assert len(data) < 1_000_000
    with pytest.raises(UploadError, match="The table takes 100 MB unpacked, and 5 MB are the most"):
        read("bomb.parquet", data)


# --- zips of pictures -------------------------------------------------------------------------------------------------


def test_pictures_by_folder_with_the_clutter_of_a_desktop() -> None:
    clutter = {"__MACOSX/digits/0/._0000.png": b"x", "digits/0/.DS_Store": b"x", "digits/0/Thumbs.db": b"x"}
    files = digits(40) | clutter | {"digits/readme.txt": b"hello", "loose.png": png(np.zeros((8, 8), np.uint8))}
    upload = read("digits.zip", zipped(files))
    assert len(upload.pictures) == 40
    assert {file.label for file in upload.pictures} == set("0123456789")
    assert {file.split for file in upload.pictures} == {""}
    assert any("1 files are no pictures" in said for said in upload.said)
    assert any("in no folder and are left out: 'loose.png'" in said for said in upload.said)


def test_folders_called_train_and_test_are_the_split() -> None:
    files = digits(60, "Train/{label}") | digits(30, "test/{label}")
    found = read("digits.zip", zipped(files)).pictures
    assert [sum(file.split == split for file in found) for split in ("train", "test")] == [60, 30]
    only = read("digits.zip", zipped(digits(60, "train/{label}"))).pictures
    assert {file.split for file in only} == {""}


@pytest.mark.parametrize(
    "name", ["../evil/1.png", "a/../../1.png", "/etc/1.png", "C:/a/1.png", "a\\..\\..\\1.png", "\\\\host\\a\\1.png"]
)
def test_names_that_leave_the_zip_are_refused(name: str) -> None:
    with pytest.raises(UploadError, match="names a place outside of the zip"):
        read("slip.zip", zipped(digits(40) | {name: png(np.zeros((8, 8), np.uint8))}))


def test_a_symbolic_link_and_a_password_are_refused() -> None:
    buffer = io.BytesIO(zipped(digits(40)))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("digits/0/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UploadError, match="is a symbolic link"):
        read("link.zip", buffer.getvalue())
    data = bytearray(zipped(digits(40)))
    start = data.index(b"PK\x01\x02")
    data[start + 8] |= 1
    with pytest.raises(UploadError, match="is encrypted"):
        read("secret.zip", bytes(data))


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("something was unpacked"))
    with pytest.raises(UploadError, match=r"unpacks to 30 MB, [\d,]+ times its size"):
        read("bomb.zip", zipped({"a/1.bmp": bytes(30_000_000)}))
    with pytest.raises(UploadError, match=r"10,001 files and 10,000 are the most"):
        read("many.zip", zipped({f"a/{i}.txt": b"" for i in range(10_001)}))
    with pytest.raises(UploadError, match=r"4,001 pictures and 4,000 are the most"):
        read("many.zip", zipped({f"a/{i}.png": b"" for i in range(4_001)}))


def test_a_pixel_bomb_is_refused_by_its_header() -> None:
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, format="PNG")
    assert len(bomb.getvalue()) < 200_000
    with pytest.raises(UploadError, match=r"'0/bomb.png' has (far too many pixels|400 megapixels)"):
        read("bomb.zip", zipped(digits(40, "{label}") | {"0/bomb.png": bomb.getvalue()}))
    large = png(np.zeros((5001, 5001), np.uint8))
    with pytest.raises(UploadError, match="25 megapixels"):
        thumbnail(large, "large.png")


def test_corrupt_pictures_are_left_out_and_said() -> None:
    whole = png(np.zeros((8, 8), np.uint8))
    corrupt = {
        "digits/0/cut.png": whole[:40],
        "digits/0/text.jpg": b"no picture",
        "digits/1/flip.png": whole[:-9] + b"x" * 9,
    }
    upload = read("digits.zip", zipped(digits(40) | corrupt))
    assert len(upload.pictures) == 40
    assert "3 pictures cannot be decoded and are left out: 'digits/0/cut.png'" in upload.said[-1]
    with pytest.raises(UploadError, match="None of the 2 pictures can be decoded"):
        read("digits.zip", zipped({"a/1.png": b"x", "b/1.png": b"y"}))


def test_a_damaged_entry_is_a_corrupt_picture() -> None:
    files = digits(40)
    data = bytearray(zipped(files))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        entry = archive.getinfo(next(iter(files)))
        place = entry.header_offset + 30 + len(entry.filename) + entry.compress_size // 2
    data[place] ^= 0xFF
    assert len(read("digits.zip", bytes(data)).pictures) == 39


def test_a_zip_without_folders_says_what_is_needed() -> None:
    with pytest.raises(UploadError, match=r"no pictures in folders .* cats/1\.jpg"):
        read("flat.zip", zipped({"1.png": png(np.zeros((8, 8), np.uint8))}))
    assert archives.NEEDED


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_a_thumbnail_is_a_small_png_of_our_own(mode: str) -> None:
    buffer = io.BytesIO()
    form = "JPEG" if mode == "CMYK" else "TIFF" if mode in ("F", "I;16") else "PNG"
    Image.new(mode, (600, 300)).save(buffer, format=form)
    small = decoded(thumbnail(buffer.getvalue(), "one"))
    assert small.format == "PNG"
    assert small.size == (256, 128)
    assert small.mode in ("L", "RGB")


def test_what_is_kept_is_decoded_within_limits() -> None:
    with pytest.raises(UploadError, match="larger than a thumbnail"):
        decoded(png(np.zeros((300, 300), np.uint8)))
    with pytest.raises(UploadError, match="damaged"):
        decoded(b"nothing")
    with pytest.raises(CorruptPictureError):
        thumbnail(png(np.zeros((300, 300), np.uint8))[:100], "cut")
    assert pictures.SIDE == 256
