"""Asks and subscribes with the Python client gql, with its defaults: over a WebSocket by both of its libraries, and over HTTP.

Starts `quotagraph demo`. The program is the first argument; by default it is the debug build. gql takes the subprotocol that the server
chose from a header by its name in exact case, and else speaks Apollo's old protocol, which the service does not.
"""

import asyncio
import pathlib
import re
import subprocess
import sys
import threading

from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.websockets import WebsocketsTransport

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "target/debug/quotagraph")
PATIENCE_S = 60

QUERY = gql("{ tenant { id } }")
# The changes of the demo's past come at once.
SUBSCRIPTION = gql('subscription { spaceAllocationChanged(tenantId: "acme", since: "2020-01-01T00:00:00Z") { tenant { id } } }')


def start_demo():
    """The process and its address."""
    command = [PROGRAM, "demo", "--tenants", "2", "--days", "30", "--listen", "127.0.0.1:0"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(PATIENCE_S, demo.kill)
    watchdog.start()
    for line in demo.stdout:
        if found := re.search(r"127\.0\.0\.1:\d+(?=/graphql\b)", line):
            watchdog.cancel()
            threading.Thread(target=demo.stdout.read, daemon=True).start()
            return demo, found[0]
    raise SystemExit("the demo ended, or said no address in time")


async def check(transport, subscribes):
    """A query is answered, and a subscription has its first event."""
    async with Client(transport=transport, execute_timeout=PATIENCE_S) as session:
        answer = await session.execute(QUERY)
        assert answer == {"tenant": {"id": "acme"}}, answer
        if subscribes:
            async for event in session.subscribe(SUBSCRIPTION):
                assert event["spaceAllocationChanged"]["tenant"]["id"] == "acme", event
                break


def main():
    demo, address = start_demo()
    try:
        for transport, subscribes in (
            (WebsocketsTransport(url=f"ws://{address}/graphql"), True),
            (AIOHTTPWebsocketsTransport(url=f"ws://{address}/graphql"), True),
            (AIOHTTPTransport(url=f"http://{address}/graphql"), False),
        ):
            asyncio.run(asyncio.wait_for(check(transport, subscribes), PATIENCE_S))
            print(f"gql asks by {type(transport).__name__}" + (" and subscribes" if subscribes else ""))
    finally:
        demo.terminate()
        demo.wait(PATIENCE_S)


main()
