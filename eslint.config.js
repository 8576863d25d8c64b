import js from '@eslint/js'
import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'

/**
 * The house, from the top floor down. A room may import the rooms on lower floors only, so that a request walks down
 * one staircase and never back up; streamcache/ could be published alone and imports none. assembly/ puts the rooms
 * together.
 */
const floors = [
  ['cli'],
  ['assembly'],
  ['server'],
  ['http', 'grpc', 'admin'],
  ['service'],
  ['freshness'],
  ['streamcache', 'git', 'access'],
  ['config', 'telemetry', 'limits'],
]

/** How a file reaches another room, from a room's top or from a room inside it. */
const pathsTo = (room) => [`../${room}/*`, `../../${room}/*`, `../${room}/**`, `../../${room}/**`]

const walls = floors.flatMap((rooms, floor) =>
  rooms.map((room) => {
    const closed = room === 'streamcache' ? floors.flat() : floors.slice(0, floor + 1).flat()
    const group = closed.filter((other) => other !== room).flatMap(pathsTo)
    const message = `src/${room}/ may not import this room; see the floors in eslint.config.js`
    // Only src/index.ts, which puts the library together, is above the top room.
    const patterns = [{ group: [...group, '../index.js', '../../index.js'], message }]
    return { files: [`src/${room}/**/*.ts`], rules: { 'no-restricted-imports': ['error', { patterns }] } }
  }),
)

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
