// The service behind nginx, HAProxy, Apache and Caddy with exactly the configs of docs/proxies.md, and behind bare ones. The program is the first
// argument; by default it is the debug build. `--idle SECONDS` keeps streams and WebSockets open for so long, `--only NAME` tries one
// proxy. Closes with a line that counts.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readBlocks, silenceAllowed } from "./blocks.js";
import { CLIENT_ADDRESS, Site } from "./client.js";
import { pause, run, until } from "./processes.js";
import { BARE, PROXIES } from "./servers.js";
import { KEY, startService } from "./service.js";

const { positionals, values: options } = parseArgs({ allowPositionals: true, options: { idle: { type: "string", default: "0" }, only: { type: "string" } } });
const program = resolve(positionals[0] ?? fileURLToPath(new URL("../../target/debug/quotagraph", import.meta.url)));

// Idle streams say something every 15 s and WebSockets every 30 s; some of it is the way's.
const STREAM_SILENCE_S = 15;
const SOCKET_SILENCE_S = 30;
// What comes at once comes within this.
const AT_ONCE_MS = 5000;

const CHANGES = 'subscription { spaceAllocationChanged(since: "2001-01-01T00:00:00Z") { tenant { id } recordedAt } }';
const EXPORT = "/v1/export/usage?interval=PT1M&from=2026-01-01T00:00:00Z&to=2026-05-01T00:00:00Z";

const CONNECTIONS = 6;

const checks = [];
const check = (name, fault) => {
  checks.push(!fault);
  if (process.env.VERBOSE) console.log(`${new Date().toISOString()} ${fault ? "failed" : "passed"} ${name}`);
  if (fault) console.log(`failed: ${name}: ${fault}`);
};

/** Checks something of which a rejection is a fault too. */
const attempt = async (name, find, patience = 20_000) => {
  let timer;
  const tooLong = new Promise((resolve) => (timer = setTimeout(resolve, patience, `nothing within ${patience} ms`)));
  check(name, await Promise.race([find().catch((error) => error.stack), tooLong]));
  clearTimeout(timer);
};

async function checkPage(name, site) {
  await attempt(`${name}: GraphiQL and its files`, async () => {
    const page = await site.fetch("/graphiql");
    const addresses = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address);
    const files = addresses.filter((address) => !address.startsWith("data:"));
    if (page.status !== 200 || files.length < 5) return `${page.status} ${page.text}`;
    for (const file of files) {
      const url = new URL(file, `${site.origin}${site.prefix}/graphiql`);
      if (!url.pathname.startsWith(`${site.prefix}/graphiql/`)) return `${url} is not under the page`;
      const found = await site.fetch(url.pathname.slice(site.prefix.length) + url.search);
      if (found.status !== 200) return `${url}: ${found.status}`;
    }
    const moved = await site.fetch("/graphiql/");
    const target = new URL(moved.headers.location, `${site.origin}${site.prefix}/graphiql/`).href;
    return target !== `${site.origin}${site.prefix}/graphiql` && `a slash leads to ${target}`;
  });
}

async function checkQueries(name, site) {
  await attempt(`${name}: a query of the page`, async () => {
    const answer = await site.ask("{ tenants { totalCount } }", { Origin: site.origin, "Sec-Fetch-Site": "same-origin" });
    return JSON.parse(answer.text).data?.tenants?.totalCount !== 4 && answer.text;
  });
  await attempt(`${name}: a query by GET of a browser that says the origin only`, async () => {
    const answer = await site.fetch("/graphql?query={tenants{totalCount}}", { headers: { Origin: site.origin } });
    return JSON.parse(answer.text).data?.tenants?.totalCount !== 4 && answer.text;
  });
}

/** Gives the WebSocket, to see how long it stays. */
async function checkSocket(name, site) {
  let opened;
  await attempt(`${name}: a WebSocket of the page`, async () => {
    opened = await site.socket(site.origin);
    if (!opened.socket) return `${opened.status} ${opened.text}`;
    opened.say({ type: "connection_init", payload: { apiKey: KEY } });
    opened.say({ type: "subscribe", id: "1", payload: { query: CHANGES } });
    opened.socket.on("close", () => (opened.isOver = true));
    await until("an event", () => opened.messages.some((message) => message.type === "next"), AT_ONCE_MS);
  });
  return opened;
}

