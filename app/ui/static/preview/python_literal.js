// A literal of Python as NumPy writes it into headers: strings, whole numbers, True, False, None, tuples,
// lists and dicts.

const DEPTH = 16;
const STRING = /'((?:[^'\\\n]|\\['"\\])*)'|"((?:[^"\\\n]|\\['"\\])*)"/y;
const NUMBER = /-?\d{1,30}L?/y;
const WORDS = new Map([
  ["True", true],
  ["False", false],
  ["None", null],
]);
const WORD = /[A-Za-z]+/y;
const SPACE = /[ \t\n]*/y;

/** Dicts become Maps. Throws `SyntaxError` for all else than one such literal. */
export function parseLiteral(text) {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.space();
  if (reader.position !== text.length) reader.refuse();
  return value;
}

class Reader {
  position = 0;

  constructor(text) {
    this.text = text;
  }

  value(depth) {
    if (depth > DEPTH) this.refuse();
    this.space();
    switch (this.text[this.position]) {
      case "(":
        return this.#items(")", depth);
      case "[":
        return this.#items("]", depth);
      case "{":
        return this.#dict(depth);
    }
    const string = this.#match(STRING);
    if (string) return (string[1] ?? string[2]).replace(/\\(.)/g, "$1");
    const number = this.#match(NUMBER);
    if (number) return Number(number[0].replace("L", ""));
    const word = this.#match(WORD)?.[0];
    if (!WORDS.has(word)) this.refuse();
    return WORDS.get(word);
  }

  space() {
    this.#match(SPACE);
  }

  refuse() {
    throw new SyntaxError(`not a literal at ${this.position}`);
  }

  #items(end, depth) {
    const items = [];
    this.position += 1;
    while (!this.#taken(end)) {
      items.push(this.value(depth + 1));
      if (!this.#taken(",") && !this.#next(end)) this.refuse();
    }
    return items;
  }

  #dict(depth) {
    const entries = new Map();
    this.position += 1;
    while (!this.#taken("}")) {
      const key = this.value(depth + 1);
      if (!this.#taken(":")) this.refuse();
      entries.set(key, this.value(depth + 1));
      if (!this.#taken(",") && !this.#next("}")) this.refuse();
    }
    return entries;
  }

  #next(character) {
    this.space();
    return this.text[this.position] === character;
  }

  #taken(character) {
    const taken = this.#next(character);
    if (taken) this.position += 1;
    return taken;
  }

  #match(pattern) {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text);
    if (found) this.position = pattern.lastIndex;
    return found;
  }
}
