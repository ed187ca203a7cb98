/** Sheet music that follows the player: the notes that sound are lit up. */

let lit = [];

/**
 * @param {object} piece What the server tells; its notes have the ids of their signs, by number.
 * @param {number} position Seconds.
 */
export function lightUp(piece, position) {
  const sheet = document.querySelector(".sheet-pages");
  if (sheet?.dataset.piece !== piece.id) return; // closed, or still that of another piece
  const sounding = piece.notes.flatMap(([start, duration], number) =>
    position >= start && position < start + duration ? [`note-${number}`] : [],
  );
  const mark = (ids, on) => ids.forEach((id) => document.getElementById(id)?.classList.toggle("sounds", on));
  mark(lit.filter((id) => !sounding.includes(id)), false);
  mark(sounding, true);
  lit = sounding;
}
