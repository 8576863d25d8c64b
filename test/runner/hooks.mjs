// Hooks of Node's module loader, for processes that run TypeScript of src/ and test/ without a compiler: what compile.mjs
// compiled is loaded under the URL of its source, so that relative paths and positions in errors are those of the source.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { compiledForm, sourcePath } from './compiled.mjs'

/** Imports name x.js, which only the build makes; the source is x.ts. */
export function resolve(specifier, context, nextResolve) {
  if (/^(?:\.{1,2}\/|file:).*\.js$/.test(specifier)) {
    const source = new URL(specifier.replace(/js$/, 'ts'), context.parentURL)
    if (sourcePath(source.href) !== undefined && existsSync(fileURLToPath(source)))
      return { url: source.href, format: 'module', shortCircuit: true }
  }
  return nextResolve(specifier, context)
}

export function load(url, context, nextLoad) {
  const path = sourcePath(url)
  if (path === undefined) return nextLoad(url, context)
  return { format: 'module', source: readFileSync(compiledForm(path), 'utf8'), shortCircuit: true }
}
