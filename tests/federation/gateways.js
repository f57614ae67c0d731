// Asks the service through the gateways of an Apollo Federation, Hive's and Apollo's, beside a billing service that extends its tenants: queries
// across both, 500 entities in one request, error codes, credentials, how long answers may be kept, and subscriptions. The program is the first argument; by
// default it is the debug build. Closes with a line that counts.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { once } from "node:events";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { ApolloServer } from "@apollo/server";
import { ApolloServerPluginCacheControl } from "@apollo/server/plugin/cacheControl";
import { composeServices } from "@apollo/composition";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { createGatewayRuntime } from "@graphql-hive/gateway-runtime";
import { graphql, parse } from "graphql";
import { startService } from "../subscriptions/service.js";

const TENANTS = 500;
const PATIENCE_MS = 60_000;
const KEY = "a key of the portal that is long enough";
const KEY_SHA256 = "6539617351a0c4275a109265dc22256f2efc48fc843688038b9e651c5a5952f5";

const program = resolve(process.argv[2] ?? fileURLToPath(new URL("../../target/debug/quotagraph", import.meta.url)));

const BILLING = parse(`
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.5", import: ["@key", "@shareable"])
  type Query { invoices(first: Int!): [Invoice!]! @cacheControl(maxAge: 1000) }
  type Invoice @cacheControl(inheritMaxAge: true) { number: ID! tenant: Tenant! }
  type Tenant @key(fields: "id") @cacheControl(inheritMaxAge: true) { id: ID! plan: String! }
  type PageInfo @shareable { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
  directive @cacheControl(maxAge: Int, inheritMaxAge: Boolean) on FIELD_DEFINITION | OBJECT
`);

