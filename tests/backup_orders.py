"""Orders to take backups, as a control plane would write them."""

from typing import Any

from strongroom.datastore.packs.seal import KeyPair
from strongroom.model.work.operation import BackupOrder


def a_backup_order(
    number: int, instance: str, catalogue: KeyPair, data: KeyPair, **more: Any
) -> BackupOrder:
    """The `number`th of an instance; the job, the point and the generation are told from it."""
    return BackupOrder(
        server="orders",
        job_id=f"job-{number}",
        recovery_point_id=f"{number:032x}",
        instance_id=instance,
        generation=f"{number:032x}",
        delta_name=f"d/job-{number}.1.delta",
        catalogue_key_id=catalogue.public.key_id,
        catalogue_public_key=catalogue.public.to_bytes(),
        data_key_id=data.public.key_id,
        data_public_key=data.public.to_bytes(),
        **more,
    )
