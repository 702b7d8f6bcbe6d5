// The table in the README, from the stored result.
import { AXES } from './cells.mjs';

const BEGIN = '<!-- matrix:begin -->';
const END = '<!-- matrix:end -->';

/** The document with the table of this result between its two marks. */
export function withTable(markdown, result) {
  const [before, rest] = markdown.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`there is no ${BEGIN} with ${END} behind it`);
  return `${before}${BEGIN}\n\n${tableOf(result)}\n\n${END}${after}`;
}

function tableOf({ date, commit, platform, postgres, cells }) {
  const head = ['Nest', 'TypeORM', '@nestjs/typeorm', 'Modules', ...AXES.node.map((node) => `Node ${node}`)];
  const rows = AXES.nest.flatMap((nest) => AXES.typeorm.map((typeorm) => rowOf(cells, nest, typeorm)));
  const versions = (name) => list(distinct(cells.map((cell) => cell.versions?.[name])));
  return [
    ...align([head, ...rows]),
    '',
    `Run on ${date.slice(0, 10)} with the package of commit ${commit.slice(0, 7)} on ${platform}: Node ${versions('node')};`,
    `Express ${versions('express')}; Fastify ${versions('fastify')}; node-postgres ${versions('pg')}; PostgreSQL ${postgres}.`,
  ].join('\n');
}

function rowOf(cells, nest, typeorm) {
  const pair = cells.filter((cell) => cell.nest === nest && cell.typeorm === typeorm);
  const exact = (name) => list(distinct(pair.map((cell) => cell.versions?.[name])));
  const outcomes = AXES.node.map((node) =>
    AXES.platform
      .map((platform) => ({ platform, cell: pair.find((cell) => cell.node === node && cell.platform === platform) }))
      .map(({ platform, cell }) => `${nameOf(platform)}${outcomeOf(cell)}`)
      .join(', '),
  );
  const modules = { 11: 'CommonJS', 12: 'ES modules' };
  return [
    exact('@nestjs/core') || nest,
    exact('typeorm') || typeorm,
    exact('@nestjs/typeorm'),
    modules[nest],
    ...outcomes,
  ];
}

function outcomeOf(cell) {
  if (!cell) return ' not run';
  return cell.ok ? '' : ' **fails**';
}

function nameOf(platform) {
  return platform[0].toUpperCase() + platform.slice(1);
}

/** As Prettier aligns it, which checks the README. */
function align(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const [head, ...body] = rows.map(
    (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`,
  );
  return [head, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body];
}

function distinct(values) {
  return [...new Set(values.filter(Boolean))];
}

function list(names) {
  return [names.slice(0, -1).join(', '), names.at(-1)].filter(Boolean).join(' and ');
}
