"""Going on with a backup that broke off: an agent asks what its earlier tries have stored."""

from strongroom.catalog.work import agent_operations
from strongroom.control.basis.control import Control
from strongroom.model.errors import Forbidden
from strongroom.model.ids import AgentId
from strongroom.model.work.resume import ResumeReply, ResumeRequest


def open_resume(
    control: Control, agent: AgentId, operation_id: str, request: ResumeRequest
) -> ResumeReply:
    """What of this very backup is in storage already. Asked again, the same is the answer."""
    with control.database.reading() as connection:
        row = agent_operations.held(connection, operation_id, agent, request.epoch)
    if row["kind"] != "backup":
        raise Forbidden("only a backup is gone on with")
    return control.open_resume(operation_id, request)
