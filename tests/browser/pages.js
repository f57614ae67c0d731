// Pages of other servers in Chromium, headless: which of them may call the service, with which headers, and what they may read.
//
// usage: CHROMIUM=/usr/bin/chromium node pages.js target/debug/quotagraph

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { resolve } from "node:path";
import { chromium } from "playwright-core";
import { startService } from "../subscriptions/service.js";

const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
// Names that an attacker, a portal and the service itself could have; all of them are this machine here.
const NAMES = ["evil.example", "portal.example", "a.portal.example", "quota.example"];

const HEADERS = {
  "apollographql-client-name": "portal",
  "apollographql-client-version": "1",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  baggage: "a=b",
  "sentry-trace": "1-2",
  "x-request-id": "7",
  "X-Whatever": "it is",
};

/** In a page: what a fetch gives, or that the browser keeps it from the page. */
async function fetchInPage([url, options]) {
  try {
    const response = await fetch(url, options);
    return { status: response.status, etag: response.headers.get("etag"), text: await response.text() };
  } catch (error) {
    return { blocked: error.name };
  }
}

/** In a page: whether a WebSocket opens. */
function connectInPage(url) {
  return new Promise((done) => {
    const socket = new WebSocket(url, "graphql-transport-ws");
    socket.onopen = () => done(true);
    socket.onerror = () => done(false);
  });
}

const post = (headers = {}) => ({
  method: "POST",
  headers: { "Content-Type": "application/json", ...headers },
  body: JSON.stringify({ query: "{ tenants(first: 1) { totalCount } }" }),
});
const ANSWER = '{"data":{"tenants":{"totalCount":2}}}';

