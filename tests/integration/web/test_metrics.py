"""Numbers for monitoring: guarded as the API is; rules and dashboard ask for those there are."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from arm_story import Story, add_point
from arm_world import VERSION, ArmWorld, vault_id
from strongroom.catalog.tables.tables import agents, instances, recovery_points, vaults
from strongroom.catalog.tables.usage_tables import usage
from strongroom.control.overview.metrics import read_metrics
from strongroom.model.identities.access import LONG_TERM_RETENTION, Caller
from strongroom.model.oversight.outside import Certificate, Outside, Room

MONITORING = Path(__file__).parents[3] / "monitoring"
SIZES = [column.name for column in usage.columns if column.name.endswith("_bytes")]
FILES = "strongroom-rules.yml", "grafana-dashboard.json"
LINE = re.compile(r'strongroom_[a-z_]+(\{([a-z_]+="[^"]*",?)+\})? -?[0-9.e+]+')


@pytest.fixture(scope="module")
def text(world: ArmWorld, story: Story) -> str:
    add_point(world, 1, "Full", 8 << 30, {})
    return story.http.get("/metrics").text


def test_whoever_has_no_token_or_no_role_is_told_nothing(world: ArmWorld, story: Story) -> None:
    _, app, secret = world.principal("narrow", [(LONG_TERM_RETENTION.id, "/")])
    with world.http(world.token(app, secret)) as narrow:
        assert narrow.get("/metrics").status_code == 404
    del story.http.headers["Authorization"]
    assert story.http.get("/metrics").status_code == 401
    story.http.headers["Authorization"] = f"Bearer {world.token()}"


def test_every_line_is_a_metric_or_says_what_one_is(text: str) -> None:
    for line in text.splitlines():
        assert line.startswith(("# HELP strongroom_", "# TYPE strongroom_")) or LINE.fullmatch(
            line
        ), line
    mine = 'instance="pg1-inst",vault="v1",resource_group="backup-rg",server="pg1"'
    assert f"strongroom_instance_points{{{mine}}} 1" in text
    assert f"strongroom_backup_stored_bytes{{{mine}}} 2147483648.0" in text


def test_no_two_samples_are_of_one_name_and_labels_though_two_vaults_name_alike(
    world: ArmWorld, story: Story
) -> None:
    # Prometheus takes one of them alone, and tells nobody.
    with world.database.writing() as connection:
        for table, named in (
            (vaults, {"id": "v2", "name": "v2", "name_key": "v2"}),
            (instances, {"id": "i2", "vault_id": "v2"}),
            (recovery_points, {"id": "r2", "instance_id": "i2"}),
            (agents, {"id": "other", "token_hash": "other"}),
        ):
            row = connection.execute(table.select()).mappings().first()
            connection.execute(table.insert().values(**{**row, **named}))
        for of in connection.execute(sa.select(instances.c.id)).scalars().all():
            sizes = dict.fromkeys(SIZES, 1)
            day = {"instance_id": of, "day": "2026-01-01", "at": world.clock.now()}
            connection.execute(usage.insert().values(**day, **sizes))
    told = story.http.get("/metrics").text.splitlines()
    names = [line.rpartition(" ")[0] for line in told if line[0] != "#"]
    assert len(names) == len(set(names))
    assert sum(name.startswith("strongroom_instance_full_copies_bytes") for name in names) == 2
    with world.database.writing() as connection:
        for of, table in (("r2", recovery_points), ("other", agents)):
            connection.execute(table.delete().where(table.c.id == of))
        connection.execute(usage.delete())
        connection.execute(instances.delete().where(instances.c.id == "i2"))
        connection.execute(vaults.delete().where(vaults.c.id == "v2"))


def test_rules_and_dashboard_ask_for_metrics_that_there_are(text: str) -> None:
    known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    asked = set()
    for file in FILES:
        found = (MONITORING / file).read_text()
        asked |= set(re.findall(r"strongroom_[a-z_]+", found))
    json.loads((MONITORING / "grafana-dashboard.json").read_text())
    labels = set(re.findall(r'[{,]([a-z_]+)="', text)) | {"agent", "certificate", "part"}
    rules, board = ((MONITORING / file).read_text() for file in FILES)
    named = re.findall(r"\$labels\.([a-z_]+)|{{([a-z_]+)}}", rules + board)
    named += re.findall(r"()\b(?:on|by) ?\(([a-z_, ]+)\)", rules + board)
    told = set(re.findall(r"[a-z_]+", " ".join(" ".join(each) for each in named)))
    assert {"instance", "vault", "agent", "part"} <= told <= labels
    # Else Prometheus' own label `instance` takes the place of ours.
    assert "honor_labels: true" in (MONITORING / "prometheus.yml").read_text()
    assert asked <= known
    assert len(asked) > 15
    wanted = {"storage_headroom_bytes", "instance_lock_horizon_seconds", "queue_depth"}
    wanted |= {"second_copy_lag_seconds", "certificate_expiry_seconds"}
    assert {f"strongroom_{name}" for name in wanted} <= asked


def test_what_lies_outside_has_its_numbers(world: ArmWorld, story: Story) -> None:
    ends = world.clock.now().add(hours=24)
    seen = Outside(lambda: Room(9 << 30, 1 << 30), lambda: [Certificate("api", "it", ends, "")])
    world.second_tells = {"lagSeconds": 60}
    text = read_metrics(replace(world.control, outside=seen), Caller(principal_id=world.owner_id))
    numbers = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert numbers["strongroom_storage_headroom_bytes"] == str(float(8 << 30))
    assert numbers["strongroom_second_copy_lag_seconds"] == "60.0"
    assert numbers["strongroom_second_copies"] == "1"
    left = float(numbers['strongroom_certificate_expiry_seconds{certificate="api"}'])
    assert 0 < left <= 86_400


def test_the_lock_horizon_is_that_of_an_immutable_vault(world: ArmWorld, story: Story) -> None:
    name = "strongroom_instance_lock_horizon_seconds"
    add_point(world, 2, "Full", 8 << 30, {})
    assert f"{name}{{" not in story.http.get("/metrics").text
    body = {"properties": {"securitySettings": {"immutabilitySettings": {"state": "Unlocked"}}}}
    assert story.http.patch(vault_id(), params=VERSION, json=body).status_code in {200, 202}
    (line,) = [
        each
        for each in story.http.get("/metrics").text.splitlines()
        if each.startswith(f'{name}{{instance="pg1-inst",')
    ]
    assert 0 < float(line.rsplit(" ", 1)[1]) <= 240 * 3600
