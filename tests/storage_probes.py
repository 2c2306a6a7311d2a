"""What a thief of a writer's SAS may try: one row a try, a line each."""

# ruff: noqa: E501

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from store_world import a_sas

BLOCK = {"x-ms-blob-type": "BlockBlob"}
MINE = "/strongroom/cont/g/gen1/new.pack"
OLD = "/strongroom/cont/g/gen1/old.pack"
BLOCK_LIST = b'<?xml version="1.0"?><BlockList><Latest>AA==</Latest></BlockList>'


@dataclass
class Sas:
    """The writer's, unless a probe bends it."""

    container: str = "cont"
    path: str = "g/gen1"
    resource: str = "d"
    permissions: str = "c"
    options: dict = field(default_factory=dict)
    replace: dict = field(default_factory=dict)  # fields changed after signing
    drop: tuple = ()

    def text(self) -> str:
        sas = a_sas(self.container, self.path, self.resource, self.permissions, **self.options)
        fields = dict(parse_qsl(sas)) | self.replace
        return urlencode({name: fields[name] for name in fields if name not in self.drop})


@dataclass
class Probe:
    """One try. `codes` are the answers that count as a refusal of it."""

    says: str
    codes: str
    method: str = "PUT"
    path: str = MINE
    sas: Sas | None = field(default_factory=Sas)
    query: str = ""
    headers: dict = field(default_factory=lambda: dict(BLOCK))
    body: bytes | None = b"x"


MISMATCH = "AuthorizationPermissionMismatch"
FAILED = "AuthenticationFailed"
NAME = "InvalidResourceName"
UNKNOWN = "UnsupportedQueryParameter"
QUOTA = "InsufficientAccountPermissions"
ALL = "racwdl"
EPOCH, ENDED = "job.2", "job.1"  # identifiers: one with a quota of 100 bytes, one withdrawn
ACL = b"<SignedIdentifiers><SignedIdentifier><Id>mine</Id></SignedIdentifier></SignedIdentifiers>"


def container(permissions: str) -> Sas:
    return Sas(path="", resource="c", permissions=permissions)


def bent(**replace: str) -> Sas:
    return Sas(replace=replace)


def identified(by: str, **replace: str) -> Sas:
    return Sas(options={"identifier": by}, replace=replace)


