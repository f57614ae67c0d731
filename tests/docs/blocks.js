// The documents and their fenced blocks.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const ROOT = new URL("../../", import.meta.url);

/** The text of a file of the repository. */
export function read(name) {
  return readFileSync(new URL(name, ROOT), "utf8");
}

/** The Markdown files that git knows or would add, by their paths in the repository. */
export function documents() {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"], { cwd: ROOT, encoding: "utf8" });
  return listed.split("\0").filter(Boolean);
}

/**
 * The blocks of a document in order. `language` and `mark` are the first two words of the info string, `options` what follows as `key=value`.
 * Blocks in lists lose the indentation of their fence.
 */
export function blocksOf(name) {
  const text = read(name);
  const blocks = [...text.matchAll(/^( *)```([^\n`]*)\n([^]*?)^\1```$/gm)].map((found) => {
    const [, indent, info, body] = found;
    const [language = "", mark = "", ...options] = info.trim().split(/ +/);
    return {
      where: `${name}:${text.slice(0, found.index).split("\n").length}`,
      language,
      mark,
      options: Object.fromEntries(options.map((option) => option.split("="))),
      body: body.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
    };
  });
  const fences = text.match(/^ *```/gm)?.length ?? 0;
  if (fences !== 2 * blocks.length) throw new Error(`${name}: a fence has no end, or its end is indented otherwise`);
  return blocks;
}
