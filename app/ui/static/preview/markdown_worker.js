// Finds the parts of Markdown.

import { Lexer } from "../vendor/marked-18.2.1/marked.esm.js";
import { answer } from "./answering.js";

/** For each text its tokens, or null where it cannot be taken apart. */
answer((texts) => texts.map(lexed));

function lexed(text) {
  try {
    // As JSON, as only so much may be nested in a message, and there are properties besides the tokens.
    return JSON.stringify(new Lexer({ gfm: true }).lex(text));
  } catch {
    return null; // nested too deep for the lexer, which says so in many ways
  }
}
