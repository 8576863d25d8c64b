import { ask, eventsOf, token } from './client.js'
import { look } from './search.js'
import { View } from './view.js'

const byId = (id) => document.getElementById(id)
const view = new View()
/** Milliseconds before it connects again; doubles with each failure. */
const retryMs = { least: 1000, most: 30_000 }
let isPaused = false
let running

function tell(text, isBad = false) {
  const state = byId('state')
  state.classList.toggle('bad', isBad)
  // A screen reader reads each change aloud.
  if (state.textContent !== text) state.textContent = text
}

function needToken(text) {
  token.forget()
  tell(text, true)
  byId('login').hidden = false
  byId('token').focus()
}

function show(status) {
  const { isReady, reason } = status.ready
  tell(isReady ? 'ready' : `not ready: ${reason}`, !isReady)
  if (!isPaused) view.show(status)
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Follows the events, and connects again when they end; until a token is needed. */
async function follow(signal) {
  let waitMs = retryMs.least
  while (!signal.aborted) {
    try {
      const response = await ask('v1/events', signal)
      if (response.status === 401) return needToken('an admin token is needed')
      if (!response.ok) throw new Error((await response.json()).detail)
      if (!byId('login').hidden) {
        byId('login').hidden = true
        // What had the focus is gone.
        byId('main').focus()
      }
      waitMs = retryMs.least
      for await (const status of eventsOf(response)) show(status)
    } catch (error) {
      if (signal.aborted) return
      tell(`not connected: ${error.message}`, true)
    }
    await pause(waitMs)
    waitMs = Math.min(2 * waitMs, retryMs.most)
  }
}

function start() {
  running?.abort()
  running = new AbortController()
  void follow(running.signal)
}

byId('login').addEventListener('submit', (event) => {
  event.preventDefault()
  token.set(byId('token').value.trim())
  byId('token').value = ''
  start()
})

byId('pause').addEventListener('click', ({ currentTarget }) => {
  isPaused = !isPaused
  currentTarget.setAttribute('aria-pressed', String(isPaused))
})

byId('search').addEventListener('submit', async (event) => {
  event.preventDefault()
  const lines = await look(byId('path').value.trim()).catch((error) => [error.message])
  byId('found').replaceChildren(
    ...lines.map((line) => {
      const paragraph = document.createElement('p')
      paragraph.textContent = line
      return paragraph
    }),
  )
})

if (document.documentElement.dataset.token === 'needed' && token.get() === null)
  needToken('an admin token is needed')
else start()
