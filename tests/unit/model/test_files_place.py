"""Places for files are read at the door, and what opens them comes apart from the rest."""

import msgspec
import pytest
from azure.storage.blob import UserDelegationKey, generate_container_sas
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.restore.files_place import FilesPlace, read_place

NOW = Instant.from_utc(2026, 11, 26)
SAS = "sv=2022-11-02&sp=rcw&se=2026-11-27T00%3A00%3A00Z&sr=c&sig=c2VjcmV0%2Fsecret%3D"
AZURE = "https://acct.blob.core.windows.net/out"


def test_the_signature_is_taken_off_the_url():
    place, signature = read_place(f"{AZURE}?{SAS}", "", NOW)
    assert place == FilesPlace(url=AZURE)
    assert signature is not None
    assert signature.query == SAS
    assert "c2VjcmV0" not in repr(signature)
    assert "c2VjcmV0" not in repr(place)


def test_a_container_of_azures_may_come_with_a_users_delegation():
    key = UserDelegationKey()
    key.signed_oid = key.signed_tid = "11111111-2222-3333-4444-555555555555"
    key.signed_start, key.signed_expiry = "2026-11-25T00:00:00Z", "2026-11-27T00:00:00Z"
    key.signed_service, key.signed_version, key.value = "b", "2022-11-02", "c2VjcmV0"
    sas = generate_container_sas(
        "acct", "out", user_delegation_key=key, permission="rcw", expiry="2026-11-28T00:00:00Z"
    )
    _, signature = read_place(f"{AZURE}?{sas}", "", NOW)
    assert signature is not None
    assert signature.query == sas
    with pytest.raises(Invalid, match="expired"):
        read_place(f"{AZURE}?{sas}", "", NOW.add(hours=36))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:10000/devstoreaccount1/out",
        "https://vault.example:9443/strongroom/out/below",
    ],
)
def test_an_account_may_stand_in_the_path(url):
    assert read_place(f"{url}/?{SAS}", "", NOW)[0].url == url


@pytest.mark.parametrize("endpoint", ["", "https://s3.example:9000", "http://[::1]:9000"])
def test_a_bucket_needs_no_signature(endpoint):
    place, signature = read_place("s3://backups.eu/a/b/", endpoint, NOW)
    assert place == FilesPlace(url="s3://backups.eu/a/b", endpoint=endpoint)
    assert signature is None


@pytest.mark.parametrize(
    ("url", "endpoint", "told"),
    [
        (AZURE, "", "carries no signature"),
        (f"{AZURE}?{SAS.replace('sp=rcw', 'sp=cw')}", "", "written and read again"),
        (f"{AZURE}?{SAS.replace('sp=rcw', 'sp=rl')}", "", "written and read again"),
        (f"{AZURE}?{SAS.replace('11-27T', '11-25T')}", "", "expired"),
        (f"{AZURE}?{SAS}", "https://s3.example", "goes with s3"),
        (f"https://acct.blob.core.windows.net/?{SAS}", "", "names no container"),
        (f"https://acct.blob.core.windows.net/a/../b?{SAS}", "", "names no container"),
        (f"http://acct.blob.core.windows.net/out?{SAS}", "", "without encryption"),
        (f"https://user:word@acct/out?{SAS}", "", "no user"),
        (f"https://acct:port/out?{SAS}", "", "not a URL"),
        ("ftp://acct/out", "", "neither https nor s3"),
        ("", "", "neither https nor s3"),
        ("s3://Not_A_Bucket/x", "", "is no bucket"),
        ("s3://bucket/a?versionId=1", "", "is no bucket"),
        ("s3://bucket/a", "http://minio.example:9000", "without encryption"),
        ("s3://bucket/a", "s3://bucket", "not an https URL"),
    ],
)
def test_what_cannot_be_is_refused_without_a_word_of_the_signature(url, endpoint, told):
    with pytest.raises(Invalid, match=told) as refused:
        read_place(url, endpoint, NOW)
    assert b"c2VjcmV0" not in msgspec.json.encode(refused.value.to_dict())


def test_a_plan_needs_no_signature():
    assert read_place(AZURE, "", NOW, signed=False) == (FilesPlace(url=AZURE), None)
