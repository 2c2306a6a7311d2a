"""The tables of the store's ledger, as steps: what a ledger of an earlier version still needs."""

_FIRST = """
CREATE TABLE containers (
    name TEXT PRIMARY KEY, created INTEGER NOT NULL, metadata TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE blobs (
    container TEXT NOT NULL REFERENCES containers (name), name TEXT NOT NULL,
    size INTEGER NOT NULL, blake3 BLOB NOT NULL, md5 BLOB, facts TEXT NOT NULL,
    created INTEGER NOT NULL, incoming TEXT, state TEXT NOT NULL DEFAULT 'live',
    checked INTEGER NOT NULL DEFAULT 0, finding TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (container, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX unfinished ON blobs (state) WHERE incoming IS NOT NULL OR state = 'deleting';
CREATE INDEX least_recently_checked ON blobs (checked);
CREATE TABLE deletions (
    at INTEGER NOT NULL, container TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,
    blake3 BLOB NOT NULL, caller TEXT NOT NULL
) STRICT;
"""
_IDENTIFIERS = """
CREATE TABLE identifiers (
    container TEXT NOT NULL REFERENCES containers (name) ON DELETE CASCADE, id TEXT NOT NULL,
    starts INTEGER, expires INTEGER, permissions TEXT NOT NULL,
    quota INTEGER, used INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (container, id)
) STRICT, WITHOUT ROWID;
"""
_LOCKS = """
CREATE TABLE immutability (
    container TEXT PRIMARY KEY REFERENCES containers (name) ON DELETE CASCADE,
    state TEXT NOT NULL, days INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE locks (
    container TEXT NOT NULL REFERENCES containers (name) ON DELETE CASCADE, name TEXT NOT NULL,
    until INTEGER NOT NULL, PRIMARY KEY (container, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE holds (
    container TEXT NOT NULL REFERENCES containers (name) ON DELETE CASCADE, name TEXT NOT NULL,
    id TEXT NOT NULL, PRIMARY KEY (container, name, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL) STRICT;
"""
_COPIES = """
CREATE TABLE gone (
    container TEXT NOT NULL REFERENCES containers (name) ON DELETE CASCADE, name TEXT NOT NULL,
    since INTEGER NOT NULL, PRIMARY KEY (container, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE pulled (one INTEGER PRIMARY KEY CHECK (one = 1), upto INTEGER NOT NULL) STRICT;
"""
_BROUGHT_HOLDS = """
CREATE TABLE brought_holds (
    container TEXT NOT NULL REFERENCES containers (name) ON DELETE CASCADE, name TEXT NOT NULL,
    id TEXT NOT NULL, lifted INTEGER, PRIMARY KEY (container, name, id)
) STRICT, WITHOUT ROWID;
"""
_VERSIONS = """
ALTER TABLE blobs ADD COLUMN version TEXT NOT NULL DEFAULT '';
"""
_BACK_END = """
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, place TEXT NOT NULL
) STRICT;
CREATE TABLE native (
    container TEXT NOT NULL, name TEXT NOT NULL,
    until INTEGER NOT NULL, is_final INTEGER NOT NULL, is_held INTEGER NOT NULL,
    PRIMARY KEY (container, name),
    FOREIGN KEY (container, name) REFERENCES blobs (container, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE native_due (
    container TEXT NOT NULL REFERENCES containers (name) ON DELETE CASCADE, name TEXT NOT NULL,
    turn INTEGER NOT NULL, PRIMARY KEY (container, name)
) STRICT, WITHOUT ROWID;
"""
STEPS = (
    _FIRST,
    _IDENTIFIERS,
    _LOCKS,
    _COPIES,
    _BROUGHT_HOLDS,
    _VERSIONS,
    _BACK_END,
)  # a ledger of version N has had the first N
VERSION = len(STEPS)
