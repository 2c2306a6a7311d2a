"""Where files go is an argument; what opens the place never is."""

import io
from pathlib import Path

import pytest

from strongroom.cli.restore.files_option import SIGNATURE, Files
from strongroom.model.errors import Invalid

URL = "https://acct.blob.core.windows.net/out"


def test_a_directory_is_a_directory():
    files = Files(to_files="/srv/a?b")
    assert (files.directory, files.url) == (Path("/srv/a?b"), "")
    assert Files().directory is None


def test_a_signature_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "sas"
    file.write_text("?sp=rw&sig=a\n")
    assert Files(to_files=URL, sas_file=file).signed_url() == f"{URL}?sp=rw&sig=a"
    monkeypatch.setenv(SIGNATURE, f"{URL}?sp=rw&sig=b")  # the whole URL, as the portal gives it
    assert Files(to_files=URL).signed_url() == f"{URL}?sp=rw&sig=b"
    assert Files(to_files="s3://bucket/x").signed_url() == "s3://bucket/x"


def test_a_signature_among_the_arguments_is_refused():
    with pytest.raises(Invalid, match="by everybody") as refused:
        _ = Files(to_files=f"{URL}?sp=rw&sig=secret").url
    assert "secret" not in f"{refused.value.message} {refused.value.hint}"


def test_what_is_no_signature_is_told_and_none_is_left_to_the_control_plane(tmp_path, monkeypatch):
    monkeypatch.delenv(SIGNATURE, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert Files(to_files=URL).signed_url() == URL
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(Invalid) as refused:
        Files(to_files=URL, sas_file=tmp_path / "empty").signed_url()
    assert "--sas-file" in refused.value.hint
    with pytest.raises(Invalid, match="cannot be read"):
        Files(to_files=URL, sas_file=tmp_path / "none").signed_url()
