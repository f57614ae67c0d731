// Answers that the documents show, against those that came.

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** JSON in which integers stay apart from other numbers: 25 becomes "int 25", and 25.0 a number. */
function parse(text) {
  return JSON.parse(text.replace(/([:[,]\s*)(-?\d+)(?=\s*[,\]}])/g, '$1"int $2"'));
}

/**
 * Throws unless an answer has the shape that a document shows: the same keys in the same order, the same kinds of values; equal texts, integers and
 * truth values, but for instants and the keys that vary. Lists may be longer or shorter, but not empty; their last shown entry stands for the rest.
 */
export function compareJson(shown, came, varies = []) {
  compare(parse(shown), parse(came), varies, "$");
}

function compare(shown, came, varies, path) {
  const fail = (why) => {
    throw new Error(`${path}: ${why}: shown is ${JSON.stringify(shown)}, what came is ${JSON.stringify(came)}`);
  };
  if (kind(shown) !== kind(came)) fail("another kind of value");
  if (Array.isArray(shown)) {
    if ((shown.length === 0) !== (came.length === 0)) fail("an empty list");
    came.forEach((entry, place) => compare(shown[Math.min(place, shown.length - 1)], entry, varies, `${path}[${place}]`));
  } else if (kind(shown) === "object") {
    if (Object.keys(shown).join() !== Object.keys(came).join()) fail("other keys");
    for (const key of Object.keys(shown)) if (!varies.includes(key)) compare(shown[key], came[key], varies, `${path}.${key}`);
  } else if (!["number", "instant"].includes(kind(shown)) && shown !== came) {
    fail("another value");
  }
}

function kind(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "list";
  return typeof value === "string" && INSTANT.test(value) ? "instant" : typeof value;
}

/** Throws when an answer has errors, or a list without entries. */
export function requireData(text) {
  const empty = (value, path) => {
    if (Array.isArray(value) && value.length === 0) throw new Error(`${path} is empty in ${text}`);
    if (value && typeof value === "object") for (const [key, entry] of Object.entries(value)) empty(entry, `${path}.${key}`);
  };
  for (const answer of [JSON.parse(text)].flat()) {
    if (answer.errors || !answer.data) throw new Error(`an error: ${text}`);
    empty(answer.data, "data");
  }
}

/** Throws unless the columns are those that are shown, and there is a row of each width. */
export function compareCsv(shown, came) {
  const [[header, row], [head, ...rows]] = [shown, came].map((text) => text.trim().split(/\r?\n/));
  if (header !== head) throw new Error(`the columns are ${head}`);
  const width = (line) => line.split(",").length;
  if (rows.length === 0 || rows.some((line) => width(line) !== width(row))) throw new Error(`rows of another form: ${rows[0]}`);
}

/** Throws unless the lines are those that are shown. Lines of JSON (after "data: ") are compared as such, and instants may differ. */
export function compareText(shown, came) {
  const [expected, actual] = [shown, came].map((text) => text.trim().split(/\r?\n/));
  if (expected.length !== actual.length) throw new Error(`other lines: ${came}`);
  expected.forEach((line, place) => {
    const [mine, its] = [line, actual[place]].map((text) => /^(data: )({.*})$/.exec(text));
    if (mine && its) return compareJson(mine[2], its[2]);
    const masked = [line, actual[place]].map((text) => text.replace(/\d{4}-\d\d-\d\dT\S+Z/g, "INSTANT"));
    if (masked[0] !== masked[1]) throw new Error(`another line: ${actual[place]}, shown is ${line}`);
  });
}
