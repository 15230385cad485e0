// Who is signed in, and signing in and out.
//
// A token goes from the field to the server, which answers with a cookie that scripts cannot read.

import { Problem, request } from "./api.js";
import { element } from "./dom.js";
import { named } from "./names.js";
import { announce } from "./status.js";

const SESSION_URL = "v1/session";
const BY_ITSELF = "The browser signs in by itself; to end that, close all of its windows";
const NO_TOKEN = "That is no token: tokens are plain characters without spaces.";
const corner = document.getElementById("identity");

/** `known`: whether the server asks who one is; `name`: who one is for it; `kind`: null before it was asked. */
export const session = { known: false, name: null, kind: null };

let signedOut = () => {};

/** Calls `listener` once nobody is signed in any more. */
export function onSignOut(listener) {
  signedOut = listener;
}

/** Asks the server who one is. Throws a `Problem` with status 401 where it does not know. */
export async function recognise({ signal } = {}) {
  let answer;
  try {
    answer = await (await request(SESSION_URL, { signal })).json();
  } catch (error) {
    if (error.status === 401) forget();
    throw error;
  }
  session.known = answer.kind !== "anybody";
  session.name = answer.identity;
  session.kind = answer.kind;
  corner.replaceChildren(...identity(answer));
}

export function forget() {
  Object.assign(session, { known: true, name: null, kind: null });
  corner.replaceChildren();
}

function identity({ cookie }) {
  if (!session.known) return [];
  const name = named(session.name ?? "", { title: cookie ? "You are signed in as this" : BY_ITSELF });
  // Whom the browser's own prompt or a reverse proxy made known, nothing here could make unknown.
  return cookie ? [name, element("button", { type: "button", class: "quiet", click: signOut }, "Sign out")] : [name];
}

async function signOut() {
  try {
    await request(SESSION_URL, { method: "DELETE" });
  } catch (error) {
    if (error.status !== 401) return announce(`Not signed out: ${error.message}`);
  }
  signedOut();
}

/** The panel that asks for a token; `done` is called when the server knows who one is. */
export function signInPanel(done) {
  const token = element("input", {
    id: "token",
    type: "password",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "token-hint",
  });
  const fault = element("p", { class: "fault", role: "alert" });
  const prompt = element("a", { href: "v1/login" }, "use the browser's own prompt");
  const button = element("button", { type: "submit", class: "primary" }, "Sign in");

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    fault.textContent = "";
    try {
      await signIn(token.value.trim());
      await recognise();
      token.value = "";
      done();
    } catch (error) {
      fault.textContent = error.message;
      token.select();
    } finally {
      button.disabled = false;
    }
  }

  return element(
    "section",
    { class: "sign-in", "aria-labelledby": "sign-in-title" },
    element("h1", { id: "sign-in-title", tabindex: "-1" }, "Sign in"),
    element("p", {}, "This server wants to know who you are."),
    element(
      "form",
      { submit },
      element("label", { for: "token" }, "Token"),
      token,
      element("p", { id: "token-hint", class: "hint" }, "It is kept in a cookie that ends with the browser's session."),
      fault,
      button,
    ),
    element("p", {}, "Or ", prompt, ", with the token as password."),
  );
}

async function signIn(token) {
  if (!/^[!-~]+$/.test(token)) throw new Problem(0, { message: NO_TOKEN });
  try {
    await request(SESSION_URL, { method: "PUT", headers: { Authorization: `Bearer ${token}` } });
  } catch (error) {
    if (error.status !== 401) throw error;
    throw new Problem(401, { message: `The server does not take this token. ${error.message}` });
  }
}
