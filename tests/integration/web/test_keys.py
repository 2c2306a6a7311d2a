"""Keys over the wire: who asks sees which there are, and may have others made."""

import base64

from arm_story import INSTANCE_ID, Story
from arm_world import VERSION, ArmWorld, vault_id
from seams import SystemChance, SystemClock
from strongroom.catalog.points import shreds
from strongroom.catalog.protection import instance_keys
from strongroom.catalog.resources import vaults
from strongroom.catalog.tables.tables import instances
from strongroom.datastore.packs.seal import KeyPair


def post(story: Story, path: str, body: dict[str, object] | None = None) -> tuple[int, str]:
    answer = story.http.post(path, params=VERSION, json=body or {})
    return answer.status_code, answer.text


def test_pairs_are_listed_by_instance_and_the_newest_of_each_purpose_is_in_use(
    world: ArmWorld, story: Story
) -> None:
    told = story.get(f"{vault_id()}/keys")
    assert told["value"] == []
    with world.database.writing() as connection:
        instance = connection.execute(instances.select()).mappings().one()["id"]
        for number in (1, 2):
            public = KeyPair.generate(SystemChance()).public
            row = {"key_id": public.key_id, "instance_id": instance, "purpose": "data"}
            row |= {"number": number, "public_key": public.raw, "sealed_private": b"sealed"}
            instance_keys.add(connection, {**row, "created_at": SystemClock().now()})
    found = story.get(f"{vault_id()}/keys")["value"]
    assert [(key["number"], key["inUse"], key["purpose"]) for key in found] == [
        (1, False, "data"),
        (2, True, "data"),
    ]
    assert "sealed" not in str(found)


def test_rotations_and_a_census_are_operations_and_a_recovery_key_must_be_one(
    world: ArmWorld, story: Story
) -> None:
    assert post(story, f"{INSTANCE_ID}/rotateKeys")[0] == 202
    assert post(story, f"{INSTANCE_ID}/checkKeys")[0] == 202
    assert post(story, f"{vault_id()}/rotateKeyEncryptionKey")[0] == 202
    status, why = post(story, f"{vault_id()}/replaceRecoveryKey", {"publicKey": "AAAA"})
    assert (status, "1216 bytes" in why) == (400, True)
    public = base64.b64encode(KeyPair.generate(SystemChance()).public.raw).decode()
    assert post(story, f"{vault_id()}/replaceRecoveryKey", {"publicKey": public})[0] == 202


def test_what_was_shredded_is_told_of_the_vault_as_it_was_signed(
    world: ArmWorld, story: Story
) -> None:
    assert story.get(f"{vault_id()}/shredCertificates") == {"value": []}
    signed = b'{"body":{"instance":"gone"},"key":"k","signature":"s"}'
    with world.database.writing() as connection:
        vault = vaults.find(connection, "backup-rg", "v1")
        shreds.add(connection, "an-id", vault["id"], SystemClock().now(), signed)
    (found,) = story.get(f"{vault_id()}/shredCertificates")["value"]
    assert found == {"body": {"instance": "gone"}, "key": "k", "signature": "s"}
