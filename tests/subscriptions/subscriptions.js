// Subscribes with graphql-ws and graphql-sse while values change and connections break at random, and compares the events with the recorded
// snapshots. The program is the first argument; by default it is the debug build. Closes with a line that counts.

import { isDeepStrictEqual } from "node:util";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient as createSseClient } from "graphql-sse";
import { createClient as createWsClient } from "graphql-ws";
import WebSocket from "ws";
import { checkComingBack } from "./coming_back.js";
import { startService } from "./service.js";
import { openWay } from "./way.js";

const DISCONNECTS = 100;
const TENANTS = 4;
const PATIENCE_MS = 60_000;

// Its services run in folders of their own.
const program = resolve(process.argv[2] ?? fileURLToPath(new URL("../../target/debug/quotagraph", import.meta.url)));

const CHANGES = `subscription Changes($since: DateTime) {
  spaceAllocationChanged(since: $since) { tenant { id } before { allocated } after { allocated observedAt } recordedAt }
}`;
const SNAPSHOTS = "query($id: ID!) { tenant(id: $id) { snapshots(first: 1000) { nodes { allocated } pageInfo { hasNextPage } } } }";
const REFRESH = "mutation($id: ID!) { refreshSpaceAllocation(tenantId: $id) { allocated } }";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const CLIENTS = {
  "graphql-ws": (port) => createWsClient({ url: `ws://127.0.0.1:${port}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0 }),
  "graphql-sse": (port) => createSseClient({ url: `http://127.0.0.1:${port}/graphql`, singleConnection: false, retryAttempts: 0 }),
};

/** Follows the changes over a way that breaks, and goes on after the last event by what `placeOf` gives of it. */
async function follow(clientName, port, placeOf) {
  const way = await openWay(port);
  const reader = { events: [], faults: [], connections: 0, breaks: 0, over: false };
  const subscribe = (client, since) =>
    new Promise((resolve) => {
      client.subscribe({ query: CHANGES, variables: { since } }, {
        next: ({ data, errors }) => {
          if (errors) reader.faults.push(JSON.stringify(errors));
          else reader.events.push(data.spaceAllocationChanged);
        },
        error: resolve,
        complete: () => {
          reader.faults.push("a subscription was completed");
          resolve();
        },
      });
    });
  reader.running = (async () => {
    while (!reader.over) {
      const since = reader.events.length === 0 ? "2000-01-01T00:00:00Z" : placeOf(reader.events.at(-1));
      reader.connections += 1;
      const client = CLIENTS[clientName](way.port);
      // Ends when the connection breaks; there is nothing left to dispose of then.
      await subscribe(client, since);
    }
  })();
  reader.breakOff = () => {
    reader.breaks += 1;
    way.breakAll();
  };
  reader.end = async () => {
    reader.over = true;
    way.close();
    await reader.running;
  };
  return reader;
}

/** Breaks a reader's connections at random moments. */
async function breakAtRandom(reader) {
  while (reader.breaks < DISCONNECTS) {
    await pause(5 + Math.random() * 50);
    reader.breakOff();
  }
}

/** The changes of each tenant that the snapshots tell. */
async function recordedChanges(service) {
  const changes = {};
  for (const id of service.ids) {
    const { snapshots } = (await service.ask(SNAPSHOTS, { id })).tenant;
    if (snapshots.pageInfo.hasNextPage) throw new Error("there are more snapshots than one page holds");
    const values = snapshots.nodes.map((snapshot) => snapshot.allocated);
    changes[id] = values.filter((value, i) => i === 0 || value !== values[i - 1]);
  }
  return changes;
}

const checks = [];
const check = (name, fault) => {
  checks.push(!fault);
  if (fault) console.log(`failed: ${name}: ${fault}`);
};

async function checkQueries(port) {
  for (const [name, create] of Object.entries(CLIENTS)) {
    const client = create(port);
    const ask = async (query) => {
      for await (const answer of client.iterate({ query })) return answer;
    };
    const good = await ask("{ tenants { totalCount } }");
    check(`${name} answers a query`, good.data?.tenants?.totalCount !== TENANTS && JSON.stringify(good));
    const bad = await ask('subscription { spaceAllocationChanged(tenantId: "nobody") { recordedAt } }');
    check(`${name} tells errors`, bad.errors?.[0]?.extensions?.code !== "BAD_USER_INPUT" && JSON.stringify(bad));
    await client.dispose();
  }
}

async function checkChanges(service) {
  const readers = {
    "graphql-ws by after.observedAt": await follow("graphql-ws", service.port, (event) => event.after.observedAt),
    "graphql-sse by after.observedAt": await follow("graphql-sse", service.port, (event) => event.after.observedAt),
    "graphql-ws by recordedAt": await follow("graphql-ws", service.port, (event) => event.recordedAt),
  };
  const breaking = Promise.all(Object.values(readers).map(breakAtRandom));
  let broken = false;
  breaking.then(() => (broken = true));
  for (let value = 1; !broken; value += 1) {
    const id = service.ids[Math.floor(Math.random() * TENANTS)];
    await service.setValue(id, value);
    await service.ask(REFRESH, { id });
    await pause(Math.random() * 10);
  }
  const expected = await recordedChanges(service);
  const count = Object.values(expected).flat().length;
  const deadline = Date.now() + PATIENCE_MS;
  for (const [name, reader] of Object.entries(readers)) {
    while (reader.events.length < count && Date.now() < deadline) await pause(5);
    // Whatever comes twice would come now.
    await reader.end();
    const met = Object.fromEntries(service.ids.map((id) => [id, []]));
    for (const event of reader.events) met[event.tenant.id].push(event.after.allocated);
    const faults = [...reader.faults];
    if (!isDeepStrictEqual(met, expected)) {
      faults.push(`${reader.events.length} events for ${count} changes:\n${JSON.stringify(met)}\n${JSON.stringify(expected)}`);
    }
    check(name, faults.join("\n"));
    console.log(`${name}: ${reader.events.length} events over ${reader.connections} connections`);
  }
}

const service = await startService(program, TENANTS);
try {
  await checkQueries(service.port);
  await checkChanges(service);
} finally {
  await service.end();
}
await checkComingBack(program, check);
const passed = checks.filter(Boolean).length;
console.log(`${passed} passed, ${checks.length - passed} failed`);
process.exitCode = passed === checks.length ? 0 : 1;
