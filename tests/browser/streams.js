// Streams of events and WebSockets of one page in Chromium, headless, over the service's own TLS: browsers open six connections to a server by
// HTTP/1.1, and hang whatever comes after them. By HTTP/2 all of a page's streams share one.
//
// usage: CHROMIUM=/usr/bin/chromium node streams.js target/debug/quotagraph

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";
import { startService } from "../subscriptions/service.js";

const STREAMS = 12;
const PATIENCE_MS = 30_000;
const SETTINGS = 'server.tls = { certificate_file = "certificate.pem", key_file = "key.pem" }\n';
const CHANGES = "subscription { spaceAllocationChanged { tenant { id } after { allocated } } }";

function makeCertificate() {
  const folder = mkdtempSync(join(tmpdir(), "quotagraph-certificate-"));
  const [key, certificate] = ["key.pem", "certificate.pem"].map((name) => join(folder, name));
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  execFileSync("openssl", ["req", "-x509", ...kind, ...names, "-keyout", key, "-out", certificate], { stdio: "pipe" });
  const files = { "key.pem": readFileSync(key, "utf8"), "certificate.pem": readFileSync(certificate, "utf8") };
  rmSync(folder, { recursive: true });
  return files;
}

/** In a page: opens so many streams of events and a WebSocket, and gives once all of them are open. */
async function openInPage([count, document]) {
  window.events = Array.from({ length: count }, () => []);
  const open = window.events.map((events, place) => {
    const source = new EventSource(`/graphql?${new URLSearchParams({ query: document })}`);
    source.addEventListener("next", (event) => events.push(JSON.parse(event.data)));
    window.sources = [...(window.sources ?? []), source];
    return new Promise((done, failed) => {
      source.onopen = done;
      source.onerror = () => failed(new Error(`stream ${place} did not open`));
    });
  });
  const socket = new WebSocket(`wss://${location.host}/graphql`, "graphql-transport-ws");
  const acknowledged = new Promise((done, failed) => {
    socket.onopen = () => socket.send('{"type":"connection_init"}');
    socket.onmessage = ({ data }) => done(JSON.parse(data).type);
    socket.onerror = () => failed(new Error("the socket did not open"));
  });
  await Promise.all(open);
  return acknowledged;
}

/** In a page: the answer to a document, and over which protocol it came. */
async function askInPage(query) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ query }) };
  const answer = await (await fetch("/graphql", options)).json();
  const protocols = performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/graphql"));
  return { answer, protocol: protocols.at(-1).nextHopProtocol };
}

async function check(page, service) {
  assert.equal(await page.evaluate(openInPage, [STREAMS, CHANGES]), "connection_ack");
  const asked = await page.evaluate(askInPage, "{ __typename }");
  assert.deepEqual(asked, { answer: { data: { __typename: "Query" } }, protocol: "h2" });
  await service.setValue(service.ids[0], 7);
  const { answer } = await page.evaluate(askInPage, `mutation { refreshSpaceAllocation(tenantId: "${service.ids[0]}") { allocated } }`);
  assert.equal(answer.errors, undefined, JSON.stringify(answer));
  await page.waitForFunction(() => window.events.every((events) => events.length > 0));
  const events = await page.evaluate(() => window.events);
  const change = { tenant: { id: service.ids[0] }, after: { allocated: 7 } };
  for (const [place, received] of events.entries()) {
    assert.deepEqual(received, [{ data: { spaceAllocationChanged: change } }], `stream ${place}`);
  }
}

const service = await startService(resolve(process.argv[2]), 2, SETTINGS, { files: makeCertificate() });
const args = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
if (process.getuid() === 0) args.push("--no-sandbox");
try {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(`https://127.0.0.1:${service.port}/graphiql`);
  await check(page, service);
  await browser.close();
} finally {
  await service.end();
}
console.log(`ok      ${STREAMS} streams of events and a WebSocket of one page over HTTP/2, and queries beside them`);
