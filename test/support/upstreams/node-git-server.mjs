// Serves the repositories below a directory with node-git-server, on a free port of 127.0.0.1.
//
//   node node-git-server.mjs ROOT ACCESS      ACCESS: UpstreamAccess of upstream-server.ts, as JSON
//
// Prints its version and the port when it listens.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const { Git } = require('node-git-server')
const { version } = require('node-git-server/package.json')

const [root, json = '{}'] = process.argv.slice(2)
const { users, readers = {} } = JSON.parse(json)

/** `repo` comes without `.git`. */
async function authenticate({ type, repo, user }) {
  const allowed = readers[`${repo}.git`]
  if (!users || (!allowed && type === 'fetch')) return
  const [name, password] = await user()
  // What is thrown becomes the text of a 401.
  if (users[name] !== password) throw 'wrong password'
  if (allowed && !allowed.includes(name)) throw 'not allowed'
}

const git = new Git(root, { autoCreate: false, authenticate })
const server = createServer((request, response) => git.handle(request, response))
server.listen(0, '127.0.0.1', () => console.log(`${version} ${server.address().port}`))