const tests = {
  async "pages of allowed origins may call with whatever headers they like, and read answers and errors"({ open, graphql, base }) {
    for (const host of ["portal.example", "a.portal.example"]) {
      const page = await open(host);
      const answer = await page.evaluate(fetchInPage, [graphql, post(HEADERS)]);
      assert.deepEqual([answer.status, answer.text], [200, ANSWER], host);
      const got = await page.evaluate(fetchInPage, [`${graphql}?query={__typename}`, { headers: { ...HEADERS } }]);
      assert.equal(got.status, 200);
      assert.match(got.etag, /^"/);
      assert.equal((await page.evaluate(fetchInPage, [`${base}/no/such/route`, {}])).status, 404);
      assert.equal((await page.evaluate(fetchInPage, [graphql, { method: "POST", body: "{}" }])).status, 415);
      assert.equal((await page.evaluate(fetchInPage, [graphql, post({ "Content-Type": "application/json;charset=utf-16" })])).status, 415);
      assert.equal(await page.evaluate(connectInPage, graphql.replace("http", "ws")), true);
    }
  },

  async "other pages may neither call nor read nor connect"({ open, graphql, base, requests }) {
    const before = await requests();
    const page = await open("evil.example");
    const calls = [[graphql, post()], [graphql, post({ "X-Api-Key": "k" })], [`${graphql}?query={__typename}`, {}], [`${base}/metrics`, {}]];
    for (const [url, options] of calls) {
      assert.deepEqual(await page.evaluate(fetchInPage, [url, options]), { blocked: "TypeError" }, url);
    }
    // What a page may send without asking, though it cannot read what comes of it.
    await page.evaluate(fetchInPage, [graphql, { method: "POST", mode: "no-cors", body: post().body }]);
    await page.evaluate(fetchInPage, [`${graphql}?query={__typename}`, { mode: "no-cors" }]);
    assert.equal(await page.evaluate(connectInPage, graphql.replace("http", "ws")), false);
    assert.equal(await requests(), before, "requests that were executed");
  },

  async "a page by a name of its own for our address gets nothing"({ browser, port, requests }) {
    const before = await requests();
    const page = await browser.newPage();
    for (const path of ["/graphql?query={__typename}", "/graphiql", "/metrics", "/v1/export/usage"]) {
      const response = await page.goto(`http://evil.example:${port}${path}`);
      assert.equal(response.status(), 421, path);
    }
    // The browser takes page and service for one server now.
    const answer = await page.evaluate(fetchInPage, ["/graphql", post()]);
    assert.equal(answer.status, 421);
    assert.equal(await page.evaluate(connectInPage, `ws://evil.example:${port}/graphql`), false);
    assert.equal(await requests(), before, "requests that were executed");
  },

  async "a host that is named may be called, and its page is the service's own"({ browser, port }) {
    const page = await browser.newPage();
    assert.equal((await page.goto(`http://quota.example:${port}/graphiql`)).status(), 200);
    assert.equal((await page.evaluate(fetchInPage, ["/graphql", post()])).text, ANSWER);
    assert.equal(await page.evaluate(connectInPage, `ws://quota.example:${port}/graphql`), true);
  },

  async "GraphiQL works under a path of a proxy that passes on neither upgrades nor hosts"({ browser, port }) {
    const proxy = startPlainProxy(port);
    await once(proxy, "listening");
    for (const host of ["127.0.0.1", "quota.example"]) {
      const page = await (await browser.newContext()).newPage();
      page.setDefaultTimeout(60_000);
      await page.goto(`http://${host}:${proxy.address().port}/quota/graphiql`);
      await page.locator(".graphiql-tab-button", { hasText: "Changes" }).click();
      await page.waitForFunction(() => {
        const state = JSON.parse(localStorage.getItem("graphiql:tabState") ?? "null");
        return state?.tabs[state.activeTabIndex].operationName === "Changes";
      });
      await page.locator(".graphiql-execute-button").click();
      await page.locator(".result-window").filter({ hasText: "recordedAt" }).waitFor();
      await page.locator(".graphiql-execute-button").click();
      await page.close();
    }
    proxy.close();
    proxy.closeAllConnections();
  },
};

/**
 * A proxy as nginx and Apache are by default: it puts a path in front, calls the service by its address, and passes on neither the host by which
 * it was called nor upgrades.
 */
function startPlainProxy(servicePort) {
  const proxy = createServer((incoming, outgoing) => {
    const headers = { ...incoming.headers, host: `127.0.0.1:${servicePort}`, connection: "close" };
    delete headers.upgrade;
    const path = incoming.url.replace(/^\/quota/, "");
    const passed = request({ host: "127.0.0.1", port: servicePort, method: incoming.method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on("error", () => outgoing.destroy());
    outgoing.on("close", () => passed.destroy());
    incoming.pipe(passed);
  });
  // Without a listener for upgrades they are requests like any other.
  proxy.listen(0, "127.0.0.1");
  return proxy;
}

const pages = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<!doctype html><title>a page</title>"));
pages.listen(0, "127.0.0.1");
await once(pages, "listening");
const pagesPort = pages.address().port;
const allowed = [`http://portal.example:${pagesPort}`, `http://*.portal.example:${pagesPort}`];
const settings = `cors.allowed_origins = ${JSON.stringify(allowed)}\nserver.hosts = ["quota.example"]\n`;
const service = await startService(resolve(process.argv[2]), 2, settings);
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const args = [...QUIET, `--host-resolver-rules=${NAMES.map((name) => `MAP ${name} 127.0.0.1`).join(",")}`];
if (process.getuid() === 0) args.push("--no-sandbox");
let failed = 0;
try {
  const browser = await chromium.launch({ executablePath, args });
  const base = `http://127.0.0.1:${service.port}`;
  const open = async (host) => {
    const page = await browser.newPage();
    await page.goto(`http://${host}:${pagesPort}/`);
    return page;
  };
  const requests = async () => (await (await fetch(`${base}/metrics`)).text()).match(/^quotagraph_graphql_requests_total \d+$/m)[0];
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test({ browser, open, base, graphql: `${base}/graphql`, port: service.port, requests });
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
  }
  await browser.close();
} finally {
  await service.end();
  pages.close();
}
console.log(`\n${Object.keys(tests).length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
