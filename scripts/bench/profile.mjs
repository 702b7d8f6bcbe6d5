// What the CPU profiles of servers say, in a few lines each: where the time went by itself, by package and by function.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const TOP = 25;
/** What the profiler calls the time in which nothing ran. */
const IDLE = ['(idle)', '(root)'];

export function topOfProfiles(folder) {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  return files.map((name) => `${name}\n${topOf(JSON.parse(readFileSync(join(folder, name), 'utf8')))}`).join('\n\n');
}

function topOf({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]));
  const [packages, functions] = [new Map(), new Map()];
  let busy = 0;
  samples.forEach((id, index) => {
    const frame = byId.get(id);
    if (IDLE.includes(frame.functionName)) return;
    const micros = timeDeltas[index];
    busy += micros;
    add(packages, packageOf(frame), micros);
    add(functions, `${frame.functionName || '(anonymous)'} ${placeOf(frame)}`, micros);
  });
  const lines = (map, count) =>
    [...map]
      .sort(([, a], [, b]) => b - a)
      .slice(0, count)
      .map(([name, micros]) => `  ${((100 * micros) / busy).toFixed(1).padStart(5)} %  ${name}`);
  return [...lines(packages, 12), '', ...lines(functions, TOP)].join('\n');
}

const add = (map, key, micros) => map.set(key, (map.get(key) ?? 0) + micros);

function packageOf({ url, functionName }) {
  const inPackages = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (inPackages) return inPackages;
  if (/libs\/session\/dist\//.test(url)) return 'nestjs-typeorm-session';
  if (url.startsWith('node:')) return 'Node';
  if (url === '') return functionName.startsWith('(') ? functionName : 'Node, native';
  return 'the benchmark';
}

const placeOf = ({ url, lineNumber }) =>
  url === '' ? '' : `${url.replace(/^.*(node_modules|dist\/esm|scripts)\//, '')}:${lineNumber + 1}`;
