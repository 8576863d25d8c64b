// The cold storm again, after one client at 50 KB/s has asked first.
import { run as storm } from './cold-storm.mjs'

export const title = 'Cold storm behind a slow first client'
export const run = (setup) => storm(setup, { slowFirst: true })
