// The character references of HTML that people write in Markdown. A parser of HTML would be too much for them.

const NAMED = new Map(
  Object.entries({
    amp: "&",
    lt: "<",
    gt: ">",
    quot: '"',
    apos: "'",
    nbsp: "\u00a0",
    copy: "©",
    reg: "®",
    trade: "™",
    deg: "°",
    plusmn: "±",
    times: "×",
    divide: "÷",
    middot: "·",
    bull: "•",
    hellip: "…",
    ndash: "–",
    mdash: "—",
    lsquo: "‘",
    rsquo: "’",
    ldquo: "“",
    rdquo: "”",
    larr: "←",
    rarr: "→",
    uarr: "↑",
    darr: "↓",
    le: "≤",
    ge: "≥",
    ne: "≠",
    asymp: "≈",
    infin: "∞",
    alpha: "α",
    beta: "β",
    gamma: "γ",
    delta: "δ",
    epsilon: "ε",
    lambda: "λ",
    mu: "μ",
    pi: "π",
    sigma: "σ",
    euro: "€",
    pound: "£",
    yen: "¥",
    sect: "§",
    micro: "µ",
    sup2: "²",
    sup3: "³",
    check: "✓",
  }),
);
const REFERENCE = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+[0-9]?));/gi;

export function unescapeEntities(text) {
  return text.replace(REFERENCE, (reference, decimal, hexadecimal, name) => {
    if (name !== undefined) return NAMED.get(name) ?? reference;
    const point = decimal === undefined ? parseInt(hexadecimal, 16) : parseInt(decimal, 10);
    return point > 0 && point <= 0x10ffff && !(point >= 0xd800 && point < 0xe000)
      ? String.fromCodePoint(point)
      : "\ufffd";
  });
}
