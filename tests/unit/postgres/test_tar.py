"""The tar streams of BASE_BACKUP: read in any pieces, refused in words."""

import io
import tarfile
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strongroom.model.errors import Corrupt
from strongroom.postgres.wire.tar import BLOCK, MOST_NAME_BYTES, Member, TarReader, parse_pax

NAMES = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"),
    min_size=1,
    max_size=300,
).map(lambda name: name.strip("/.") or "x")
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def read(chunks: list[bytes]) -> list[tuple[Member, bytes]]:
    reader, found = TarReader(), []
    for chunk in chunks:
        for item in reader.feed(chunk):
            if isinstance(item, Member):
                found.append((item, b""))
            else:
                member, content = found.pop()
                found.append((member, content + item))
    reader.finish()
    return found


def archive(files: dict[str, bytes], form: int, *, end: bool = True) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o600, 1_700_000_000
            tar.addfile(info, io.BytesIO(content))
        length = out.tell()
    return out.getvalue() if end else out.getvalue()[:length]


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, st.binary(max_size=2000), max_size=6),
    st.sampled_from(FORMATS[1:]),
    st.integers(1, 3000),
    st.booleans(),
)
def test_what_was_written_is_read_whatever_the_pieces(files, form, step, end):
    raw = archive(files, form, end=end)
    found = read([raw[i : i + step] for i in range(0, len(raw), step)])
    assert [(member.name, content) for member, content in found] == list(files.items())
    assert all(member.kind == "file" and member.mode == 0o600 for member, _ in found)


def test_a_ustar_prefix_is_part_of_the_name():
    name = "/".join(["directory" * 4] * 4) + "/file"
    ((member, content),) = read([archive({name: b"x"}, tarfile.USTAR_FORMAT)])
    assert (member.name, content) == (name, b"x")


@pytest.mark.parametrize("form", FORMATS)
def test_directories_and_links_lose_their_slash(form):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, kind, target in (("base/", b"5", ""), ("pg_tblspc/16384/", b"2", "/mnt/fast")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, 0o700
            tar.addfile(info)
    (directory, _), (link, _) = read([out.getvalue()])
    assert (directory.name, directory.kind) == ("base", "directory")
    assert (link.name, link.kind, link.target) == ("pg_tblspc/16384", "link", "/mnt/fast")


def test_sizes_beyond_8_gib_are_base_256():
    info = tarfile.TarInfo("base/5/1")
    info.size = 9 << 30
    reader = TarReader()
    (member,) = reader.feed(info.tobuf(tarfile.GNU_FORMAT))
    assert member.size == 9 << 30
    with pytest.raises(Corrupt, match="inside a file"):
        reader.finish()


def test_data_are_views_of_what_came():
    raw = archive({"a": b"x" * 5000}, tarfile.USTAR_FORMAT)
    views = [item for item in TarReader().feed(raw) if not isinstance(item, Member)]
    assert all(isinstance(view, memoryview) and view.obj is raw for view in views)


def test_names_that_are_not_utf8_keep_their_bytes():
    info = tarfile.TarInfo("x")
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[0] = 0xFF
    (member,) = TarReader().feed(_summed(header))
    assert member.name.encode("utf-8", "surrogateescape") == b"\xff"


def _summed(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


@pytest.mark.parametrize("kind", [b"1", b"3", b"4", b"6", b"S", b"Z"])
def test_hard_links_devices_and_pipes_are_refused(kind):
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[156:157] = kind
    with pytest.raises(Corrupt, match="unknown type"):
        list(TarReader().feed(_summed(header)))


def test_one_changed_bit_of_a_header_is_noticed():
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[0] ^= 1
    with pytest.raises(Corrupt, match="wrong checksum"):
        list(TarReader().feed(bytes(header)))


def test_nothing_may_follow_the_end():
    raw = archive({"a": b"x"}, tarfile.USTAR_FORMAT)
    with pytest.raises(Corrupt, match="goes on after its end"):
        read([raw, raw])


def test_a_name_of_a_gibibyte_is_refused_before_it_is_read():
    info = tarfile.TarInfo("x")
    info.size = 1 << 30
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"L"
    with pytest.raises(Corrupt, match="a name of"):
        list(TarReader().feed(_summed(header)))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=1500), max_size=4))
@example([b"\0" * BLOCK + b"x" * BLOCK])
def test_noise_is_corrupt_or_nothing(chunks):
    try:
        read(chunks)
    except Corrupt:
        return


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_changed_archive_is_read_or_corrupt_never_more(data):
    raw = bytearray(
        archive({"a" * 150: b"x" * 700, "b": b""}, data.draw(st.sampled_from(FORMATS[1:])))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    tracemalloc.start()
    try:
        read([bytes(raw)])
    except Corrupt:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 << 20


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
@example(b"5 a=b\n")
@example(b"0 path=x\n")
@example(b"999999999999 path=x\n")
@example(b"12 path=\xff\xff\xff\n")
def test_pax_headers_are_read_or_corrupt(raw):
    try:
        found = parse_pax(raw)
    except Corrupt:
        return
    assert set(found) <= {"path", "linkpath", "size"}


def test_long_names_stay_within_their_bound():
    assert MOST_NAME_BYTES >= 4096


def test_a_long_target_of_a_link_is_read_whole():
    target = "/" + "/".join(["directory"] * 30)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        info = tarfile.TarInfo("pg_tblspc/16384")
        info.type, info.linkname = b"2", target
        ((member, _),) = read([info.tobuf(form)])
        assert member.target == target


def test_a_size_in_a_pax_header_counts():
    info = tarfile.TarInfo("x")
    info.pax_headers = {"size": "3"}
    header = info.create_pax_header({**info.get_info(), "size": 3}, "utf-8")
    ((member, content),) = read([header + b"abc" + bytes(BLOCK - 3)])
    assert (member.size, content) == (3, b"abc")


def _pax(records: bytes) -> bytes:
    header = bytearray(tarfile.TarInfo("pax").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = f"{len(records):011o}\0".encode()
    header[156:157] = b"x"
    return _summed(header) + records + bytes(-len(records) % BLOCK)


@pytest.mark.parametrize("size", ["-1", "x", "1e3", "²", "9" * 30])
def test_a_size_that_is_none_is_corrupt(size):
    body = f" size={size}\n".encode()
    records = str(len(body) + len(str(len(body) + 2))).encode() + body
    with pytest.raises(Corrupt):
        read([_pax(records) + tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)])


def test_a_stream_that_ends_after_a_long_name_is_corrupt():
    for raw in (_pax(b"10 path=x\n"), _pax(b"")):
        with pytest.raises(Corrupt):
            read([raw])


@pytest.mark.parametrize("place", [100, 124, 136])
def test_numbers_are_octal_or_absent(place):
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[place : place + 7] = b"0000009"
    with pytest.raises(Corrupt, match="no octal number"):
        read([_summed(header)])
    header[place : place + 7] = b"\0" * 7
    ((member, _),) = read([_summed(header)])
    assert member.name == "x"


def test_a_member_without_a_name_is_corrupt():
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[0] = 0
    with pytest.raises(Corrupt, match="without a name"):
        read([_summed(header)])


def test_a_directory_with_bytes_is_corrupt():
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[156:157] = b"5"
    header[124:136] = b"00000000010\0"
    with pytest.raises(Corrupt, match="impossible size"):
        read([_summed(header)])
