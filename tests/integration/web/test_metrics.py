"""Numbers for monitoring: guarded as the API is; rules and dashboard ask for those there are."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from arm_story import Story, add_point
from arm_world import VERSION, ArmWorld, vault_id
from strongroom.control.metrics import read_metrics
from strongroom.model.access import LONG_TERM_RETENTION, Caller
from strongroom.model.outside import Certificate, Outside, Room

MONITORING = Path(__file__).parents[3] / "monitoring"
LINE = re.compile(r'strongroom_[a-z_]+(\{([a-z]+="[^"]*",?)+\})? -?[0-9.e+]+')


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
    assert 'strongroom_instance_points{instance="pg1-inst",vault="v1",server="pg1"} 1' in text
    assert 'strongroom_backup_stored_bytes{instance="pg1-inst"} 2147483648.0' in text


def test_rules_and_dashboard_ask_for_metrics_that_there_are(text: str) -> None:
    known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    asked = set()
    for file in ("strongroom-rules.yml", "grafana-dashboard.json"):
        found = (MONITORING / file).read_text()
        asked |= set(re.findall(r"strongroom_[a-z_]+", found))
    json.loads((MONITORING / "grafana-dashboard.json").read_text())
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
        if each.startswith(f'{name}{{instance="pg1-inst"}}')
    ]
    assert 0 < float(line.rsplit(" ", 1)[1]) <= 240 * 3600
