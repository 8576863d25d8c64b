import { any, matchesSequence } from './sequence.js'

/** A glob that is not valid. The message says why, and what to write instead. */
export class BadGlob extends Error {
  override readonly name = 'BadGlob'
}

/** Matches one character: a literal, any character, or a class. */
type Character =
  string | { readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] }
const anyCharacter: Character = { negated: true, ranges: [] }

/** Matches one name between slashes: a literal, or a sequence of characters. */
type Name = string | readonly (Character | typeof any)[]

/** Most alternatives that the braces of a glob may expand to. */
const alternativesMax = 100

export interface Glob {
  /** Begins with `!`: applies to all paths that do not match. */
  readonly negated: boolean
  /** Returns whether a path matches, without regard to `negated`. */
  readonly fits: (path: string) => boolean
}

/**
 * Parses a glob for paths: `*` matches any characters of one name, `**` any number of names (including none, but not at the
 * end after a name that ends in `*`), `?` one character, `[a-z]` or `[!a-z]` one of a class, `{a,b}` either; `\` makes the
 * next character a literal, and a leading `!` negates the glob. `**` alone matches everything, including a root that is
 * itself a repository: the root's name is `.`.
 *
 * The time of `fits` is at most the length of the path times that of the glob with its braces expanded.
 * @param fold brings literals into the form in which they are compared
 * @throws BadGlob
 */
export function parseGlob(glob: string, fold: Fold = (text) => text): Glob {
  const [, marks = '', rest = ''] = /^(!*)(?:\.\/)?(.*)$/s.exec(glob) ?? []
  const forms = alternatives(rest).map((form) => parse(form, fold))
  const nameFits = (form: Name, name: string): boolean => {
    if (typeof form === 'string') return form === fold(name)
    // The root's name is matched by `**` and by the literal only.
    return (
      name !== '.' &&
      matchesSequence(form, Array.from(name), (wanted, character) => characterFits(wanted, character, fold))
    )
  }
  return {
    negated: marks.length % 2 === 1,
    fits: (path) => {
      const names = path.split('/')
      return forms.some((form) => matchesSequence(form, names, nameFits))
    },
  }
}

/** Returns the form of a text in which it equals all texts that are taken for the same. */
type Fold = (text: string) => string

function characterFits(wanted: Character, character: string, fold: Fold): boolean {
  if (typeof wanted === 'string') return wanted === fold(character)
  const code = character.codePointAt(0)!
  return wanted.ranges.some(([from, to]) => from <= code && code <= to) !== wanted.negated
}

/** Expands the braces of a glob. @throws BadGlob */
function alternatives(glob: string): string[] {
  const braces = firstBraces(glob)
  if (!braces) return [glob]
  const { start, commas, end } = braces
  const cuts = [start, ...commas, end]
  const rests = alternatives(glob.slice(end + 1))
  const middles = cuts.slice(1).flatMap((cut, index) => alternatives(glob.slice(cuts[index]! + 1, cut)))
  if (rests.length * middles.length > alternativesMax)
    throw new BadGlob(`its braces expand to more than ${alternativesMax} alternatives; write several rules`)
  return middles.flatMap((middle) => rests.map((rest) => glob.slice(0, start) + middle + rest))
}

/** Finds the first braces with a comma in them; others are literals. @throws BadGlob */
function firstBraces(glob: string): { start: number; commas: number[]; end: number } | undefined {
  const open: { start: number; commas: number[] }[] = []
  let first: { start: number; commas: number[]; end: number } | undefined
  for (let at = 0; at < glob.length; at = afterToken(glob, at)) {
    const character = glob[at]
    if (character === '{') open.push({ start: at, commas: [] })
    else if (character === ',') open.at(-1)?.commas.push(at)
    else if (character === '}') {
      const closed = open.pop()
      if (closed?.commas.length === 0 && /^[^/]+\.\.[^/]+$/.test(glob.slice(closed.start + 1, at)))
        throw new BadGlob(
          'it has a range in braces; write a class such as [a-z], or alternatives with commas',
        )
      if (closed && closed.commas.length > 0 && !(first && first.start < closed.start))
        first = { ...closed, end: at }
    }
  }
  return first
}

/** Returns where the next character, escaped character or class begins. */
function afterToken(glob: string, at: number): number {
  if (glob[at] === '\\') return afterCharacter(glob, at + 1)
  return glob[at] === '[' ? (classEnd(glob, at) ?? at) + 1 : afterCharacter(glob, at)
}

/** Characters outside of the Basic Multilingual Plane have two code units. */
const afterCharacter = (text: string, at: number): number =>
  at + ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1)

/** Returns where the class that begins here ends; undefined: it does not end, so it is a literal. */
function classEnd(glob: string, start: number): number | undefined {
  let at = start + 1
  if (glob[at] === '!' || glob[at] === '^') at++
  // As in the shell, a bracket that comes first is a member of the class.
  if (glob[at] === ']') at++
  while (at < glob.length && glob[at] !== ']') at += glob[at] === '\\' ? 2 : 1
  return at < glob.length ? at : undefined
}

/** Parses a glob without braces. @throws BadGlob */
function parse(glob: string, fold: Fold): (Name | typeof any)[] {
  const names: (Character | typeof any)[][] = [[]]
  for (let at = 0; at < glob.length;) {
    const next = afterToken(glob, at)
    const token = glob.slice(at, next)
    if (token === '/') names.push([])
    else names.at(-1)!.push(...meaning(token, fold))
    at = next
  }
  const forms = names.map((name) => {
    if (name.length === 2 && name.every((part) => part === any)) return any
    return name.every((part) => typeof part === 'string') ? name.join('') : name
  })
  // `a/**` matches `a` too, but `*/**` only what is below a name.
  const [before, last] = forms.slice(-2)
  if (last === any && Array.isArray(before) && before.at(-1) === any) forms.splice(-1, 0, [any])
  return forms
}

/** @throws BadGlob */
function meaning(token: string, fold: Fold): (Character | typeof any)[] {
  if (token === '*') return [any]
  if (token === '?') return [anyCharacter]
  if (token.length > 1 && token.startsWith('[')) return [classOf(token)]
  if (token.length > 1 && token.startsWith('\\')) return Array.from(fold(token.slice(1)))
  if ('()"'.includes(token))
    throw new BadGlob(`${token} has no meaning in it; write \\${token} for the character itself`)
  return Array.from(fold(token))
}

/** @throws BadGlob */
function classOf(token: string): Character {
  if (token.includes('/') || token.includes('[:'))
    throw new BadGlob(`${token}: a class has characters and ranges, such as [a-z0-9], and no slash`)
  const negated = /^\[[!^]/.test(token)
  const characters = Array.from(token.slice(negated ? 2 : 1, -1).matchAll(/\\?(.)/gsu), ([all, one]) => ({
    code: one!.codePointAt(0)!,
    isDash: all === '-',
  }))
  const ranges: [number, number][] = []
  for (let at = 0; at < characters.length; at++) {
    const [from, dash, to] = characters.slice(at, at + 3)
    if (!dash?.isDash || !to) {
      ranges.push([from!.code, from!.code])
      continue
    }
    if (from!.code > to.code) throw new BadGlob(`${token}: a range in it ends before it begins`)
    ranges.push([from!.code, to.code])
    at += 2
  }
  return { negated, ranges }
}
