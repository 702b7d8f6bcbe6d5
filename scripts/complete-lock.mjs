// Makes package-lock.json complete and portable. Run it after every change of the dependencies.
//
// A registry may lack some optional per-platform packages, and npm leaves those out of the lock file. `npm ci` then
// refuses it ("Missing: @swc/core-darwin-arm64@ from lock file"), and other platforms would get no binary. So the missing
// entries are added, without an integrity hash, as nobody here has seen the packages.
//
// And where a package was downloaded from ("resolved") is a fact about one machine: npm asks the registry it is
// configured for.
import { readFileSync, writeFileSync } from 'node:fs';

const systems = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'aix', 'win32'];
const chips = ['ia32', 'x64', 'arm64', 'arm', 'ppc64', 'mips64el', 's390x', 'riscv64', 'loong64', 'wasm32'];

const file = process.argv[2] ?? 'package-lock.json';
const lock = JSON.parse(readFileSync(file, 'utf8'));

const added = addMissingPlatforms(lock.packages);
for (const entry of Object.values(lock.packages)) if (isFromRegistry(entry)) delete entry.resolved;
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} platform packages added to ${file}`);

function addMissingPlatforms(packages) {
  let count = 0;
  for (const [path, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const places = placesFor(name, path);
      if (places.some((place) => packages[place])) continue;
      const platform = platformOf(name);
      if (!platform || !/^\d/.test(version)) {
        console.warn(`left out: ${name}@${version}`);
        continue;
      }
      const { cpu, libc, os } = platform;
      // In npm's order, so that npm does not move them.
      packages[places.at(-1)] = {
        version,
        cpu,
        ...(entry.dev && { dev: true }),
        ...(libc && { libc }),
        optional: true,
        os,
      };
      count++;
    }
  }
  return count;
}

/** Where Node looks for a package that the one at this path asks for: beside it first, at the top last. */
function placesFor(name, path) {
  const places = [];
  for (let at = path; at; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    places.push(`${at}/node_modules/${name}`);
  }
  return [...places, `node_modules/${name}`];
}

/** What the name tells, which such packages put as `core-linux-x64-musl` or `binding-win32-arm64-msvc`. */
function platformOf(name) {
  const words = name.split(/[/-]/);
  const os = systems.find((system) => words.includes(system));
  const cpu = chips.find((chip) => words.includes(chip));
  if (!os || !cpu) return undefined;
  return { cpu: [cpu], ...(os === 'linux' && libcOf(words)), os: [os] };
}

function libcOf(words) {
  if (words.some((word) => word.startsWith('musl'))) return { libc: ['musl'] };
  if (words.some((word) => word.startsWith('gnu'))) return { libc: ['glibc'] };
  return {};
}

function isFromRegistry({ resolved }) {
  return /^https?:.*\.tgz$/.test(resolved ?? '');
}
