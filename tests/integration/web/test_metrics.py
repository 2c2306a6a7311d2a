"""Numbers for monitoring: guarded as the API is; rules and dashboard ask for those there are."""

import json
import re
from pathlib import Path

import pytest

from arm_story import Story, add_point
from arm_world import ArmWorld
from strongroom.model.access import LONG_TERM_RETENTION

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
    known.add("strongroom_second_copy_lag_seconds")  # of those who have one
    asked = set()
    for file in ("strongroom-rules.yml", "grafana-dashboard.json"):
        found = (MONITORING / file).read_text()
        asked |= set(re.findall(r"strongroom_[a-z_]+", found))
    json.loads((MONITORING / "grafana-dashboard.json").read_text())
    assert asked <= known
    assert len(asked) > 8
