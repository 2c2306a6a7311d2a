"""The target that an order names, opened."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from strongroom.agent.files.azure_target import AzureTarget
from strongroom.agent.files.directory_target import DirectoryTarget
from strongroom.agent.files.s3_target import S3Target
from strongroom.agent.files.targets import FileTarget
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.restore.data_directory import Grounds
from strongroom.model.errors import LeaseLost, VaultError
from strongroom.model.seams import Chance
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.plan import FilesLook

_NOBODY = ""  # the job of a look: what lies there is somebody else's


@contextmanager
def open_target(
    held: HeldLease, order: ExtractOrder, grounds: Grounds, chance: Chance
) -> Iterator[FileTarget]:
    """Raises TargetRefused for a directory outside of what this agent may restore into."""
    url = order.target_url
    if not url:
        directory = DirectoryTarget(grounds.allow(order.target_directory), order.job_id)
        try:
            yield directory
        except LeaseLost:
            raise  # another attempt may be writing there
        except VaultError:
            directory.give_up()
            raise
    elif url.startswith("s3:"):
        with closing(S3Target(held, url, order.target_endpoint, order.job_id)) as bucket:
            yield bucket
    else:
        with closing(AzureTarget(held, url, order.job_id, chance)) as container:
            yield container


@contextmanager
def look_into(
    held: HeldLease, files: FilesLook, chance: Chance
) -> Iterator[S3Target | AzureTarget]:
    """A container or a bucket that is looked into; asked once, for somebody waits."""
    target: S3Target | AzureTarget
    if files.url.startswith("s3:"):
        target = S3Target(held, files.url, files.endpoint, _NOBODY, tries=1)
    else:
        target = AzureTarget(held, files.url, _NOBODY, chance, tries=1)
    with closing(target):
        yield target
