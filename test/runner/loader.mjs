// To be given to Node with --import: installs hooks.mjs.
import module from 'node:module'
import { load, resolve } from './hooks.mjs'

// A test's own process loads tap before there are hooks, which slow down the loading of every file: on older Nodes they
// run in another thread. Processes that a test starts with the same options need no tap.
if (/\.test\.[cm]?[jt]s$/.test(process.argv[1] ?? '')) await import('tap')
const [major] = process.versions.node.split('.').map(Number)
// registerHooks() of Node 22 and 23 is unfinished, and register() is deprecated since 26.
if (major >= 24) module.registerHooks({ resolve, load })
else module.register('./hooks.mjs', import.meta.url)
process.setSourceMapsEnabled(true)
