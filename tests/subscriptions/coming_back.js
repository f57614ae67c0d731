// Clients that come back by themselves: graphql-ws when its token has expired, and an EventSource that was cut off before its first event.

import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { EventSource } from "eventsource";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { startService } from "./service.js";
import { openWay } from "./way.js";

const KEY = "the key of the test";
const PATIENCE_MS = 60_000;
// The service allows clocks to differ by a minute.
const LEEWAY_S = 60;

const CHANGES = "subscription { spaceAllocationChanged { tenant { id } after { allocated } } }";
const REFRESH = "mutation($id: ID!) { refreshSpaceAllocation(tenantId: $id) { allocated } }";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");

const SETTINGS = `
[auth]
mode = "keys+jwt"
[[auth.keys]]
name = "test"
sha256 = "${createHash("sha256").update(KEY).digest("hex")}"
tenants = ["*"]
roles = ["ADMIN"]
[auth.jwt]
jwks_file = "jwks.json"
issuer = "https://idp.example"
audience = "quotagraph"
`;
const JWKS = JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k" }] });

/** A token that counts for so many seconds. */
function makeToken(seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) - LEEWAY_S + seconds;
  const claims = { iss: "https://idp.example", aud: "quotagraph", sub: "alice", exp, tenants: "*", roles: "READ" };
  const message = `${part({ alg: "EdDSA", kid: "k" })}.${part(claims)}`;
  return `${message}.${sign(null, Buffer.from(message), privateKey).toString("base64url")}`;
}

/** Waits until something holds; tells what did not come. */
async function until(what, holds) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function change(service, allocated) {
  await service.setValue(service.ids[0], allocated);
  await service.ask(REFRESH, { id: service.ids[0] });
}

async function checkExpiringToken(service) {
  const seen = { events: [], closes: [], faults: [], tokens: 0, acknowledged: 0 };
  const client = createClient({
    url: `ws://127.0.0.1:${service.port}/graphql`,
    webSocketImpl: WebSocket,
    // As the documents of the field have it: the headers within the payload.
    connectionParams: () => {
      seen.tokens += 1;
      return { headers: { Authorization: `Bearer ${makeToken(seen.tokens === 1 ? 3 : 600)}` } };
    },
    on: { closed: ({ code }) => seen.closes.push(code), connected: () => (seen.acknowledged += 1) },
  });
  client.subscribe({ query: CHANGES }, {
    next: ({ data, errors }) => (errors ? seen.faults.push(JSON.stringify(errors)) : seen.events.push(data.spaceAllocationChanged.after.allocated)),
    error: (error) => seen.faults.push(String(error?.reason ?? error)),
    complete: () => seen.faults.push("the subscription was completed"),
  });
  await until("the first connection", () => seen.acknowledged === 1);
  // A subscription is only known to have begun by its events.
  for (let value = 101; seen.events.length === 0; value += 1) await change(service, value);
  await until("the second connection", () => seen.acknowledged === 2);
  const before = seen.events.length;
  for (let value = 201; seen.events.length === before; value += 1) await change(service, value);
  const told = JSON.stringify({ ...seen, events: seen.events.length });
  await client.dispose();
  return (seen.faults.length > 0 || seen.tokens !== 2 || seen.closes[0] !== 4403) && told;
}

async function checkEventSource(service) {
  const way = await openWay(service.port);
  const [events, starts] = [[], []];
  const url = `http://127.0.0.1:${way.port}/graphql?query=${encodeURIComponent(CHANGES)}`;
  const source = new EventSource(url, {
    fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `ApiKey ${KEY}` } }),
  });
  source.addEventListener("next", ({ data }) => events.push(JSON.parse(data).data.spaceAllocationChanged.after.allocated));
  source.addEventListener("message", ({ lastEventId }) => starts.push(lastEventId));
  await until("the first id", () => starts.length === 1);
  way.breakAll();
  // Nobody listens now.
  await change(service, 301);
  await change(service, 302);
  await until("what happened meanwhile", () => events.length >= 2);
  await change(service, 303);
  await until("what happens after it", () => events.length >= 3);
  source.close();
  way.close();
  return JSON.stringify(events) !== "[301,302,303]" && JSON.stringify({ events, starts });
}

/** Runs both, and gives what `check` is told of each. */
export async function checkComingBack(program, check) {
  const service = await startService(program, 1, SETTINGS, {
    files: { "jwks.json": JWKS },
    credentials: { "x-api-key": KEY },
  });
  try {
    check("graphql-ws comes back with a new token when its own has expired", await checkExpiringToken(service));
    check("an EventSource that is cut off before its first event misses nothing", await checkEventSource(service));
  } finally {
    await service.end();
  }
}
