// How the files of src/ may depend on one another, and where tests stand. The floors: scripts/floors.mjs.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import t from 'tap'
import ts from 'typescript'

type Floors = readonly (readonly string[])[]
const { floors, closedRooms, innerFloors } = (await import(
  new URL('../scripts/floors.mjs', import.meta.url).href
)) as { floors: Floors; closedRooms: readonly string[]; innerFloors: Readonly<Record<string, Floors>> }

const linesMax = 300
/** The table of options is one table. */
const longFiles = ['config/options/options.ts']

const filesOf = (directory: string, extension: RegExp) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => extension.test(path))
    .sort()
const sources = filesOf('src', /\.c?ts$/)
const textOf = new Map(sources.map((path) => [path, readFileSync(join('src', path), 'utf8')]))

/** Files of src/ that a file names in an import, export, `import()` or type `import()`; types count like values. */
function importsOf(path: string): string[] {
  const found: string[] = []
  const note = (specifier: ts.Node | undefined) => {
    if (!specifier || !ts.isStringLiteralLike(specifier) || !specifier.text.startsWith('.')) return
    found.push(normalize(join(dirname(path), specifier.text)).replace(/\.(c?)js$/, '.$1ts'))
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) note(node.moduleSpecifier)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) note(node.argument.literal)
    else if (ts.isExternalModuleReference(node)) note(node.expression)
    else if (ts.isCallExpression(node)) {
      const { expression } = node
      const isRequire = ts.isIdentifier(expression) && expression.text === 'require'
      if (isRequire || expression.kind === ts.SyntaxKind.ImportKeyword) note(node.arguments[0])
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, textOf.get(path)!, ts.ScriptTarget.Latest))
  // A file that reads package.json or the like imports no file of src/.
  return [...new Set(found)].filter((target) => textOf.has(target))
}
const imports = new Map(sources.map((path) => [path, importsOf(path)]))
const edges = [...imports].flatMap(([from, targets]) => targets.map((to) => [from, to] as const))

const roomOf = (path: string) => path.slice(0, Math.max(0, path.indexOf('/')))

/** Groups of files that reach one another: Tarjan's strongly connected components of more than one file. */
function circles(): string[][] {
  const found: string[][] = []
  const indices = new Map<string, number>()
  const lows = new Map<string, number>()
  const stack: string[] = []
  const connect = (path: string): void => {
    indices.set(path, indices.size)
    lows.set(path, indices.get(path)!)
    stack.push(path)
    for (const target of imports.get(path)!) {
      if (!indices.has(target)) connect(target)
      if (stack.includes(target)) lows.set(path, Math.min(lows.get(path)!, lows.get(target)!))
    }
    if (lows.get(path) !== indices.get(path)) return
    const circle = stack.splice(stack.indexOf(path))
    if (circle.length > 1 || imports.get(path)!.includes(path)) found.push(circle)
  }
  for (const path of sources) if (!indices.has(path)) connect(path)
  return found
}

/** A file's place inside its room, as `innerFloors` names it. */
function placeOf(path: string, room: string): string {
  const [first = '', ...rest] = path.slice(room.length + 1).split('/')
  return rest.length > 0 || innerFloors[room]?.flat().includes(first) ? first : '.'
}
const floorOf = (place: string, all: Floors) => all.findIndex((places) => places.includes(place))

t.test('no file reaches itself by its imports, those of types included', (t) => {
  t.ok(edges.length > sources.length, 'imports are found')
  t.same(circles(), [])
  t.end()
})

t.test('no import leads to the same or a higher floor, or into a room on it', (t) => {
  const rooms = [...new Set(sources.map(roomOf))].filter(Boolean)
  t.same(
    rooms.filter((room) => floorOf(room, floors) < 0),
    [],
    'each room has a floor',
  )
  const upward = edges.filter(([from, to]) => {
    const [room, target] = [roomOf(from), roomOf(to)]
    // index.ts, which puts the library together, is above the top room.
    if (room === target || room === '') return false
    return target === '' || closedRooms.includes(room) || floorOf(target, floors) <= floorOf(room, floors)
  })
  t.same(upward, [])
  t.end()
})

t.test('the same holds for the rooms inside a room', (t) => {
  const withoutFloor = sources.filter((path) => {
    const room = roomOf(path)
    const place = placeOf(path, room)
    return floorOf(place, innerFloors[room] ?? [['.']]) < 0
  })
  t.same(withoutFloor, [], 'each room inside a room has a floor')
  const upward = edges.filter(([from, to]) => {
    const room = roomOf(from)
    const inner = innerFloors[room]
    if (!inner || room !== roomOf(to)) return false
    const [place, target] = [placeOf(from, room), placeOf(to, room)]
    return place !== target && floorOf(target, inner) <= floorOf(place, inner)
  })
  t.same(upward, [])
  t.end()
})

t.test('no file is longer than the line limit', (t) => {
  const lines = (path: string) => textOf.get(path)!.split('\n').length - 1
  const long = sources.filter((path) => lines(path) > linesMax && !longFiles.includes(path))
  t.same(
    long.map((path) => `${path}: ${lines(path)}`),
    [],
  )
  t.end()
})

t.test('every file of src/ that a comment names exists', (t) => {
  const unknown = sources.flatMap((path) => {
    const comments = textOf.get(path)!.match(/\/\*[^]*?\*\/|\/\/.*/g) ?? []
    const named = comments.flatMap((comment) => comment.match(/[\w-]+(?:\/[\w-]+)*\.ts\b/g) ?? [])
    return named
      .filter((name) => !sources.some((source) => `/${source}`.endsWith(`/${name}`)))
      .map((name) => `${path}: ${name}`)
  })
  t.same(unknown, [])
  t.end()
})

t.test('a unit test stands where the file that it tests stands', (t) => {
  const elsewhere = /^(e2e|support|bench|fixtures)\//
  /** Tests of the project’s own tools. */
  const ofProject = ['architecture', 'build', 'docs', 'package', 'run']
  const subjects = sources.map((path) => path.replace(/\.c?ts$/, ''))
  const tests = filesOf('test', /\.test\.ts$/)
    .map((path) => path.replace(/\.test\.ts$/, ''))
    .filter((path) => !elsewhere.test(path) && !ofProject.includes(path))
  const tested = (test: string) =>
    subjects.filter((subject) => test === subject || test.startsWith(`${subject}-`))
  t.same(
    tests.filter((test) => tested(test).length === 0),
    [],
    'each names a file of src/, or that file and a variant: NAME-VARIANT.test.ts',
  )
  const covered = new Set(tests.flatMap(tested))
  const without = subjects.filter((subject) => !covered.has(subject))
  t.comment(`${without.length} of ${subjects.length} files of src/ have no unit test:`)
  for (const directory of new Set(without.map((subject) => dirname(subject)))) {
    const names = without
      .filter((subject) => dirname(subject) === directory)
      .map((subject) => basename(subject))
    t.comment(`  ${directory}/: ${names.join(', ')}`)
  }
  t.end()
})
