// Whether what the documents refer to is there.

import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { read } from "./blocks.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A document without its blocks. */
const prose = (name) => read(name).replace(/^( *)```[^\n]*\n[^]*?^\1```$/gm, "");

/** The anchors that GitHub gives the headings of a document. */
function anchors(name) {
  const slug = (heading) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
  return [...prose(name).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading));
}

/** Throws unless every relative link of a document leads to a file, and to a heading of it. */
export function checkLinks(name) {
  for (const [, target] of prose(name).replace(/`[^`]*`/g, "code").matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
    const [path, anchor] = target.split("#");
    const file = path ? relative(ROOT, join(ROOT, dirname(name), path)) : name;
    if (!existsSync(join(ROOT, file))) throw new Error(`${name}: there is no ${target}`);
    if (anchor && !anchors(file).includes(anchor)) throw new Error(`${name}: there is no heading for ${target}`);
  }
}

/** The fields of the example config, as `section.field`, with their defaults. */
function settings() {
  const fields = new Map();
  let section = "";
  for (const line of read("quotagraph.example.toml").split("\n")) {
    section = /^#?\[+([a-z.]+)\]+$/.exec(line)?.[1] ?? section;
    const [, field, value] = /^#?([a-z_]+) = (.*)$/.exec(line) ?? [];
    if (field && section !== "tenants") fields.set(`${section}.${field}`, value.replace(/^"(.*)"$/, "$1"));
  }
  return fields;
}

/** Throws unless every setting that a document names is in the example config, with the default that a table may show. */
export function checkSettings(name) {
  const known = settings();
  const sections = [...new Set([...known.keys()].map((field) => field.slice(0, field.lastIndexOf("."))))].filter(Boolean);
  const named = new RegExp("`((?:" + sections.join("|").replaceAll(".", "\\.") + ")\\.[a-z_]+)(?: = [^`]*)?`", "g");
  for (const [, field] of prose(name).matchAll(named)) {
    const isSection = sections.includes(field);
    if (!known.has(field) && !isSection && !/\.(rs|js|md|toml|graphql)$/.test(field)) throw new Error(`${name}: there is no setting ${field}`);
  }
  for (const [, cell, shown] of prose(name).matchAll(/^\| (`[a-z_]+\.[^|]*`) \| (`[^|]*`) \|/gm)) {
    const [fields, defaults] = [cell, shown].map((text) => text.split(", ").map((code) => code.replaceAll("`", "")));
    fields.forEach((field, place) => {
      if (known.get(field) !== defaults[place]) throw new Error(`${name}: the default of ${field} is ${known.get(field)}`);
    });
  }
}

/** Throws when a line of prose is longer than 132 characters; tables and links alone may be. */
export function checkWidth(name) {
  for (const line of prose(name).split("\n")) {
    if ([...line].length > 132 && !/^\s*(\||<)/.test(line)) throw new Error(`${name}: a line is longer than 132 characters: ${line}`);
  }
}
