import js from '@eslint/js'
import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'
import { closedRooms, floors, innerFloors } from './scripts/floors.mjs'

const see = 'see the floors in scripts/floors.mjs'

/** How a file of a room reaches another room: from the room's top, or from a room inside it. */
const pathsTo = (room) => [`../${room}/**`, `../../${room}/**`]

/** What a room may not import of other rooms. */
const outerWalls = new Map(
  floors.flatMap((rooms, floor) =>
    rooms.map((room) => {
      const closed = closedRooms.includes(room) ? floors.flat() : floors.slice(0, floor + 1).flat()
      const group = closed.filter((other) => other !== room).flatMap(pathsTo)
      // Only src/index.ts, which puts the library together, is above the top room.
      group.push('../index.js', '../../index.js')
      return [room, { group, message: `src/${room}/ may not import this room; ${see}` }]
    }),
  ),
)

/** What a place inside a room may not import of the same room; places as scripts/floors.mjs names them. */
function innerWall(room, place) {
  const all = innerFloors[room]
  const floor = all.findIndex((places) => places.includes(place))
  const closed = all.slice(0, floor + 1).flat()
  const up = place === '.' || place.endsWith('.ts') ? './' : '../'
  const paths = (other) => {
    if (other.endsWith('.ts')) return [up + other.replace(/ts$/, 'js')]
    return [other === '.' ? `${up}*.js` : `${up}${other}/**`]
  }
  const group = closed.filter((other) => other !== place).flatMap(paths)
  return group.length > 0 ? [{ group, message: `src/${room}/ is divided too; ${see}` }] : []
}

const wall = (files, patterns) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns }] },
})

/** Of several that match a file, ESLint applies the last: a room inside a room repeats the outer room's wall. */
const walls = [...outerWalls].flatMap(([room, outer]) => {
  const places = innerFloors[room]?.flat() ?? []
  const filesOf = (place) =>
    place === '.'
      ? `src/${room}/*.ts`
      : place.endsWith('.ts')
        ? `src/${room}/${place}`
        : `src/${room}/${place}/**/*.ts`
  return [
    wall([`src/${room}/**/*.ts`], [outer]),
    ...places.map((place) => wall([filesOf(place)], [outer, ...innerWall(room, place)])),
  ]
})

export default defineConfig(
  { ignores: ['dist/', '.tap/', '.run/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // A failed fill's error is kept as it was thrown and given to every follower.
      '@typescript-eslint/only-throw-error': 'off',
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
    },
  },
  ...walls,
  {
    files: ['src/admin/page/*.js'],
    languageOptions: {
      globals: Object.fromEntries(
        ['AbortController', 'TextDecoderStream', 'document', 'fetch', 'sessionStorage', 'setTimeout'].map(
          (name) => [name, 'readonly'],
        ),
      ),
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: Object.fromEntries(
        ['Buffer', 'URL', 'console', 'fetch', 'performance', 'process'].map((name) => [name, 'readonly']),
      ),
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
)
