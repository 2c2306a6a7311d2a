"""Every list of the SDK's, page by page, whichever version of it this process finds.

Run with "sync" or "async", and LISTS in the environment, JSON of [group, method, arguments]: the
ids on each page of each go out. An argument that is an object names the model that it is made of.
"""

import asyncio
import json
import os
import sys
from typing import Any

from azure.mgmt.dataprotection import models
from azure.mgmt.dataprotection._version import VERSION

import sdk_flow

Told = list[list[str]]


def asked(client: Any, group: str, method: str, told: list[Any]) -> Any:
    given = [
        getattr(models, each["model"])(**each["of"]) if isinstance(each, dict) else each
        for each in told
    ]
    return getattr(getattr(client, group), method)(*given).by_page()


def main(lists: dict[str, Any]) -> dict[str, Told]:
    with sdk_flow.sync_client() as client:
        return {
            name: [[each.id for each in page] for page in asked(client, *of)]
            for name, of in lists.items()
        }


async def main_async(lists: dict[str, Any]) -> dict[str, Told]:
    found: dict[str, Told] = {}
    async with sdk_flow.async_client() as client:
        for name, of in lists.items():
            found[name] = []
            async for page in asked(client, *of):
                found[name].append([each.id async for each in page])
    return found


if __name__ == "__main__":
    wanted = json.loads(os.environ["LISTS"])
    lists = asyncio.run(main_async(wanted)) if sys.argv[1] == "async" else main(wanted)
    print(json.dumps({"version": VERSION, "lists": lists}))