async function checkForeignPages(name, site) {
  const evil = "https://evil.example";
  const told = { "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", Forwarded: "host=evil.example;proto=https" };
  for (const headers of [{}, told]) {
    await attempt(`${name}: a WebSocket of a foreign page with ${JSON.stringify(headers)}`, async () => {
      const opened = await site.socket(evil, headers);
      opened.socket?.terminate();
      return opened.status !== 403 && `${opened.status} ${opened.text}`;
    });
  }
}

/** Gives the stream, to see how long it stays. */
async function checkEvents(name, site) {
  let stream;
  await attempt(`${name}: events as they come`, async () => {
    stream = await site.events(CHANGES);
    if (stream.headers["content-encoding"]) return `they are compressed: ${stream.headers["content-encoding"]}`;
    await until("an event", () => stream.text.includes("event: next"), AT_ONCE_MS);
  });
  return stream;
}

async function checkAddress(name, site, replicas) {
  await attempt(`${name}: the caller's address is the one that called the proxy, whatever it says`, async () => {
    const refused = () => replicas.map((replica) => replica.printed()).join("").match(/address=\S+/g) ?? [];
    const before = refused().length;
    const made = { "X-Api-Key": "no key", "X-Forwarded-For": "203.0.113.9", Forwarded: "for=203.0.113.9", "X-Real-IP": "203.0.113.9" };
    const answer = await site.ask("{ tenants { totalCount } }", made);
    if (answer.status !== 401) return `${answer.status} ${answer.text}`;
    await until("a line in the audit log", () => refused().length > before);
    return !replicas.some((replica) => replica.printed().includes(`address=${CLIENT_ADDRESS}`)) && refused().join(", ");
  });
}

/** Kills both replicas while files are on their way by every proxy and protocol. */
async function checkCutExports(proxies, replicas) {
  const files = [];
  for (const { name, sites, onlyHttp1, hidesCuts } of proxies) {
    await attempt(`${name}: a whole export`, async () => {
      const file = await sites[0].export("/v1/export/snapshots");
      return ((await file.end) !== "whole" || file.status !== 200 || file.bytes === 0) && JSON.stringify(file);
    });
    for (const version of hidesCuts ? [] : onlyHttp1 ? ["export"] : ["export", "export2"]) {
      await attempt(`${name}: ${version} begins`, async () => {
        const file = await sites[0][version](EXPORT);
        files.push([`${name}: ${version}`, file]);
        return file.status !== 200 && `${file.status}`;
      });
    }
  }
  await until("the beginning of all files", () => files.every(([, file]) => file.bytes > 100_000));
  await Promise.all(replicas.map((replica) => replica.end("SIGKILL")));
  for (const [name, file] of files) {
    const end = await file.end;
    check(`${name} that is cut off is seen to be`, end !== "cut" && `${end} after ${file.bytes} bytes`);
  }
  await Promise.all(replicas.map((replica) => replica.start()));
}

/** Restarts the replicas one after the other, as the docs say, while requests come by every proxy. */
async function checkRollingRestart(proxies, replicas) {
  let isOver = false;
  const ask = async (site, number) => {
    const refresh = "mutation { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }";
    if (number % 3 === 0) return site.fetch("/graphql?query={tenants{totalCount}}");
    return site.ask(number % 3 === 1 ? "{ tenants { totalCount } }" : refresh);
  };
  const loads = proxies.flatMap(({ name, sites: [site] }) => {
    const load = { name, answered: 0, faults: [] };
    load.running = Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        for (let number = 0; !isOver; number += 1) {
          try {
            const answer = await ask(site, number);
            if (answer.status !== 200 || JSON.parse(answer.text).errors) load.faults.push(`${answer.status} ${answer.text}`);
            load.answered += 1;
          } catch (error) {
            load.faults.push(`${error}`);
          }
          await pause(5);
        }
      }),
    );
    return load;
  });
  for (const replica of replicas) {
    await replica.end();
    await replica.start();
    // Every proxy is to see it before the other one goes: some of their checks, which come late on a busy machine.
    await pause(6000);
  }
  isOver = true;
  for (const { name, running, answered, faults } of loads) {
    await running;
    check(`${name}: a rolling restart under ${answered} requests`, faults.length > 0 && `${faults.length} failed: ${faults.slice(0, 3).join("\n")}`);
    check(`${name}: requests come during a rolling restart`, answered < 100 && `${answered}`);
  }
}

