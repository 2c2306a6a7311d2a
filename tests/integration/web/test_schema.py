"""What the OpenAPI document allows, and worse, is answered: in ARM's form, never by a bug.

schemathesis draws the requests from the document; whose bodies are just objects there, so those
are drawn here, of the keys that the API reads. The same cases each time; `campaign` draws others.
"""

from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case

from arm_routes import api_routes
from arm_story import Story
from arm_world import GROUP, SUBSCRIPTION, VERSION
from strongroom.web.api.door import ACTION

MOST = 2  # requests to each route
KNOWN = {"subscription_id": SUBSCRIPTION, "group": GROUP, "vault": "v1", "location": "local"}
WORDS = """
properties location tags identity type objectType name backupInstance policyInfo policyId
dataSourceInfo resourceID policyRules trigger schedule repeatingTimeIntervals lifecycles
restoreRequestObject recoveryPointId restoreTargetInfo targetDetails url strongroom settings
backupRuleOptions ruleName triggerOption roleDefinitionId principalId securitySettings state
softDeleteSettings retentionDurationInDays syncType startTime sasUriList featureName hours
crossRegionRestoreDetails sourceBackupInstanceId resourceGuardOperationRequests backupSettings
"""
KEYS = st.sampled_from(WORDS.split())
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(KEYS, VALUES, max_size=5)


def test_the_document_names_every_route_and_its_action(story: Story) -> None:
    paths = story.world.app.openapi()["paths"]
    told = {
        (method.upper(), path): route[ACTION]
        for path, methods in paths.items()
        for method, route in methods.items()
        if ACTION in route
    }
    routes = {(m, path.replace(":path}", "}")): action for m, path, action in api_routes()}
    assert told == routes


# schemathesis draws by chance of its own: what hypothesis warns of is not ours.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_whatever_is_sent_is_answered_in_arm_form(story: Story) -> None:
    schema = schemathesis.openapi.from_dict(story.world.app.openapi())
    schema.config.update(base_url=story.world.url)
    count = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if ACTION in operation.definition.raw:
            ask(story, operation)
            count += 1
    assert count > 100


def ask(story: Story, operation: Any) -> None:
    settings = hypothesis.settings(
        max_examples=MOST,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )

    @settings
    @hypothesis.given(case=operation.as_strategy(), body=BODIES)
    def one(case: Case, body: dict[str, Any]) -> None:
        places = {**case.path_parameters, **KNOWN}
        path = operation.path
        for name in case.path_parameters:
            path = path.replace("{" + name + "}", str(places[name]))
        sent = story.http.build_request(
            case.method,
            path,
            params={**(case.query or {}), **VERSION},
            json=body if case.method in {"PUT", "POST", "PATCH"} else None,
        )
        answer = story.http.send(sent)
        assert answer.status_code < 500, (case.method, path, body, answer.text)
        if answer.status_code >= 400 and case.method != "HEAD":
            error = answer.json()["error"]
            assert error["code"], (case.method, path)
            assert error["message"], (case.method, path)

    one()
