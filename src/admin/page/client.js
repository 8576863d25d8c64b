/** The token that was typed in, for this tab only; it is sent in a header, and never becomes part of an address. */
const tokenKey = 'refstream-admin-token'

export const token = {
  get: () => sessionStorage.getItem(tokenKey),
  set: (value) => sessionStorage.setItem(tokenKey, value),
  forget: () => sessionStorage.removeItem(tokenKey),
}

/** Sends a request to the admin API. */
export function ask(path, signal) {
  const held = token.get()
  const headers = held === null ? {} : { Authorization: `Bearer ${held}` }
  return fetch(path, { headers, signal, cache: 'no-store' })
}

/** Yields the data of server-sent events, parsed. Read with fetch, since EventSource sends no header. */
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (rest + value).split('\n\n')
    rest = events.pop()
    for (const event of events) {
      const data = event.split('\n').find((line) => line.startsWith('data: '))
      if (data !== undefined) yield JSON.parse(data.slice('data: '.length))
    }
  }
}
