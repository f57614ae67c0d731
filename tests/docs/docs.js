// Runs every command and query of README.md and docs/*.md as it stands there, and compares the answers that they show. README.md here lists the
// rules. A block that no rule covers is a failure.
//
// usage: node docs.js target/debug/quotagraph [DOCUMENT…]

import { accessSync, constants, existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readBlocks } from "../proxies/blocks.js";
import { blocksOf, documents, read } from "./blocks.js";
import { compareCsv, compareJson, compareText, requireData } from "./compare.js";
import { checkLinks, checkSettings, checkWidth } from "./links.js";
import { openSite, start } from "./site.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const README_LINES = 130;
const PATIENCE_MS = 60_000;

/** Where the documents say that the demo is, and another replica: a demo on any port, and any port. */
const placed = (text, address) => text.replaceAll(/(127\.0\.0\.1|localhost):8080/g, address);
const anyPort = (text) => text.replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:0");

// A shell that waits for what it runs, and ends with its code, also when both of them are told to end.
const shell = (script, site, cwd) => start("bash", ["-euo", "pipefail", "-c", `trap : TERM INT\n${script}`], { cwd, env: site.env });

/** Runs a script to its end, which is good, and gives what it has printed. */
async function run(script, site, cwd) {
  const child = shell(script, site, cwd);
  const code = await child.closed;
  if (code !== 0) throw new Error(`it ended with ${code}:\n${child.text()}`);
  return child.printed.stdout;
}

