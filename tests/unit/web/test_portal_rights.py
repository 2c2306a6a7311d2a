"""What each role may do, as the page of access says it."""

from strongroom.model.identities import access
from strongroom.model.identities.access import RoleDefinition
from strongroom.web.portal.rights import matrix_of

OWN = RoleDefinition(
    "0f", "Night shift", ("Microsoft.DataProtection/backupVaults/backupInstances/*",), custom=True
)
KNOWN = [*access.BUILT_IN.values(), OWN]


def cells(words: str) -> dict[str, str]:
    found = matrix_of([(OWN.id, "x")], ["x"], KNOWN)
    (row,) = [told for what, told in found.rows if what.startswith(words)]
    return {each.role.name: cell for each, cell in zip(found.columns, row, strict=True)}


def test_who_may_back_up_may_not_stop_protection() -> None:
    assert cells("Back up now")["Backup Operator"] == "may"
    assert cells("Stop protection")["Backup Operator"] == ""
    assert cells("Back up now")["Backup Reader"] == ""
    assert cells("See instances")["Backup Reader"] == "may"


def test_what_a_guard_protects_is_asked_for_and_the_approver_alone_agrees() -> None:
    found = cells("Stop protection")
    assert {name for name, cell in found.items() if cell == "asks"} == {
        "Backup Contributor",
        "Contributor",
        "Owner",
        "Night shift",
    }
    assert {name for name, cell in found.items() if cell == "agrees"} == {"Backup MUA Operator"}
    assert cells("Give somebody")["Contributor"] == ""
    assert cells("Give somebody")["Owner"] == "may"


def test_a_column_counts_who_holds_the_role_once_and_marks_ones_own() -> None:
    held = [(access.OWNER.id, "anna"), (access.OWNER.id, "anna"), (access.OWNER.id, "bert")]
    held += [(access.BACKUP_READER.id, "rita")]
    found = {each.role.name: each for each in matrix_of(held, ["anna"], KNOWN).columns}
    assert (found["Owner"].holders, found["Owner"].is_mine) == (2, True)
    assert (found["Backup Reader"].holders, found["Backup Reader"].is_mine) == (1, False)
    assert "Night shift" not in found  # nobody has it
    assert "Reader" not in found
