// What a run has to show.

const WRONG = ['lost', 'duplicated', 'resurrected'];
/** Of what was asked for, so much has to be acknowledged: 2000 of the default 2400. */
const ACKNOWLEDGED = 5 / 6;
const REFUSED = 0.01;

/** @returns {string[]} what is wrong, in sentences */
export function complaints({ operations, wrong, control, total }) {
  const found = wrong.length > 0 ? [`${wrong.length} wrong answers, the first of them ${wrong[0]}`] : [];
  for (const [name, counts] of Object.entries(operations)) {
    for (const what of WRONG) if (counts[what] !== 0) found.push(`${name}: ${counts[what]} ${what}`);
    const { acknowledged, refused } = counts;
    if (acknowledged < total * ACKNOWLEDGED) found.push(`${name}: only ${acknowledged} of ${total} acknowledged`);
    // Refusing is what update does when others keep winning.
    const isTooMuch = name !== 'update' && refused >= (acknowledged + refused) * REFUSED;
    if (isTooMuch && refused > 0) found.push(`${name}: ${refused} refused`);
  }
  for (const [name, counts] of Object.entries(control)) {
    const isFound = WRONG.some((what) => counts[what] > 0);
    if (!isFound)
      found.push(`${name}: nothing found wrong with the control, so the race would not find it here either`);
  }
  return found;
}
