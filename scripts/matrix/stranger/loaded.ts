import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';

interface Package {
  name: string;
  version: string;
}

/**
 * What this process runs, and not what it might have resolved: the debugger of V8 lists every script that was loaded,
 * whether by `import` or by `require`. A package that was loaded from two places is there twice.
 */
export function loaded() {
  const files = loadedFiles();
  const places = new Set(files.map((file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]));
  places.delete(undefined);
  const packages = [...places].map((place) => JSON.parse(readFileSync(`${place}/package.json`, 'utf8')) as Package);
  const builds = files.flatMap((file) => /\/nestjs-typeorm-session\/dist\/(\w+)\//.exec(file)?.[1] ?? []);
  return {
    node: process.versions.node,
    packages: packages.map(({ name, version }) => ({ name, version })),
    builds: [...new Set(builds)],
  };
}

function loadedFiles(): string[] {
  const session = new Session();
  session.connect();
  const urls: string[] = [];
  session.on('Debugger.scriptParsed', ({ params }) => urls.push(params.url));
  session.post('Debugger.enable');
  session.disconnect();
  return urls.filter((url) => url.startsWith('file:')).map((url) => fileURLToPath(url));
}
