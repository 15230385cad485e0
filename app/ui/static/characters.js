// Characters that people would not see, and by which one text can look like another.

/* What shows nothing or turns the text around; the joiners of emoji and Indic scripts are spared. */
export const INVISIBLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** What to show for the character: `U+202E`. */
export function codePoint(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}
