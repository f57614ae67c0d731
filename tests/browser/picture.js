// Takes the picture of README.md: GraphiQL on a demo, with a query and its answer.
//
// usage: CHROMIUM=/usr/bin/chromium node picture.js target/release/quotagraph [docs/pictures/graphiql.png]

import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { chromium } from "playwright-core";

const SIZE = { width: 1120, height: 660 };
const MOST_BYTES = 150_000;

const QUERY = `# The fullest tenants.
query Fullest {
  tenants(first: 2, orderBy: {
    by: UTILIZATION
    direction: DESC
  }) {
    totalCount
    nodes {
      name
      spaceAllocation {
        allocated(unit: TB)
        total(unit: TB)
        utilization
        source
      }
      growth { perDay }
    }
  }
}
`;

/** Starts a demo and waits until it is ready. */
async function startDemo(binary) {
  const demo = spawn(binary, ["demo", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  for await (const part of demo.stdout) {
    printed += part;
    const address = /GraphiQL +(http:\S+)[^]*Ctrl-C ends it/.exec(printed)?.[1];
    if (address) return { demo, address };
  }
  throw new Error(`the demo ended before it was ready: ${printed}`);
}

const [binary, path = new URL("../../docs/pictures/graphiql.png", import.meta.url).pathname] = process.argv.slice(2);
const { demo, address } = await startDemo(binary);
try {
  const args = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  if (process.getuid() === 0) args.push("--no-sandbox");
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
  const page = await browser.newPage({ viewport: SIZE, colorScheme: "light", locale: "en-GB", timezoneId: "UTC" });
  await page.goto(address);
  await page.locator(".graphiql-execute-button").waitFor();
  await page.evaluate((query) => {
    const editor = document.querySelector(".graphiql-query-editor .CodeMirror").CodeMirror;
    editor.setValue(query);
    editor.setCursor(0, 0);
  }, QUERY);
  const tools = page.getByRole("button", { name: "Hide editor tools" });
  if (await tools.isVisible()) await tools.click();
  await page.locator(".graphiql-tab-button", { hasText: "Fullest" }).waitFor();
  await page.locator(".graphiql-execute-button").click();
  await page.locator(".result-window").filter({ hasText: "perDay" }).waitFor();
  await page.mouse.move(SIZE.width - 1, SIZE.height - 1);
  await page.waitForFunction(() => !document.querySelector(".graphiql-spinner, .CodeMirror-cursors[style*=visible]"));
  await page.screenshot({ path, caret: "hide", animations: "disabled" });
  await browser.close();
} finally {
  const ended = once(demo, "exit");
  demo.kill("SIGINT");
  await ended;
}
const { size } = statSync(path);
console.log(`${path}: ${size} bytes`);
if (size > MOST_BYTES) throw new Error(`it has more than ${MOST_BYTES} bytes`);
