// Compiles src/ and test/ for the test processes (loader.mjs), once for all of them: a process that loads the compiler
// itself spends two seconds on it. Types are not checked here.
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { fileURLToPath } from 'node:url'
import { compiledForm } from './compiled.mjs'

const top = fileURLToPath(new URL('../..', import.meta.url))
/** What decides, beside a file itself, how it is compiled. */
const settings = ['package-lock.json', 'tsconfig.json', 'test/runner/compile.mjs'].map((path) => top + path)

/** Compiles the files that have changed since they were compiled. */
export async function compileStale() {
  const settingsMs = Math.max(...settings.map(changedMs))
  const stale = sources().filter((path) => {
    const compiledMs = statSync(compiledForm(path), { throwIfNoEntry: false })?.mtimeMs
    return compiledMs === undefined || compiledMs <= Math.max(changedMs(top + path), settingsMs)
  })
  if (stale.length > 0) await compile(stale)
}

/** A copy may keep the modification time of its original; the change time is always the copy's own. */
const changedMs = (path) => statSync(path).ctimeMs

const sources = () =>
  ['src', 'test'].flatMap((directory) =>
    readdirSync(`${top}${directory}`, { recursive: true })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${directory}/${name}`),
  )

async function compile(paths) {
  const { default: ts } = await import('typescript')
  const { config } = ts.readConfigFile(`${top}tsconfig.json`, ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, top)
  // The format is given: to find it out, the compiler would look for package.json again for each file.
  const compilerOptions = { ...options, module: ts.ModuleKind.ES2022, noEmit: false, inlineSourceMap: true }
  delete compilerOptions.moduleResolution
  for (const path of paths) {
    const began = new Date()
    const { outputText } = ts.transpileModule(readFileSync(top + path, 'utf8'), {
      compilerOptions,
      fileName: top + path,
    })
    write(compiledForm(path), outputText, began)
  }
}

/** Replaces a file in one step: another run may be reading it. */
function write(url, text, date) {
  mkdirSync(new URL('.', url), { recursive: true })
  const unfinished = new URL(`${url.href}.${process.pid}`)
  writeFileSync(unfinished, text)
  utimesSync(unfinished, date, date)
  renameSync(unfinished, url)
}