/** Compares what came with the block after this one, if that shows an answer; an answer of GraphQL that is not shown must have data. */
function compareAnswer(came, next) {
  if (next?.mark === "answer") {
    const compare = { json: compareJson, csv: compareCsv, text: compareText }[next.language];
    if (!compare) throw new Error(`an answer in ${next.language} cannot be compared`);
    return compare(next.body, came, next.options.varies?.split(","));
  }
  if (/^\s*(\{"data"|\{"errors"|\[\{"data")/.test(came)) requireData(came);
}

// By the first two words of the info string. Each gets the block, the blocks after it in the document, the site, and the document's folder.
const rules = {
  /** The demo answers it. */
  async graphql({ body }, following, { address }) {
    const variables = following[0]?.mark === "variables" ? JSON.parse(following.shift().body) : undefined;
    const headers = { "content-type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify({ query: body, variables }), signal: AbortSignal.timeout(PATIENCE_MS) };
    const answer = await fetch(`http://${address}/graphql`, request);
    compareAnswer(await answer.text(), following[0]);
  },

  /** Bash runs it, with the program in the PATH and a config for simulated tenants. */
  async sh({ body }, following, site, folder) {
    compareAnswer(await run(placed(body, site.address), site, folder), following[0]);
  },

  /** What the first event looks like. */
  async "sh stream"({ body }, following, site, folder) {
    const child = shell(placed(body, site.address), site, folder);
    const [event] = await child.until(/^event: next\n[^]*?\n(?=\n)/m);
    await child.end("SIGKILL");
    compareAnswer(event, following[0]);
  },

  /** A service that says that it is ready, and ends well. */
  async "sh until-ready"({ body }, _, site, folder) {
    const child = shell(anyPort(body), site, folder);
    const [, address] = await child.until(/ serving address=(127\.0\.0\.1:\d+)/);
    const deadline = Date.now() + PATIENCE_MS;
    while ((await fetch(`http://${address}/readyz`, { signal: AbortSignal.timeout(PATIENCE_MS) })).status !== 200) {
      if (Date.now() > deadline) throw new Error(`it is not ready:\n${child.text()}`);
      await new Promise((done) => setTimeout(done, 50));
    }
    const code = await child.end("SIGTERM");
    if (code !== 0) throw new Error(`it ended with ${code}:\n${child.text()}`);
  },

  /** A program that prints a config and runs on. */
  async "sh until-printed"({ body }, _, site) {
    const child = shell(`${body.trim()} --listen 127.0.0.1:0`, site, site.empty());
    await child.until(/^\[\[tenants\]\]$[^]*^export /m);
    await child.end("SIGINT");
  },

  /** The demo that is asked, which the site has started by `demo` alone. */
  "sh demo"({ body }) {
    if (body !== "cargo run --release -- demo\n") throw new Error("this is not how the demo of these tests is started");
  },

  /** Not run here: builds, and what takes other software. What is named must be there. */
  "sh elsewhere"({ body }) {
    for (const line of body.trim().split("\n")) {
      const [program, ...args] = line.replace(/ +#.*/, "").split(" ");
      if (program.includes("/")) accessSync(join(ROOT, program), constants.X_OK);
      else if (program === "docker" && args[0] === "compose") accessSync(join(ROOT, "docker-compose.yml"));
      else throw new Error(`nothing is known about ${line}`);
    }
  },

  /** A config that is accepted; of the simulated tenants unless it has some. */
  async "toml config"({ body }, _, site) {
    await run("quotagraph sign acme", site, site.folder(body));
  },

  /** A file of the commands that follow. */
  "csv samples.csv": ({ body }, _, __, folder) => writeFileSync(join(folder, "samples.csv"), body),

  /** The map of the modules. */
  "text map": () => {},
};

/** The blocks that other tests run: those of the databases in tests/it, those of the proxies in tests/proxies. */
function isTestedElsewhere({ where, language, mark, body }) {
  if (where.startsWith("docs/SQL.md:")) {
    const marks = { sql: ["", "postgres", "sqlite", "grafana", "role"], sh: ["postgres"] };
    return marks[language]?.includes(mark) ?? false;
  }
  if (!where.startsWith("docs/proxies.md:")) return false;
  const name = /^# (\S+)\n/.exec(body)?.[1];
  const tests = ["servers.js", "service.js"].map((file) => read(`tests/proxies/${file}`)).join();
  return readBlocks()[name] === body && tests.includes(name);
}

async function checkDocument(name, site) {
  const folder = site.folder();
  await run("quotagraph migrate", site, folder);
  const blocks = blocksOf(name);
  const failures = [];
  for (let place = 0; place < blocks.length; place++) {
    const block = blocks[place];
    const { language, mark, where } = block;
    const rule = rules[mark ? `${language} ${mark}` : language];
    try {
      if (rule) await rule(block, blocks.slice(place + 1, place + 3), site, folder);
      else if (mark === "answer" || mark === "variables") requireQuestion(blocks[place - 1]);
      else if (!isTestedElsewhere(block)) throw new Error(`no rule covers a block of "${language} ${mark}"`);
    } catch (error) {
      failures.push(`${where}: ${error.message}`);
    }
  }
  console.log(`${failures.length === 0 ? "ok     " : "FAILED "} ${name}: ${blocks.length} blocks`);
  return failures;
}

/** An answer stands after what gives it, and variables after their query. */
function requireQuestion(before) {
  if (!["sh", "graphql", "json"].includes(before?.language) || before.mark === "answer") throw new Error("there is nothing that it belongs to");
}

function checkText(name) {
  const failures = [];
  for (const check of [checkLinks, checkSettings, checkWidth]) {
    try {
      check(name);
    } catch (error) {
      failures.push(error.message);
    }
  }
  return failures;
}

const [program, ...chosen] = process.argv.slice(2);
if (!program || !existsSync(program)) throw new Error("usage: node docs.js PROGRAM [DOCUMENT…]");
const all = documents();
const failures = all.flatMap(checkText);
if (read("README.md").split("\n").length - 1 > README_LINES) failures.push(`README.md has more than ${README_LINES} lines`);
const tried = chosen.length > 0 ? chosen : all.filter((name) => name === "README.md" || name.startsWith("docs/"));
const site = await openSite(resolve(program));
try {
  for (const name of tried) failures.push(...(await checkDocument(name, site)));
} finally {
  await site.close();
}
failures.forEach((failure) => console.log(`\n${failure}`));
console.log(`\n${tried.length} documents run, ${all.length} read, ${failures.length} failures`);
process.exitCode = failures.length === 0 ? 0 : 1;
