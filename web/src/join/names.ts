/** Names for those who do not want to think of one: joining takes one tap. */

const COLOURS = [
  "Amber", "Azure", "Coral", "Golden", "Indigo", "Jade", "Maroon", "Olive", "Ruby", "Silver", "Teal",
  "Violet",
];
const PLAYERS = [
  "Bassoon", "Bugle", "Cello", "Clarinet", "Cornet", "Flute", "Harp", "Horn", "Lute", "Oboe",
  "Piccolo", "Trombone", "Trumpet", "Tuba", "Viola",
];

const one = (list: string[]) => list[Math.floor(Math.random() * list.length)] ?? "";

export const suggestedName = () => `${one(COLOURS)} ${one(PLAYERS)}`;
