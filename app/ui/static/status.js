// What happened, told to those who do not see it.

const region = document.getElementById("status");

export function announce(text) {
  // Emptied first, as the same words would not be told twice.
  region.textContent = "";
  setTimeout(() => (region.textContent = text), 50);
}
