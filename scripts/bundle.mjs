// Joins the compiled modules of the program, and the packages that every start loads, into the few files of dist/program/:
// Node takes a third of a millisecond to find, read and link a module, and there are seven hundred. The library, which others
// import, and `node dist/cli/main.js`, which shows the modules themselves in stack traces, use dist/ as it was compiled.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { build } from 'esbuild'

/** Modules that a process or a thread begins with. Their files in dist/program/ have the last part of the name. */
export const entries = [
  'cli/command',
  'assembly/workers/worker',
  'origin/disk/observation/disk-process',
  'access/passwords/bcrypt-worker',
]

/** Loaded at every start. All other packages stay in node_modules/, and are loaded where they are needed. */
const bundled = ['commander', 'lru-cache', 'pino', 'prom-client', 'zod']

/** Bundled packages are CommonJS in part; what they require of Node is found with this. */
const banner = "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)"

/** @param top the project's directory, with a slash at its end; dist/ has been compiled */
export async function bundle(top) {
  const dist = `${top}dist`
  const { metafile } = await build({
    absWorkingDir: resolve(top),
    entryPoints: entries.map((entry) => `${dist}/${entry}.js`),
    outdir: `${dist}/program`,
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    ...{ bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node20.18' },
    ...{ banner: { js: banner }, legalComments: 'none', metafile: true, logLevel: 'warning' },
    plugins: [packages(), places(dist)],
  })
  writeFileSync(`${dist}/program/LICENSES.txt`, licences(top, Object.keys(metafile.inputs)))
}

/** Bundles those packages, and those that they use themselves. */
const packages = () => ({
  name: 'packages',
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind, importer }) => {
      if (kind === 'entry-point' || importer.includes('/node_modules/') || bundled.includes(path)) return
      return { path, external: true }
    })
  },
})

/** Has modules find the files beside them, which stay where they are, and the programs that are bundled. */
const places = (dist) => ({
  name: 'places',
  setup({ onLoad }) {
    onLoad({ filter: /\.js$/ }, ({ path }) => {
      if (!path.startsWith(`${dist}/`)) return
      const text = readFileSync(path, 'utf8')
      if (!text.includes('import.meta.url')) return
      const program =
        /new URL\(['`](?:\.\/)?([\w-]+)(?:\.js|\$\{extname\(import\.meta\.url\)\})['`], import\.meta\.url\)/g
      const own = JSON.stringify(relative(`${dist}/program`, path))
      const contents = text
        .replaceAll(program, (whole, name) =>
          entries.includes(relative(dist, join(dirname(path), name)))
            ? `new URL(${JSON.stringify(`${name}.js`)}, IMPORT_META_URL)`
            : whole,
        )
        .replaceAll('import.meta.url', `new URL(${own}, import.meta.url)`)
        .replaceAll('IMPORT_META_URL', 'import.meta.url')
      return { contents, loader: 'js' }
    })
  },
})

/** Returns the licences of the packages that are bundled. @param inputs paths of all files that are */
function licences(top, inputs) {
  const paths = inputs.map((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0])
  return [...new Set(paths.filter((path) => path !== undefined))]
    .sort()
    .map((path) => licence(join(top, path)))
    .join(`\n${'-'.repeat(78)}\n\n`)
}

function licence(directory) {
  const { name, version, license } = JSON.parse(readFileSync(`${directory}/package.json`, 'utf8'))
  const files = readdirSync(directory).filter((file) =>
    /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i.test(file),
  )
  if (files.length === 0 && license !== 'MIT') throw new Error(`${name} has no text of its licence`)
  const texts = files.map((file) => readFileSync(join(directory, file), 'utf8').trim())
  return `${name} ${version} (${license})\n\n${texts.join('\n\n')}\n`
}
