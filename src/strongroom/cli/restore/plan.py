"""Say what a restore would do."""

from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.points.points import PointId, choose
from strongroom.cli.restore.files_option import FILES, Files
from strongroom.cli.restore.load import choose_logical, load_request
from strongroom.cli.restore.moment_option import MOMENT, MomentOptions, with_moment
from strongroom.cli.restore.parts import read_wish
from strongroom.cli.restore.plan_text import ask_plan, show
from strongroom.cli.restore.restore_options import (
    Database,
    Directory,
    InPlace,
    Rename,
    Table,
    Tablespaces,
    ToServer,
    mapping_of,
    request_of,
)


def plan(  # noqa: PLR0913 - an option each
    name: str,
    /,
    *,
    point: PointId = "",
    moment: MomentOptions = MOMENT,
    to_dir: Directory = None,
    in_place: InPlace = False,
    database: Database = "",
    table: Table = "",
    rename: Rename = "",
    files: Files = FILES,
    to_server: ToServer = "",
    tablespace: Tablespaces = None,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Say what a restore would read, write and take, and what stands in its way.

    Nothing is changed. The agent looks at the target, if it answers within ten seconds; the time
    is told from what the same agent did before.

    ```
    strongroom plan orders
    strongroom plan orders --to-dir /srv/restore
    strongroom plan orders --to-dir /srv/part --database shop --table public.item
    strongroom plan orders --at 2026-11-26T21:04:05Z
    strongroom plan orders --in-place
    strongroom plan orders --to-server reports
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        if to_server and not database:
            asked = load_request(vault, choose_logical(vault, name, point), to_server, {})
        else:
            wish = read_wish(
                (to_dir, files, to_server), database, table, rename, in_place=in_place
            )
            chosen = "" if moment.is_given else choose(vault, name, point)["id"]
            asked = request_of(vault, name, chosen, wish, mapping_of(tablespace), plan=True)
            asked = with_moment(asked, moment)
        made = ask_plan(vault, name, asked)
    show(made, common)