/** A subgraph with an invoice for each tenant. Its answers may be kept for 1000 seconds. */
async function startBilling(ids) {
  const plan = (id) => `plan of ${id}`;
  const resolvers = {
    Query: { invoices: (_, { first }) => ids.slice(0, first).map((id, place) => ({ number: String(place), tenant: { id, plan: plan(id) } })) },
    Tenant: { __resolveReference: ({ id }) => ({ id, plan: plan(id) }) },
  };
  const schema = buildSubgraphSchema({ typeDefs: BILLING, resolvers });
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    const { query, variables, operationName } = JSON.parse(body);
    const answer = await graphql({ schema, source: query, variableValues: variables, operationName });
    response.setHeader("content-type", "application/json").setHeader("cache-control", "max-age=1000");
    response.end(JSON.stringify(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}/graphql`, end: () => server.close() };
}

function compose(quotaUrl, billingUrl) {
  const quota = parse(execFileSync(program, ["schema", "--federation"], { encoding: "utf8" }));
  const { errors, supergraphSdl } = composeServices([
    { name: "quota", url: quotaUrl, typeDefs: quota },
    { name: "billing", url: billingUrl, typeDefs: BILLING },
  ]);
  if (errors) throw new AggregateError(errors, errors.join("\n"));
  return supergraphSdl;
}

/** Hive Gateway: what it answers to a document, and the events of a subscription. */
function openHive(supergraph) {
  const gateway = createGatewayRuntime({
    supergraph,
    logging: false,
    maskedErrors: false,
    propagateHeaders: { fromClientToSubgraphs: ({ request }) => ({ "x-api-key": request.headers.get("x-api-key") ?? "" }) },
  });
  const send = (query, key, accept, signal) => {
    const headers = { "content-type": "application/json", accept, ...(key ? { "x-api-key": key } : {}) };
    return gateway.fetch("http://gateway/graphql", { method: "POST", headers, body: JSON.stringify({ query }), signal });
  };
  const ask = async (query, key) => (await send(query, key, "application/json")).json();
  /** Takes so many events of a subscription, or all when it ends before. */
  const subscribe = async (query, key, count, begun = () => {}) => {
    const end = new AbortController();
    const response = await send(query, key, "text/event-stream", end.signal);
    begun();
    const events = [];
    let text = "";
    for await (const chunk of response.body) {
      text += Buffer.from(chunk).toString();
      const pieces = text.split("\n\n");
      text = pieces.pop();
      for (const piece of pieces) {
        const data = piece.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("");
        if (/^event: *next/m.test(piece)) events.push(JSON.parse(data));
      }
      if (events.length >= count) break;
    }
    end.abort();
    return events;
  };
  return { ask, subscribe, end: () => gateway[Symbol.asyncDispose]() };
}

/** Apollo's gateway in Apollo's server. */
async function openApollo(supergraphSdl) {
  const buildService = ({ url }) =>
    new RemoteGraphQLDataSource({ url, willSendRequest: ({ request, context }) => context.key && request.http.headers.set("x-api-key", context.key) });
  const gateway = new ApolloGateway({ supergraphSdl, buildService, logger: { debug() {}, info() {}, warn() {}, error() {} } });
  const server = new ApolloServer({ gateway, plugins: [ApolloServerPluginCacheControl({ defaultMaxAge: 1000 })] });
  await server.start();
  const execute = async (query, key) => {
    const { body, http } = await server.executeOperation({ query }, { contextValue: { key } });
    return { answer: JSON.parse(JSON.stringify(body.singleResult)), headers: http.headers };
  };
  return { execute, ask: async (query, key) => (await execute(query, key)).answer, end: () => server.stop() };
}

const ACROSS = `{ invoices(first: ${TENANTS}) { number tenant { id plan name spaceAllocation { allocated total } } } }`;
const PARTLY = `{ invoices(first: 2) { tenant { id plan spaceAllocation { total } usageOverTime(from: "yesterday") { coverage } } } }`;
const QUOTA = (id) => `{ tenant(id: "${id}") { plan spaceAllocation { allocated } } }`;

const codes = (answer) => (answer.errors ?? []).map((error) => error.extensions?.code);

/** What holds of both gateways. */
async function checkQueries({ ask }, ids) {
  const whole = await ask(ACROSS, KEY);
  assert.equal(whole.errors, undefined, JSON.stringify(whole.errors?.slice(0, 2)));
  assert.deepEqual(whole.data.invoices.map(({ tenant }) => tenant.id), ids);
  for (const { tenant } of whole.data.invoices) {
    assert.deepEqual([tenant.plan, tenant.spaceAllocation], [`plan of ${tenant.id}`, { allocated: 0, total: 1000 }]);
    assert.ok(tenant.name.length > 0);
  }

  const partly = await ask(PARTLY, KEY);
  assert.deepEqual([...new Set(codes(partly))], ["BAD_USER_INPUT"], JSON.stringify(partly));
  assert.match(partly.errors[0].message, /from: "yesterday" is not a date and time/);
  const one = { spaceAllocation: { total: 1000 }, usageOverTime: null };
  assert.deepEqual(partly.data.invoices.map(({ tenant }) => tenant), ids.slice(0, 2).map((id) => ({ id, plan: `plan of ${id}`, ...one })));

  for (const key of [undefined, "another key"]) {
    const refused = await ask(QUOTA(ids[0]), key);
    assert.deepEqual(codes(refused), ["UNAUTHENTICATED"], JSON.stringify(refused));
    assert.equal(refused.data?.tenant ?? null, null);
  }
}

const CHANGES = (since) => `subscription { spaceAllocationChanged(tenantId: "@", since: "${since}") {
  tenant { id plan } after { allocated } recordedAt } }`;

async function checkSubscriptions({ subscribe }, service) {
  const [id] = service.ids;
  const refresh = `mutation { refreshSpaceAllocation(tenantId: "${id}") { allocated } }`;
  for (const allocated of [11, 12, 13]) {
    await service.setValue(id, allocated);
    await service.ask(refresh);
  }
  const asked = (since) => CHANGES(since).replace("@", id);
  const values = (events) => events.map((event) => event.data?.spaceAllocationChanged?.after.allocated ?? event);
  const past = await subscribe(asked("2000-01-01T00:00:00Z"), KEY, 4);
  assert.deepEqual(values(past), [0, 11, 12, 13]);
  assert.deepEqual(past[1].data.spaceAllocationChanged.tenant, { id, plan: `plan of ${id}` }, "of both subgraphs");

  // From where it was left on, and live.
  const later = subscribe(asked(past[2].data.spaceAllocationChanged.recordedAt), KEY, 2);
  await service.setValue(id, 14);
  await service.ask(refresh);
  assert.deepEqual(values(await later), [13, 14]);

  for (const [query, key, code] of [
    [asked("yesterday"), KEY, "BAD_USER_INPUT"],
    [CHANGES("2000-01-01T00:00:00Z").replace("@", "nobody"), KEY, "BAD_USER_INPUT"],
    [asked("2000-01-01T00:00:00Z"), undefined, "UNAUTHENTICATED"],
  ]) {
    const events = await subscribe(query, key, Infinity);
    assert.deepEqual(events.flatMap(codes), [code], JSON.stringify(events));
  }
}

async function checkKeeping({ execute }, ids) {
  const policy = async (query) => (await execute(query, KEY)).headers.get("cache-control");
  // The answer is fresh for six minutes from when it was observed.
  const quota = await policy(`{ tenant(id: "${ids[1]}") { spaceAllocation { allocated } } }`);
  const age = Number(quota?.match(/^max-age=(\d+), private$/)?.[1]);
  assert.ok(age > 0 && age <= 360, `cache-control: ${quota}`);
  assert.equal(await policy(`{ tenant(id: "${ids[1]}") { collection { consecutiveFailures } } }`), "no-store");
}

const settings = `
auth.mode = "keys"
auth.keys = [{ name = "portal", sha256 = "${KEY_SHA256}", tenants = ["*"], roles = ["READ", "REFRESH"] }]
`;
setTimeout(() => { console.error("not done in time"); process.exit(1); }, 4 * PATIENCE_MS).unref();
const service = await startService(program, TENANTS, settings, { credentials: { "x-api-key": KEY } });
const billing = await startBilling(service.ids);
const supergraph = compose(`http://127.0.0.1:${service.port}/graphql`, billing.url);
const [hive, apollo] = [openHive(supergraph), await openApollo(supergraph)];
let passed = 0;
let failed = 0;
for (const [name, check] of [
  ["queries through Hive Gateway", () => checkQueries(hive, service.ids)],
  ["queries through Apollo's gateway", () => checkQueries(apollo, service.ids)],
  ["how long Apollo's gateway lets an answer be kept", () => checkKeeping(apollo, service.ids)],
  ["subscriptions through Hive Gateway", () => checkSubscriptions(hive, service)],
]) {
  try {
    await check();
    passed += 1;
    console.log(`ok: ${name}`);
  } catch (fault) {
    failed += 1;
    console.error(`FAILED: ${name}: ${fault.stack}`);
  }
}
await hive.end();
await apollo.end();
billing.end();
await service.end();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
