// The results as Markdown, and the document that shows them.

/** @returns {string} of one result, be it of reads and clean-up or of touches */
export function markdownOf(result) {
  return Object.values(sectionsOf(result)).join('\n\n');
}

/** The document with each `<!-- figures: NAME -->` … `<!-- end -->` filled from the results. */
export function documentWith(markdown, { scale, touch }) {
  const sections = { ...sectionsOf(scale), ...sectionsOf(touch) };
  return markdown.replaceAll(/(<!-- figures: (\w+) -->\n)[^]*?(<!-- end -->)/g, (_, head, name, end) => {
    if (!sections[name]) throw new Error(`there are no figures "${name}"`);
    return `${head}\n${sections[name]}\n\n${end}`;
  });
}

function sectionsOf(result) {
  if (result.touches) return { touches: touches(result.touches), aboutTouches: about(result) };
  return {
    about: about(result),
    reads: reads(result.reads),
    curve: curve(result.reads),
    cleanups: cleanups(result.cleanups),
    goals: goals(result.goals),
  };
}

function about({
  date,
  commit,
  seed,
  cores,
  memoryGigabytes,
  versions,
  database,
  loadAverage,
  remark,
  reads,
  cleanups,
}) {
  const foreign = [...(reads ?? []), ...(cleanups ?? [])].map(({ foreignCores }) => foreignCores);
  const noise = foreign.length
    ? ` Other processes of the machine used up to ${Math.max(0, ...foreign).toFixed(2)} cores meanwhile.`
    : '';
  const settings = ['shared_buffers', 'max_wal_size', 'fsync', 'synchronous_commit', 'full_page_writes'];
  return (
    `Run on ${date.slice(0, 10)} at commit ${commit} (seed ${seed}): ${cores} cores, ${memoryGigabytes} GB of memory, Node ` +
    `${versions.node}, PostgreSQL ${database.server_version} with ` +
    `${settings.map((name) => `\`${name} = ${database[name]}\``).join(', ')}. ` +
    `Load average ${loadAverage.map((load) => load.toFixed(1)).join(' before and ')} after.${noise}${remark ? ` ${remark}` : ''}`
  );
}

function reads(rows) {
  const head = [
    'Rows',
    'Requests/s',
    'p50 ms',
    'p99 ms',
    'DB CPU µs',
    'Statements',
    'Table MB',
    'Indexes MB',
    'Other cores',
  ];
  return table(
    head,
    rows.map((row) => [
      thousands(row.rows),
      thousands(row.rps),
      row.p50.toFixed(2),
      row.p99.toFixed(2),
      row.databaseMicros.toFixed(1),
      row.statements.toFixed(3),
      thousands(row.tableMegabytes),
      thousands(row.indexMegabytes),
      row.foreignCores.toFixed(2),
    ]),
  );
}

/** https://mermaid.js.org/syntax/xyChart.html, which is shown where Markdown is, and readable where it is not. */
function curve(rows) {
  const values = rows.map(({ p50 }) => p50.toFixed(2));
  return [
    '```mermaid',
    'xychart-beta',
    '  title "Read: p50 in ms, by rows of the table"',
    `  x-axis [${rows.map((row) => `"${thousands(row.rows)}"`).join(', ')}]`,
    `  y-axis "ms" 0 --> ${Math.ceil(Math.max(...values) * 1.5)}`,
    `  line [${values.join(', ')}]`,
    '```',
  ].join('\n');
}

function cleanups(rows) {
  const head = [
    'Expired rows are',
    'Deleted',
    'Rows/s',
    'WAL bytes per row',
    'p99 before',
    'p99 meanwhile',
    'p99 after',
    'Requests/s before',
    'Requests/s meanwhile',
    'Other cores',
  ];
  return table(
    head,
    rows.map(
      ({ layout, deleted, rowsPerSecond, walBytesPerRow, reads: { before, meanwhile, after }, foreignCores }) => [
        layout,
        thousands(deleted),
        thousands(rowsPerSecond),
        thousands(walBytesPerRow),
        ...[before, meanwhile, after].map(({ p99 }) => p99.toFixed(1)),
        ...[before, meanwhile].map(({ rps }) => thousands(rps)),
        foreignCores.toFixed(2),
      ],
    ),
  );
}

function goals(rows) {
  const body = rows.map(({ goal, wanted, reached, met }) => [
    goal.replaceAll(/\d{4,}/g, thousands),
    ...[wanted, reached].map((number) => (number > 1000 ? thousands(number) : `${number.toFixed(2)} x`)),
    met ? 'yes' : 'no',
  ]);
  return table(['Goal', 'Wanted', 'Reached', 'Met'], body);
}

function touches(rows) {
  const head = [
    'Operation',
    'Index on expires_at',
    'Fill-factor',
    'HOT %',
    'WAL bytes',
    'DB CPU µs',
    'Statements',
    'Per second',
    'Table MB',
    'Indexes MB',
  ];
  return table(
    head,
    rows.map((row) => [
      row.operation,
      row.expiryIndex ? 'yes' : 'no',
      String(row.fillFactor),
      (row.hotShare * 100).toFixed(0),
      row.walBytes.toFixed(0),
      row.databaseMicros.toFixed(1),
      row.statementsPerCall.toFixed(3),
      thousands(row.perSecond),
      row.tableMegabytes.toFixed(1),
      row.indexMegabytes.toFixed(1),
    ]),
  );
}

const thousands = (number) => String(Math.round(Number(number))).replaceAll(/\B(?=(?:\d{3})+$)/g, ' ');

/** As Prettier aligns it, which checks the documents; numbers to the right. */
function table(head, body) {
  const widths = head.map((title, column) => Math.max(3, title.length, ...body.map((row) => row[column].length)));
  const line = (row) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...body.map(line)].join('\n');
}
