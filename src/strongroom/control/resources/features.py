"""Which kinds of data sources are offered."""

from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.model import arm
from strongroom.model.identities.access import Caller

CHECK = "Microsoft.DataProtection/locations/checkFeatureSupport/action"
# Azure's clients ask by the type of the data source, or by the name of its workload.
_OFFERED = frozenset(
    ("microsoft.dbforpostgresql/flexibleservers", "azuredatabaseforpostgresqlflexibleserver")
)


def check_feature(control: Control, caller: Caller, name: str) -> bool:
    """Whether data sources of this type can be protected."""
    scope = arm.subscription_id_of(control.installation.subscription_id)
    with control.database.reading() as connection:
        require(control, connection, caller, CHECK, scope)
    return name.lower() in _OFFERED
