// The config blocks of docs/proxies.md, to the letter but for ports and folders.

import { readFileSync } from "node:fs";

const DOCS = new URL("../../docs/proxies.md", import.meta.url);

/** Every block by the file that its first line names, such as `/etc/nginx/conf.d/quotagraph.conf`. */
export function readBlocks() {
  const blocks = {};
  for (const [, body] of readFileSync(DOCS, "utf8").matchAll(/^```\w+\n# (\S+\n[^]*?)^```$/gm)) {
    const name = body.slice(0, body.indexOf("\n"));
    if (blocks[name]) throw new Error(`there are two blocks of ${name}`);
    blocks[name] = `# ${body}`;
  }
  return blocks;
}

/** Puts other texts in the place of some, each of which must be there. */
export function replaceAll(text, replacements) {
  for (const [from, to] of replacements) {
    if (!text.includes(from)) throw new Error(`there is no ${from} in\n${text}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** The seconds of the time-outs that a block sets for silence between bytes. */
export function silenceAllowed(block) {
  const settings = /(?:proxy_read_timeout|timeout client|timeout server|timeout tunnel|ProxyTimeout) +(\d+)s?\b/g;
  return [...block.matchAll(settings)].map(([, seconds]) => Number(seconds));
}