PROBES = [
    # what the letter c does not say
    Probe("read what it may write beside", MISMATCH, "GET", OLD, body=None, headers={}),
    Probe("read a range", MISMATCH, "GET", OLD, headers={"Range": "bytes=0-1"}, body=None),
    Probe("look at properties", MISMATCH, "HEAD", OLD, body=None, headers={}),
    Probe("look at metadata", MISMATCH, "HEAD", OLD, query="comp=metadata", body=None, headers={}),
    Probe("delete", MISMATCH, "DELETE", OLD, body=None, headers={}),
    Probe("list the container", FAILED, "GET", "/strongroom/cont", query="restype=container&comp=list"),
    Probe("list with a container's c", MISMATCH, "GET", "/strongroom/cont", container("c"), "restype=container&comp=list"),
    Probe("delete in a batch", FAILED, "POST", "/strongroom/cont", query="restype=container&comp=batch"),
    Probe("delete in a batch with c", MISMATCH, "POST", "/strongroom/cont", container("c"), "restype=container&comp=batch"),
    Probe("list the account", FAILED, "GET", "/strongroom", query="comp=list", body=None),
    Probe("list the account, slash", FAILED, "GET", "/strongroom/", query="comp=list", body=None),
    Probe("ask for digests", FAILED, "POST", "/strongroom/cont", query="restype=container&comp=digests", body=b'{"names":[]}'),
    Probe("ask for digests with every letter", MISMATCH, "POST", "/strongroom/cont", container("racwdl"), "restype=container&comp=digests", body=b'{"names":[]}'),
    Probe("create a container", FAILED, "PUT", "/strongroom/mine", query="restype=container"),
    Probe("create a container with every letter", FAILED, "PUT", "/strongroom/mine", container("racwdl"), "restype=container"),
    Probe("delete the container with every letter", MISMATCH, "DELETE", "/strongroom/cont", container("racwdl"), "restype=container", body=None),
    Probe("read the container's properties", MISMATCH, "GET", "/strongroom/cont", container("racwdl"), "restype=container", body=None),
    Probe("read the container's metadata", MISMATCH, "GET", "/strongroom/cont", container(ALL), "restype=container&comp=metadata", body=None),
    Probe("set the container's metadata", "UnsupportedHttpVerb", path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=metadata", headers={"x-ms-meta-a": "b"}),
    Probe("lease the container", UNKNOWN, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=lease"),
    Probe("restore the container", UNKNOWN, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=undelete"),
    Probe("rename the container", UNKNOWN, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=rename"),
    Probe("find blobs by tags in the container", UNKNOWN, "GET", "/strongroom/cont", container(ALL), "restype=container&comp=blobs", body=None),
    # stored access policies and quotas
    Probe("look who has access", FAILED, "GET", "/strongroom/cont", query="restype=container&comp=acl", body=None),
    Probe("look who has access, with every letter", MISMATCH, "GET", "/strongroom/cont", container(ALL), "restype=container&comp=acl", body=None),
    Probe("look who has access by HEAD", MISMATCH, "HEAD", "/strongroom/cont", container(ALL), "restype=container&comp=acl", body=None),
    Probe("give itself access", FAILED, path="/strongroom/cont", query="restype=container&comp=acl", body=ACL),
    Probe("give itself access, with every letter", MISMATCH, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=acl", body=ACL),
    Probe("make it public", MISMATCH, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=acl", headers={"x-ms-blob-public-access": "blob"}),
    Probe("the ACL of a blob", UNKNOWN, "GET", OLD, query="comp=acl", body=None),
    Probe("give an identifier", FAILED, path="/strongroom/cont", query="restype=container&comp=identifier&id=mine"),
    Probe("give an identifier, with every letter", MISMATCH, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=identifier&id=mine"),
    Probe("raise its own quota", MISMATCH, path="/strongroom/cont", sas=container(ALL), query=f"restype=container&comp=identifier&id={EPOCH}&quota=1000000000"),
    Probe("withdraw another's identifier", MISMATCH, "DELETE", "/strongroom/cont", container(ALL), f"restype=container&comp=identifier&id={EPOCH}", body=None),
    Probe("an identifier that was never given", FAILED, sas=identified("never")),
    Probe("the identifier of an epoch that has ended", FAILED, sas=identified(ENDED)),
    Probe("read with the identifier of an epoch that has ended", FAILED, "GET", OLD, Sas(permissions="r", options={"identifier": ENDED}), body=None),
    Probe("another identifier", FAILED, sas=identified(ENDED, si=EPOCH)),
    Probe("no identifier", FAILED, sas=Sas(options={"identifier": ENDED}, drop=("si",))),
    Probe("an empty identifier", FAILED, sas=identified(ENDED, si="")),
    Probe("a second identifier", "InvalidQueryParameterValue", sas=identified(ENDED), query=f"si={EPOCH}"),
    Probe("an identifier of another container", FAILED, path="/strongroom/other/g/gen1/x", sas=Sas(container="other", options={"identifier": EPOCH})),
    Probe("a long identifier", FAILED, sas=bent(si="x" * 65)),
    Probe("put more than its quota", QUOTA, sas=identified(EPOCH), body=b"x" * 101),
    Probe("put a block of more than its quota", QUOTA, sas=identified(EPOCH), query="comp=block&blockid=AA%3D%3D", body=b"x" * 101),
    Probe("say that it will put more than its quota", QUOTA, sas=identified(EPOCH), headers=BLOCK | {"Content-Length": "101"}, body=b""),
    Probe("put for a restore", MISMATCH, sas=Sas(permissions="r")),
    # service-level calls
    Probe("read the service's properties", FAILED, "GET", "/strongroom", container(ALL), "restype=service&comp=properties", body=None),
    Probe("set the service's properties", FAILED, path="/strongroom", sas=container(ALL), query="restype=service&comp=properties"),
    Probe("read the service's statistics", FAILED, "GET", "/strongroom", container(ALL), "restype=service&comp=stats", body=None),
    Probe("ask for a user delegation key", FAILED, "POST", "/strongroom", container(ALL), "restype=service&comp=userdelegationkey"),
    Probe("read the account's information", FAILED, "GET", "/strongroom", container(ALL), "restype=account&comp=properties", body=None),
    Probe("find blobs by tags", FAILED, "GET", "/strongroom", container(ALL), "comp=blobs", body=None),
    Probe("a batch on the account", FAILED, "POST", "/strongroom", container(ALL), "comp=batch"),
    Probe("create with read and list alone", MISMATCH, sas=Sas(permissions="rl")),
    Probe("create with add", MISMATCH, sas=Sas(permissions="a")),
    # overwriting
    Probe("overwrite", "BlobAlreadyExists", path=OLD),
    Probe("overwrite with w", "BlobAlreadyExists", path=OLD, sas=Sas(permissions="cw")),
    Probe("overwrite when it matches", "BlobAlreadyExists", path=OLD, headers=BLOCK | {"If-Match": "*"}),
    Probe("overwrite when it does not match", "BlobAlreadyExists", path=OLD, headers=BLOCK | {"If-None-Match": '"x"'}),
    Probe("overwrite by a block", "BlobAlreadyExists", path=OLD, query="comp=block&blockid=AA%3D%3D"),
    Probe("overwrite by a list", "BlobAlreadyExists", path=OLD, query="comp=blocklist", body=BLOCK_LIST),
    Probe("empty it by a list", "BlobAlreadyExists", path=OLD, query="comp=blocklist", body=b"<BlockList/>"),
    Probe("overwrite as append blob", "InvalidHeaderValue", path=OLD, headers={"x-ms-blob-type": "AppendBlob"}),
    Probe("overwrite as page blob", "InvalidHeaderValue", path=OLD, headers={"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": "512"}),
    Probe("append a block", "UnsupportedQueryParameter", path=OLD, query="comp=appendblock"),
    Probe("write a page", "UnsupportedQueryParameter", path=OLD, query="comp=page"),
    Probe("copy over it", "UnsupportedHeader", path=OLD, headers=BLOCK | {"x-ms-copy-source": "http://127.0.0.1/a"}),
    Probe("copy a secret to where it may be", "UnsupportedHeader", headers=BLOCK | {"x-ms-copy-source": "http://127.0.0.1/strongroom/cont/p/point.manifest"}),
    Probe("set metadata", "UnsupportedHttpVerb", path=OLD, query="comp=metadata", headers={"x-ms-meta-a": "b"}),
    Probe("set tags", UNKNOWN, path=OLD, query="comp=tags"),
    Probe("read tags", UNKNOWN, "GET", OLD, query="comp=tags", body=None),
    Probe("tags with a new blob", "UnsupportedHeader", headers=BLOCK | {"x-ms-tags": "a=b"}),
    Probe("a lock with a new blob", "UnsupportedHeader", headers=BLOCK | {"x-ms-immutability-policy-until-date": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    Probe("a lock's mode with a new blob", "UnsupportedHeader", headers=BLOCK | {"x-ms-immutability-policy-mode": "Locked"}),
    Probe("a hold with a new blob", "UnsupportedHeader", headers=BLOCK | {"x-ms-legal-hold": "true"}),
    Probe("a key of its own", "UnsupportedHeader", headers=BLOCK | {"x-ms-encryption-key": "AAAA"}),
    Probe("an encryption scope", "UnsupportedHeader", headers=BLOCK | {"x-ms-encryption-scope": "mine"}),
    Probe("a lease with a new blob", "UnsupportedHeader", headers=BLOCK | {"x-ms-lease-id": "00000000-0000-0000-0000-000000000001"}),
    Probe("lock the container's immutability", MISMATCH, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=immutability", headers={"x-ms-immutability-policy-mode": "Locked"}, body=None),
    Probe("disable immutability", MISMATCH, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=immutability", headers={"x-ms-immutability-policy-mode": "Disabled"}, body=None),
    Probe("lock a generation", MISMATCH, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=lock", headers={"x-ms-immutability-policy-until-date": "Fri, 01 Jan 2100 00:00:00 GMT"}, body=b'{"names": ["g/gen1/"]}'),
    Probe("see a lock", MISMATCH, "GET", "/strongroom/cont", container(ALL), "restype=container&comp=lock&prefix=g/gen1/", body=None),
    Probe("release a lock", MISMATCH, "DELETE", "/strongroom/cont", container(ALL), "restype=container&comp=lock&prefix=g/gen1/", body=None),
    Probe("set a hold", MISMATCH, path="/strongroom/cont", sas=container(ALL), query="restype=container&comp=hold&prefix=g/gen1/&id=mine", body=None),
    Probe("lift a hold", MISMATCH, "DELETE", "/strongroom/cont", container(ALL), "restype=container&comp=hold&prefix=g/gen1/&id=case", body=None),
    Probe("take away a lock", UNKNOWN, "DELETE", OLD, query="comp=immutabilityPolicies", body=None),
    Probe("take away a hold", UNKNOWN, path=OLD, query="comp=legalhold", headers={"x-ms-legal-hold": "false"}),
    Probe("a block from elsewhere", "UnsupportedHeader", query="comp=block&blockid=AA%3D%3D", headers={"x-ms-copy-source": "http://127.0.0.1/a"}, body=None),
    Probe("an append blob", "InvalidHeaderValue", headers={"x-ms-blob-type": "AppendBlob"}),
    Probe("a page blob", "InvalidHeaderValue", headers={"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": "512"}),
    Probe("seal an append blob", UNKNOWN, path=OLD, query="comp=seal"),
    Probe("read the list of blocks", "UnsupportedHttpVerb", "GET", OLD, query="comp=blocklist", body=None),
    Probe("read the ranges of pages", UNKNOWN, "GET", OLD, query="comp=pagelist", body=None),
    Probe("query its content", UNKNOWN, "POST", OLD, query="comp=query"),
    Probe("abort a copy", UNKNOWN, path=OLD, query="comp=copy&copyid=1"),
    Probe("rename it", UNKNOWN, path=OLD, query="mode=legacy", headers={"x-ms-rename-source": "/cont/p/point.manifest"}),
    Probe("delete its snapshots", MISMATCH, "DELETE", OLD, headers={"x-ms-delete-snapshots": "only"}, body=None),
    Probe("set properties", "UnsupportedQueryParameter", path=OLD, query="comp=properties"),
    Probe("set the tier", "UnsupportedQueryParameter", path=OLD, query="comp=tier"),
    Probe("lease it", "UnsupportedQueryParameter", path=OLD, query="comp=lease"),
    Probe("snapshot it", "UnsupportedQueryParameter", path=OLD, query="comp=snapshot"),
    Probe("set expiry", "UnsupportedQueryParameter", path=OLD, query="comp=expiry"),
    Probe("set an immutability policy", "UnsupportedQueryParameter", path=OLD, query="comp=immutabilityPolicies"),
    Probe("set a legal hold", "UnsupportedQueryParameter", path=OLD, query="comp=legalhold"),
    Probe("undelete", "UnsupportedQueryParameter", path=OLD, query="comp=undelete"),
    Probe("make a directory of a blob", "PathConflict", path=f"{OLD}/beneath"),
    Probe("make a blob of a directory", FAILED, path="/strongroom/cont/g/gen1"),
    # elsewhere
    Probe("write to another generation", FAILED, path="/strongroom/cont/g/gen2/x"),
    Probe("write to a longer name", FAILED, path="/strongroom/cont/g/gen1x/x"),
    Probe("write to p/", FAILED, path="/strongroom/cont/p/x.manifest"),
    Probe("write above", FAILED, path="/strongroom/cont/g/x"),
    Probe("write at the top", FAILED, path="/strongroom/cont/x"),
    Probe("write in another container", FAILED, path="/strongroom/other/g/gen1/x"),
    Probe("write in another account", "ResourceNotFound", path="/other/cont/g/gen1/x"),
    Probe("other case", FAILED, path="/strongroom/cont/G/gen1/x"),
    Probe("other case of the account", "ResourceNotFound", path="/Strongroom/cont/g/gen1/x"),
    Probe("other case of the container", NAME, path="/strongroom/Cont/g/gen1/x"),
    # path tricks
    Probe("dots", NAME, path="/strongroom/cont/g/gen1/../gen2/x"),
    Probe("dots at the end", NAME, path="/strongroom/cont/g/gen1/.."),
    Probe("encoded dots", NAME, path="/strongroom/cont/g/gen1/%2e%2e/gen2/x"),
    Probe("encoded slashes and dots", NAME, path="/strongroom/cont/g/gen1/..%2fgen2%2fx"),
    Probe("twice encoded dots stay a name, elsewhere", FAILED, path="/strongroom/cont/g/%252e%252e/x"),
    Probe("one dot", NAME, path="/strongroom/cont/g/gen1/./x"),
    Probe("empty segment", NAME, path="/strongroom/cont/g/gen1//x"),
    Probe("empty segment first", NAME, path="/strongroom/cont//g/gen1/x"),
    Probe("encoded empty segment", NAME, path="/strongroom/cont/g/gen1/%2fx"),
    Probe("slash at the end", NAME, path="/strongroom/cont/g/gen1/"),
    Probe("backslash", NAME, path="/strongroom/cont/g/gen1/..%5cgen2"),
    Probe("NUL", NAME, path="/strongroom/cont/g/gen1/x%00.pack"),
    Probe("newline for the string to sign", NAME, path="/strongroom/cont/g/gen1/x%0ay"),
    Probe("right to left", NAME, path="/strongroom/cont/g/gen1/x%E2%80%AEkcap"),
    Probe("not UTF-8", NAME, path="/strongroom/cont/g/gen1/%ff"),
    Probe("overlong UTF-8 slash", NAME, path="/strongroom/cont/g/gen1/%c0%af"),
    Probe("half a surrogate pair", NAME, path="/strongroom/cont/g/gen1/%ed%a0%80"),
    Probe("broken percent", NAME, path="/strongroom/cont/g/gen1/%zz"),
    Probe("long segment", NAME, path="/strongroom/cont/g/gen1/" + "x" * 256),
    Probe("long name", NAME, path="/strongroom/cont/g/gen1/" + "x/" * 512 + "x"),
    Probe("the store's own directory", "ResourceNotFound", path="/.strongroom/incoming/x"),
    Probe("the ledger as container", NAME, path="/strongroom/.strongroom/ledger.sqlite"),
    Probe("dots as container", NAME, path="/strongroom/../strongroom/cont/g/gen1/x"),
    Probe("encoded container", NAME, path="/strongroom/%63ont/g/gen1/x"),
    Probe("no leading account", "ResourceNotFound", path="//strongroom/cont/g/gen1/x"),
    # signatures
    Probe("no credential", "NoAuthenticationInformation", sas=None),
    Probe("no signature", "NoAuthenticationInformation", sas=Sas(drop=("sig",))),
    Probe("empty signature", FAILED, sas=bent(sig="")),
    Probe("forged signature", FAILED, sas=bent(sig="A" * 43 + "=")),
    Probe("signature that is not ASCII", FAILED, sas=bent(sig="é" * 44)),
    Probe("signed with another key", FAILED, sas=Sas(options={"key": b"z" * 64})),
    Probe("signed for another account", FAILED, sas=Sas(options={"account": "strongroon"})),
    Probe("more letters", FAILED, sas=bent(sp="cd")),
    Probe("other letters", FAILED, "GET", OLD, bent(sp="r"), body=None),
    Probe("later expiry", FAILED, sas=bent(se="2999-01-01T00:00:00Z")),
    Probe("earlier start", FAILED, sas=Sas(options={"starts_in": 30}, drop=("st",))),
    Probe("less depth", FAILED, path="/strongroom/cont/g/gen2/x", sas=bent(sdd="1")),
    Probe("no depth", FAILED, sas=Sas(drop=("sdd",))),
    Probe("depth nought", FAILED, sas=bent(sdd="0")),
    Probe("negative depth", FAILED, sas=bent(sdd="-1")),
    Probe("more depth", FAILED, path="/strongroom/cont/g/gen1/a/x", sas=bent(sdd="3")),
    Probe("directory as container", FAILED, path="/strongroom/cont/p/x", sas=bent(sr="c")),
    Probe("directory as blob", FAILED, path="/strongroom/cont/g/gen1", sas=bent(sr="b")),
    Probe("unknown resource", FAILED, sas=bent(sr="f")),
    Probe("no version", FAILED, sas=Sas(drop=("sv",))),
    Probe("old version with a shorter text", FAILED, sas=bent(sv="2018-11-09")),
    Probe("other version", FAILED, sas=bent(sv="2025-05-05")),
    Probe("no expiry", FAILED, sas=Sas(drop=("se",))),
    Probe("no permissions", FAILED, sas=Sas(drop=("sp",))),
    Probe("an identifier added", FAILED, sas=bent(si=EPOCH)),
    Probe("a user's delegation", FAILED, sas=bent(skoid="a", sktid="b")),
    Probe("another address", FAILED, sas=bent(sip="127.0.0.1")),
    Probe("answer headers added", FAILED, sas=bent(rsct="text/html")),
    Probe("plain http where https is asked for", "AuthorizationProtocolMismatch", sas=Sas(options={"protocol": "https"})),
    Probe("https taken out", FAILED, sas=Sas(options={"protocol": "https"}, replace={"spr": "https,http"})),
    Probe("expired", FAILED, sas=Sas(options={"minutes": -0.1})),
    Probe("not yet valid", FAILED, sas=Sas(options={"starts_in": 5})),
    Probe("a second sp", "InvalidQueryParameterValue", query="sp=racwdl"),
    Probe("a second sp in capitals", "InvalidQueryParameterValue", query="SP=racwdl"),
    Probe("a blob's SAS on its neighbour", FAILED, sas=Sas(path="d/job.1.delta", resource="b")),
    Probe("a blob's SAS beneath it", FAILED, path="/strongroom/cont/d/job.1.delta/x", sas=Sas(path="d/job.1.delta", resource="b")),
    Probe("SAS and a made up key", "InvalidAuthenticationInfo", headers=BLOCK | {"Authorization": "SharedKey strongroom:AAAA"}),
    Probe("a made up key", FAILED, sas=None, headers=BLOCK | {"Authorization": "SharedKey strongroom:AAAA", "x-ms-date": "Wed, 25 Nov 2026 07:28:29 GMT"}),
    Probe("a key without account", FAILED, sas=None, headers=BLOCK | {"Authorization": "SharedKey :"}),
    Probe("a bearer token", "InvalidAuthenticationInfo", sas=None, headers=BLOCK | {"Authorization": "Bearer abc"}),
    # bodies and headers
    Probe("too large", "RequestBodyTooLarge", headers=BLOCK | {"Content-Length": str(6 << 30)}, body=None),
    Probe("absurdly large", "InvalidHeaderValue", headers=BLOCK | {"Content-Length": "0" * 10 + "9" * 12}, body=None),
    Probe("no length", "MissingContentLengthHeader", headers=BLOCK | {"Transfer-Encoding": "chunked"}, body=b"1\r\nx\r\n0\r\n\r\n"),
    Probe("wrong MD5", "Md5Mismatch", headers=BLOCK | {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}),
    Probe("MD5 of nothing known", "InvalidMd5", headers=BLOCK | {"Content-MD5": "AAAA"}),
    Probe("a checksum that we do not check", "UnsupportedHeader", headers=BLOCK | {"x-ms-content-crc64": "AAAAAAAAAAA="}),
    Probe("much metadata", "MetadataTooLarge", headers=BLOCK | {f"x-ms-meta-a{n}": "x" * 900 for n in range(10)}),
    Probe("much header", "RequestHeaderFieldsTooLarge", headers=BLOCK | {"x-other": "x" * 40_000}),
    Probe("a long address", "InvalidUri", query="a=" + "x" * 20_000),
    Probe("many query fields", "InvalidUri", query="&".join(f"a{n}=1" for n in range(100))),
    Probe("a list of blocks never put", "InvalidBlockList", query="comp=blocklist", body=BLOCK_LIST),
    Probe("a list with an entity", "InvalidXmlDocument", query="comp=blocklist", body=b'<!DOCTYPE a [<!ENTITY b "c">]><BlockList>&b;</BlockList>'),
    Probe("a list that is none", "InvalidXmlDocument", query="comp=blocklist", body=b"\xff\xfe"),
    Probe("committed blocks of others", "InvalidBlockList", query="comp=blocklist", body=BLOCK_LIST.replace(b"Latest", b"Committed")),
    Probe("a block id that is none", "InvalidBlockId", query="comp=block&blockid=%2e%2e%2f"),
    Probe("a long block id", "InvalidBlockId", query="comp=block&blockid=" + "A" * 88),
    Probe("a version of a blob", "UnsupportedQueryParameter", "GET", OLD, query="versionid=1"),
    Probe("a snapshot of a blob", "UnsupportedQueryParameter", "GET", OLD, query="snapshot=1"),
    Probe("another verb", "UnsupportedHttpVerb", "POST", OLD),
    Probe("PATCH", "UnsupportedHttpVerb", "PATCH", OLD),
]  # fmt: skip