/** Bare proxies: what works, and what is refused with which sentence. */
async function checkBare(name, site) {
  await checkPage(name, site);
  await checkQueries(name, site);
  (await checkEvents(name, site))?.answer.destroy();
  await attempt(`${name}: a WebSocket is told what is missing`, async () => {
    const opened = await site.socket(site.origin);
    opened.socket?.terminate();
    return (opened.status !== 426 || !opened.text.includes("have the proxy pass them on")) && `${opened.status} ${opened.text}`;
  });
  await attempt(`${name}: an export is whole or told what is missing`, async () => {
    const answer = await site.fetch("/v1/export/snapshots");
    if (answer.status === 426) return !answer.text.includes("proxy_http_version 1.1") && answer.text;
    return (answer.status !== 200 || answer.headers["transfer-encoding"] !== "chunked") && `${answer.status} ${answer.text}`;
  });
}

async function makeCertificate(folder) {
  const [key, crt] = ["key", "crt"].map((ending) => join(folder, `certificate.${ending}`));
  const names = "subjectAltName=DNS:quota.example,DNS:www.example";
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  await run("openssl", ["req", "-x509", ...kind, "-subj", "/CN=quota.example", "-addext", names, "-keyout", key, "-out", crt]);
  return { key: await readFile(key, "utf8"), crt: await readFile(crt, "utf8") };
}

async function checkAll(folder, ended) {
  const blocks = readBlocks();
  const certificate = await makeCertificate(folder);
  const service = await startService(program, folder, blocks["quotagraph.toml"]);
  ended.push(service.end);
  const { replicas } = service;

  const proxies = [];
  for (const [name, { files, start, onlyHttp1, hidesCuts }] of Object.entries(PROXIES)) {
    if (options.only && options.only !== name) continue;
    const configs = files.map((file) => blocks[file]);
    const { port, process: proxy } = await start(configs, replicas, folder, certificate);
    ended.push(() => proxy.end());
    const silence = silenceAllowed(configs.join("\n"));
    check(`${name}: time-outs above the silence of streams and WebSockets`, silence.some((s) => s < 2 * Math.max(STREAM_SILENCE_S, SOCKET_SILENCE_S)) && `${silence} s`);
    proxies.push({ name, process: proxy, onlyHttp1, hidesCuts, sites: [new Site(port, "quota.example"), new Site(port, "www.example", "/quota")] });
  }

  const open = [];
  for (const { name, sites } of proxies) {
    for (const site of sites) {
      const where = `${name}, ${site.origin}${site.prefix}`;
      await checkPage(where, site);
      await checkQueries(where, site);
      open.push({ where, socket: await checkSocket(where, site), stream: await checkEvents(where, site) });
      await checkForeignPages(where, site);
      await checkAddress(where, site, replicas);
    }
  }
  for (const [name, start] of Object.entries(BARE)) {
    const { port, process: proxy } = await start(replicas[0], folder);
    ended.push(() => proxy.end());
    await checkBare(`bare ${name}`, new Site(port, "localhost", "", "http"));
  }

  const idle = Number(options.idle);
  for (const { where, socket, stream } of open) {
    await attempt(`${where}: a sign of life of an idle event stream`, async () => {
      const patience = 1000 * (STREAM_SILENCE_S + 5);
      await until("a comment", () => /^:/m.test(stream.text) || stream.isOver, patience);
      const left = stream.times[0] + 1000 * idle - Date.now();
      if (left > 0) await pause(left);
      const gaps = stream.times.slice(1).map((time, i) => time - stream.times[i]);
      return (stream.isOver || Math.max(...gaps) > patience) && `over: ${stream.isOver}, at ${gaps} ms`;
    }, 1000 * (idle + 60));
    check(`${where}: the WebSocket stays open`, (!socket?.socket || socket.isOver) && "it is closed");
  }
  if (idle > 0) console.log(`streams and WebSockets stayed open for ${idle} s`);
  for (const { socket, stream } of open) {
    socket?.socket?.terminate();
    stream?.answer.destroy();
  }
  await checkCutExports(proxies, replicas);
  await checkRollingRestart(proxies, replicas);
  // What they say tells why something failed.
  if (checks.includes(false)) proxies.forEach(({ name, process }) => console.log(`${name}: ${process.printed.slice(-4000)}`));
}

const folder = await mkdtemp(join(tmpdir(), "quotagraph-proxies-"));
const ended = [];
try {
  await checkAll(folder, ended);
} finally {
  for (const end of ended.reverse()) await end();
  await rm(folder, { recursive: true });
}
const passed = checks.filter(Boolean).length;
console.log(`${passed} passed, ${checks.length - passed} failed`);
process.exitCode = passed === checks.length ? 0 : 1;
