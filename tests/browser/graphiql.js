// Opens /graphiql of a demo in Chromium, headless: it must work, and ask nobody but the service.
//
// usage: CHROMIUM=/usr/bin/chromium node graphiql.js target/debug/quotagraph

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chromium } from "playwright-core";

const PATIENCE_MS = 60_000; // after this a test is a failure
// Without these the browser calls its maker; as root it has no sandbox.
const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const tests = {
  async "the page and all that it loads come from the service"({ page, seen, origin }) {
    await page.locator(".graphiql-execute-button").waitFor();
    assert.ok(seen.urls.length >= 6, `the page, its styles and its scripts: ${seen.urls}`);
    assert.deepEqual(seen.urls.filter((url) => new URL(url).origin !== origin), []);
  },

  async "the first tab's query answers with the quota"({ page }) {
    const answer = await runQuery(page);
    const { allocated, total, utilization } = answer.data.tenant.spaceAllocation;
    assert.equal(utilization, allocated / total);
  },

  async "the other tabs' queries answer without errors"({ page }) {
    await turnTo(page, "Tenants");
    const { tenants } = (await runQuery(page)).data;
    assert.equal(tenants.nodes.length, 3);
    assert.equal(tenants.totalCount, 3);
    await turnTo(page, "Usage");
    const usage = (await runQuery(page)).data.tenant.usageOverTime;
    assert.ok(usage.coverage > 0 && usage.points.length > 20, JSON.stringify(usage.points));
  },

  async "the documentation shows the schema"({ page }) {
    await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
    const explorer = page.locator(".graphiql-doc-explorer");
    await explorer.getByText("Query", { exact: true }).click();
    await explorer.getByText("tenants", { exact: true }).waitFor();
  },

  async "a subscription shows changes as they come"({ page }) {
    await turnTo(page, "Changes");
    await page.locator(".graphiql-execute-button").click();
    await page.locator(".result-window").filter({ hasText: "recordedAt" }).waitFor();
    await page.locator(".graphiql-execute-button").click();
  },

  async "nothing went wrong and nobody else was asked"({ seen, origin }) {
    assert.deepEqual(seen.problems, []);
    assert.deepEqual(seen.urls.filter((url) => new URL(url.replace(/^ws/, "http")).origin !== origin), []);
  },
};

/** Turns to a tab. GraphiQL notices a moment later which operation it holds, and keeps that in the browser's storage. */
async function turnTo(page, name) {
  await page.locator(".graphiql-tab-button", { hasText: name }).click();
  await page.waitForFunction((name) => {
    const state = JSON.parse(localStorage.getItem("graphiql:tabState") ?? "null");
    return state?.tabs[state.activeTabIndex].operationName === name;
  }, name);
}

/** Runs the query that is open with the button, and gives the answer. */
async function runQuery(page) {
  // GraphiQL also asks for the schema.
  const answered = page.waitForResponse((response) => /"query":(?!.*__schema)/.test(response.request().postData() ?? ""));
  await page.locator(".graphiql-execute-button").click();
  const answer = await (await answered).json();
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  await page.locator(".result-window").filter({ hasText: "utilization" }).waitFor();
  return answer;
}

/** Starts a demo and waits until it is ready. */
async function startDemo(binary) {
  const demo = spawn(binary, ["demo", "--tenants", "3", "--days", "7", "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  for await (const part of demo.stdout) {
    printed += part;
    const address = /GraphiQL +(http:\S+)[^]*Ctrl-C ends it/.exec(printed)?.[1];
    if (address) return { demo, address };
  }
  throw new Error(`the demo ended before it was ready: ${printed}`);
}

/** Opens the page, and notes what it asks for and what goes wrong. */
async function openPage(browser, address) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const seen = { urls: [], problems: [] };
  const note = (problem) => seen.problems.push(problem);
  // What stands in the page itself (data:, blob:) is no request.
  page.on("request", (request) => /^(http|ws)/.test(request.url()) && seen.urls.push(request.url()));
  page.on("websocket", (socket) => seen.urls.push(socket.url()));
  page.on("requestfailed", (request) => note(`${request.url()}: ${request.failure()?.errorText}`));
  page.on("response", (response) => response.status() >= 400 && note(`${response.url()}: ${response.status()}`));
  page.on("pageerror", (error) => note(`${error}`));
  page.on("console", (message) => message.type() === "error" && note(message.text()));
  await page.goto(address);
  return { page, seen, origin: new URL(address).origin };
}

async function runTests(opened) {
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test(opened);
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
  }
  return failed;
}

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const args = process.getuid() === 0 ? [...QUIET, "--no-sandbox"] : QUIET;
const { demo, address } = await startDemo(process.argv[2]);
let failed;
try {
  const browser = await chromium.launch({ executablePath, args });
  failed = await runTests(await openPage(browser, address));
  await browser.close();
} finally {
  const ended = once(demo, "exit");
  demo.kill("SIGINT");
  const [code] = await ended;
  assert.equal(code, 0, "the demo's exit code");
}
console.log(`\n${Object.keys(tests).length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
