// The file MLmodel of a logged model as a card: what it is, how it is loaded, what goes in and comes out.

import { element } from "../dom.js";
import { cutNote, facts, heading, note, stack, table, withSource } from "./elements.js";
import { isVersion } from "./mlmodel_card.js";
import { readText, shortened, textBlock } from "./text.js";
import { tree } from "./tree.js";
import { worked } from "./workers.js";

const SECONDS = 3;

export async function showModel(source) {
  const head = await readText(source);
  if (!head.whole) return stack(...shortened(head, source), textBlock(head.text));
  const found = await described(head.text, source.signal);
  if (found === null) {
    return stack(note("This MLmodel file cannot be laid out; here it is as text."), textBlock(head.text));
  }
  return withSource(card(found), () => textBlock(head.text));
}

async function described(text, signal) {
  try {
    return await worked("mlmodel", text, SECONDS, signal);
  } catch {
    signal?.throwIfAborted();
    return null; // The text is there all the same.
  }
}

function card(found) {
  return stack(
    facts(found.facts),
    ...(found.flavors ? flavors(found.flavors) : []),
    ...found.signature.flatMap(part),
    ...(Object.keys(found.others).length > 0 ? [heading("Other fields"), tree(found.others)] : []),
  );
}

function flavors({ rows, count }) {
  const cells = rows.map(({ name, versions, settings, others }) => [
    name,
    versions,
    others > 0 ? more(settings, others) : "",
  ]);
  return [
    table("Flavors", ["Flavor", "Versions", "Settings"], cells, { rowHeaders: true }),
    ...cutNote(rows.length, count, "flavors"),
  ];
}

function more(settings, count) {
  const details = element("details", {}, element("summary", {}, `${count} more`));
  const others = () => Object.fromEntries(Object.entries(settings).filter(([key]) => !isVersion(key)));
  details.addEventListener("toggle", () => details.append(tree(others())), { once: true });
  return details;
}

function part({ label, problem, text, columns, rows, count }) {
  if (problem) return [heading(label), note(problem), textBlock(text)];
  return [table(label, columns, rows, { rowHeaders: true }), ...cutNote(rows.length, count, "fields")];
}
