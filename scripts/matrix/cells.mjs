// The cells of the matrix: each combination of what the README says that the library runs on.

/** The numbers are what npm is asked for (`typeorm@0.3`), and what the versions that were loaded have to begin with. */
export const AXES = {
  nest: ['11', '12'],
  typeorm: ['0.3', '1.1'],
  platform: ['express', 'fastify'],
  node: ['20', '22', '24'],
};

/** @typedef {{ id: string, nest: string, typeorm: string, platform: string, node: string }} Cell */

/** @type {Cell[]} */
export const CELLS = AXES.nest.flatMap((nest) =>
  AXES.typeorm.flatMap((typeorm) =>
    AXES.platform.flatMap((platform) =>
      AXES.node.map((node) => ({
        id: `nest${nest}/typeorm${typeorm}/${platform}/node${node}`,
        nest,
        typeorm,
        platform,
        node,
      })),
    ),
  ),
);

/**
 * @param {string} [wanted] parts of names, separated by commas: `nest11/typeorm0.3/express/node20` is one cell,
 *   `fastify/node24` are four. Without it, all.
 */
export function chooseCells(wanted) {
  if (wanted === undefined) return CELLS;
  const choices = wanted.split(',').map((choice) => choice.split('/'));
  const has = (cell, choice) => choice.every((part) => cell.id.split('/').includes(part));
  for (const choice of choices) {
    if (CELLS.some((cell) => has(cell, choice))) continue;
    throw new Error(`"${choice.join('/')}" is no cell. There are:\n${CELLS.map(({ id }) => id).join('\n')}`);
  }
  return CELLS.filter((cell) => choices.some((choice) => has(cell, choice)));
}
