import t from 'tap'
import fc from 'fast-check'
import { foldPath, foldText } from '../../../src/config/values/folded-name.js'

t.test('texts that some server takes for the same name have one form', async (t) => {
  const rows: [string, string][] = [
    ['secret', 'SeCrEt'],
    ['é', 'E\u0301'],
    ['ß', 'SS'],
    ['ı', 'I'],
    ['İ', 'i'],
    ['K', '\u212a'],
    ['secret', 'ｓｅｃｒｅｔ'],
    ['secret', 'se\u200bcr\u00adet'],
    ['secret', 'sec\tret'],
  ]
  for (const [one, other] of rows) t.equal(foldText(one), foldText(other), JSON.stringify(other))
  t.not(foldText('secret'), foldText('secrets'))
})

t.test('paths are read as the most lenient servers do', async (t) => {
  const rows: [path: string, folded: string | undefined][] = [
    ['secret/x', 'secret/x'],
    ['Secret//X/', 'secret/x'],
    ['secret;a=b/x;c', 'secret/x'],
    ['secret. /x..', 'secret/x'],
    ['secret\\x', 'secret/x'],
    ['%73ecret%2Fx', 'secret/x'],
    ['%2573ecret%252fx', 'secret/x'],
    ['%C3%A9', 'e'],
    ['pub/%2e%2e/secret/x', undefined],
    ['pub/..;/secret/x', undefined],
    ['pub\\..\\secret', undefined],
    ['100%/x', '100%/x'],
    ['', ''],
  ]
  for (const [path, folded] of rows) t.equal(foldPath(path), folded, path)
})

t.test('folding twice is folding once', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (path) => {
      const folded = foldPath(path)
      return folded === undefined || foldPath(folded) === folded || foldPath(folded) === undefined
    }),
    { numRuns: 2000 },
  )
})
