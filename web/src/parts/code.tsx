/** Join codes: how they are typed and how they are shown. */

/** No `0 O`, no `1 I L`. */
const LETTERS = /[^23456789ABCDEFGHJKMNPQRSTUVWXYZ]/g;

export const CODE_LENGTH = 6;

/** What of a text can be a code: in capitals, without what no code has. */
export const cleanCode = (text: string) =>
  text.toUpperCase().replace(LETTERS, "").slice(0, CODE_LENGTH);

export const isCode = (text: string) => cleanCode(text).length === CODE_LENGTH;

/** In two halves: three letters are kept in mind at a glance. */
export function JoinCode({ code }: { code: string }) {
  return (
    <span className="join-code" translate="no">
      <span aria-hidden="true">{code.slice(0, 3)}</span>
      <span aria-hidden="true">{code.slice(3)}</span>
      <span className="visually-hidden">{code.split("").join(" ")}</span>
    </span>
  );
}

export const joinLink = (code: string) => `${location.origin}/join/${code}`;
